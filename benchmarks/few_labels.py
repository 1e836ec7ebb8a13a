"""A share of the labels of a set."""

import numpy as np


def few(labels, share, rng):
    """Return rows of a share of the labels, two a class at least."""
    rows = []
    for one in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == one))
        rows.append(own[: max(2, round(share * len(own)))])
    return np.sort(np.concatenate(rows))
