"""Anomaly scores of time stamps: how far what an encoder says of them is from normal.

The features of each place are compared with their nearest ones of a normal part, in whitened
space; a time stamp's score is the mean over all windows that hold it. Thresholds and p-values
come from normal data alone, never from what is scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from caesura.data.store import RaggedStore
from caesura.errors import DataError
from caesura.metrics.detect import p_values
from caesura.tasks.forecast import regular_view
from caesura.tasks.needs import Trained, need
from caesura.tasks.window_features import bridged_rows, level_features, windows_of

Floats = NDArray[np.floating[Any]]

_MOST_NORMAL = 4000
"""Places of normal data that are kept to compare with."""
_NEIGHBOURS = 5
_OVERLAP = 4
"""Windows that hold a time stamp, about."""


@dataclass(frozen=True)
class Detector:
    """Normal places, whitened, and the scores of normal time stamps that were held out."""

    center: Floats
    whiten: Floats
    normal: Floats
    calibration: Floats
    window: int

    def place_scores(self, features: Floats) -> Floats:
        """Return the mean distance of (rows, places, width) to the nearest normal places."""
        from sklearn.neighbors import NearestNeighbors

        flat = (features.reshape(-1, features.shape[-1]) - self.center) @ self.whiten
        near = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(self.normal))).fit(self.normal)
        distance = near.kneighbors(flat)[0].mean(1)
        return np.asarray(distance.reshape(features.shape[:2]))

    def scores(self, encoder: nn.Module, series: Floats, rate_hz: float | None) -> Floats:
        """Return a score for each time stamp of (channels, time), averaged over windows."""
        hop = max(1, self.window // _OVERLAP)
        windows, starts = windows_of(series, self.window, hop)
        if not len(windows):
            raise DataError(
                f"a series of {series.shape[1]} steps is shorter than a window of {self.window}"
            )
        by_place = self.place_scores(level_features(encoder, windows, rate_hz))
        return average_by_time(by_place, starts, self.window, series.shape[1])


def average_by_time(by_place: Floats, starts: NDArray[np.int64], window: int, time: int) -> Floats:
    """Spread scores of places over the samples they cover, and average overlapping windows."""
    places = by_place.shape[1]
    cell = np.minimum(np.arange(window) * places // window, places - 1)
    total, count = np.zeros(time), np.zeros(time)
    for row, start in zip(by_place[:, cell], starts, strict=True):
        total[start : start + window] += row
        count[start : start + window] += 1
    return total / np.maximum(count, 1)


def fit_detector(
    encoder: nn.Module, normal: list[Floats], window: int, rate_hz: float | None, seed: int = 0
) -> Detector:
    """Learn what is normal from series (channels, time), the last fifth of each held out.

    The held-out fifth calibrates: its scores are those of normal time stamps that the detector
    has not seen.
    """
    known, held = [], []
    for one in normal:
        cut = max(min(int(one.shape[1] * 0.8), one.shape[1] - window), min(window, one.shape[1]))
        known.append(one[:, :cut])
        held.append(one[:, cut:])
    parts = [windows_of(one, window, max(1, window // 2))[0] for one in known]
    parts = [part for part in parts if len(part)]
    if not parts:
        longest = max((one.shape[1] for one in normal), default=0)
        raise DataError(
            f"no normal series is as long as a window of {window} steps (longest {longest})"
        )
    features = np.concatenate([level_features(encoder, part, rate_hz) for part in parts])
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    rng = np.random.default_rng(seed)
    if len(flat) > _MOST_NORMAL:
        flat = flat[rng.choice(len(flat), _MOST_NORMAL, replace=False)]
    center = flat.mean(0)
    values, vectors = np.linalg.eigh(np.cov((flat - center).T) + 1e-9 * np.eye(flat.shape[1]))
    floor = 1e-3 * values.max()  # directions without variance would rule the distance
    whiten = vectors / np.sqrt(np.maximum(values, floor))
    made = Detector(center, whiten, (flat - center) @ whiten, np.zeros(0), window)
    usable = [one for one in held if one.shape[1] >= window]
    own = [made.scores(encoder, one, rate_hz) for one in usable] or [np.zeros(1)]
    return Detector(center, whiten, made.normal, np.concatenate(own), window)


@dataclass(frozen=True)
class Detected:
    """Scores and p-values of the time stamps of each series, and the least p there can be."""

    score: list[Floats]
    p_value: list[Floats]
    least: float


def detect(run: Trained, store: RaggedStore, normal: RaggedStore, seed: int = 0) -> Detected:
    """Score every time stamp of a store against normal data."""
    encoder, view = need(run, "encoder"), regular_view(run, store)
    known = regular_view(run, normal)

    def each(one: Any) -> list[Floats]:
        whole = np.where(one.signal.observed, one.signal.values, np.nan)
        bounds = zip(one.offsets[:-1], one.offsets[1:], strict=True)
        return [bridged_rows(whole[:, a:b]) for a, b in bounds]

    detector = fit_detector(encoder, each(known), view.window, view.rate_hz, seed)
    scores = [detector.scores(encoder, one, view.rate_hz) for one in each(view)]
    p = [p_values(detector.calibration, one) for one in scores]
    return Detected(scores, p, 1 / (1 + len(detector.calibration)))
