"""Train on synthetic windows, test on real ones: are their labels the same thing?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError
from caesura.tasks.context import context_features
from caesura.tasks.synthetic_scores import MOST, Measured, Scoring

Floats = NDArray[np.floating[Any]]
_MOST = 100
"""Classes at most: more are a measurement."""


class Labels(NamedTuple):
    """The label of each window of three sets: real ones that trained, that did not, synthetic."""

    train: Floats
    unseen: Floats
    synthetic: Floats


def score_labels(
    train: Floats, unseen: Floats, synthetic: Floats, labels: Labels, scoring: Scoring
) -> Measured:
    """Return the balanced accuracy on unseen real windows of a classifier that learned from
    synthetic ones; the floor's learned from as many real ones.

    A logistic regression on features of random convolutions, anew for each repetition. One class
    alone is a DataError.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = set(np.unique(labels.train).tolist())
    for name, own in (("real", labels.train), ("synthetic", labels.synthetic)):
        if len(np.unique(own)) < 2:
            raise DataError(
                f"{name} windows have one label alone, {own[0]}; make others with `caesura "
                "generate --conditions TABLE`"
            )
    numbers = all(isinstance(one, float) for one in known)
    if len(known) > _MOST or (numbers and any(one != round(one) for one in known)):
        raise DataError(
            f"{len(known)} labels, e.g. {max(known)}; give {_MOST} classes at most, as text or "
            "whole numbers"
        )
    if strange := set(np.unique(labels.synthetic).tolist()) - known:
        raise DataError(f"synthetic windows have labels that no real one has: {sorted(strange)}")
    count = min(MOST, len(train), len(synthetic))
    rows: list[list[float]] = []
    asked = np.unique(labels.unseen)
    for seed in range(scoring.seed, scoring.seed + scoring.repeats):
        rng, found = np.random.default_rng(seed), []
        for windows, own in ((synthetic, labels.synthetic), (train, labels.train)):
            some = rng.permutation(len(windows))[:count]
            seen, test = context_features(train, windows[some], unseen, seed=seed)
            model = make_pipeline(
                StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced")
            )
            model.fit(seen, own[some])
            said = model.predict(test)  # maybe classes that no unseen window has
            found.append(recall_score(labels.unseen, said, labels=asked, average="macro"))
        rows.append(found)
    ours, floor = np.array(rows).T
    return Measured("label accuracy, trained on it", ours, floor, 1.0)
