"""Nearest series in embedding space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError


def nearest(
    vectors: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return (series, count) numbers and Euclidean distances of each series' nearest others.

    Features are standardised first, so that none rules by its unit.
    """
    from sklearn.neighbors import NearestNeighbors

    if count >= len(vectors):
        raise DataError(f"{count} neighbours of {len(vectors)} series; ask for fewer")
    spread = vectors.std(0)
    scaled = (vectors - vectors.mean(0)) / np.where(spread > 0, spread, 1.0)
    model = NearestNeighbors(n_neighbors=count).fit(scaled)
    distance, index = model.kneighbors()  # without arguments a series is not its own neighbour
    return index.astype(np.int64), distance.astype(np.float64)
