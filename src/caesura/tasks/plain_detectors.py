"""What an anomaly score must beat: detectors that read samples, not features.

One channel at a time: a normal part and a new one, (time,) each; a score for each new sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Detector = Callable[[Floats, Floats], Floats]

_SUB = 64


def _subsequences(x: Floats, hop: int = 1) -> tuple[Floats, NDArray[np.int64]]:
    view = np.lib.stride_tricks.sliding_window_view(x, _SUB)
    starts = np.arange(0, len(view), hop)
    return np.ascontiguousarray(view[starts]), starts


def _spread(values: Floats, starts: NDArray[np.int64], time: int) -> Floats:
    total, count = np.zeros(time + 1), np.zeros(time + 1)
    for ends, sign in ((starts, 1.0), (starts + _SUB, -1.0)):
        np.add.at(total, ends, sign * values)
        np.add.at(count, ends, sign)
    return np.asarray(total.cumsum()[:time] / np.maximum(count.cumsum()[:time], 1))


def sub_pca(train: Floats, test: Floats) -> Floats:
    """Return the squared rest beyond ten principal directions of subsequences of 64."""
    known, _ = _subsequences(train, 4)
    new, starts = _subsequences(test, 4)
    center = known.mean(0)
    _, _, vectors = np.linalg.svd(known[:4000] - center, full_matrices=False)
    kept = vectors[:10]
    rest = (new - center) - (new - center) @ kept.T @ kept
    return _spread(np.square(rest).sum(1), starts, len(test))


def sub_knn(train: Floats, test: Floats) -> Floats:
    """Return the mean distance of subsequences of 64 to their five nearest normal ones."""
    from sklearn.neighbors import NearestNeighbors

    known, _ = _subsequences(train, max(1, len(train) // 2000))
    new, starts = _subsequences(test, 8)
    near = NearestNeighbors(n_neighbors=min(5, len(known))).fit(known)
    return _spread(near.kneighbors(new)[0].mean(1), starts, len(test))


def isolation_forest(train: Floats, test: Floats) -> Floats:
    """Return the scores of an isolation forest on subsequences of 64."""
    from sklearn.ensemble import IsolationForest

    known, _ = _subsequences(train, 4)
    new, starts = _subsequences(test, 4)
    fitted = IsolationForest(n_estimators=50, random_state=0).fit(known)
    return _spread(-fitted.score_samples(new), starts, len(test))


def energy(train: Floats, test: Floats) -> Floats:
    """Return the squared distance from the normal mean, in its deviations."""
    return np.asarray(np.square((test - train.mean()) / (train.std() + 1e-9)))


DETECTORS: dict[str, Detector] = {
    "z-energy": energy,
    "PCA": sub_pca,
    "KNN": sub_knn,
    "isolation forest": isolation_forest,
}


def over_channels(way: Detector, known: Floats, new: Floats) -> Floats:
    """Return the mean over channels, (channels, time) each, of standardised scores."""
    each = [way(a, b) for a, b in zip(known, new, strict=True)]
    return np.asarray(np.mean([(s - s.mean()) / (s.std() + 1e-12) for s in each], axis=0))
