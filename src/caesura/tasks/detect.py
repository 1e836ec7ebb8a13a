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
from caesura.metrics.detect import all_detection_scores, p_values
from caesura.tasks.forecast import bridged_series, regular_view
from caesura.tasks.needs import Trained, need
from caesura.tasks.plain_detectors import DETECTORS, over_channels
from caesura.tasks.random_twin import random_twin
from caesura.tasks.window_features import level_features, windows_of

Floats = NDArray[np.floating[Any]]

_MOST_NORMAL = 4000
"""Places of normal data that are kept to compare with."""
_NEIGHBOURS = 5
_OVERLAP = 4
"""Windows that hold a time stamp, about."""


@dataclass(frozen=True)
class NormalPlaces:
    """Features of normal places, whitened."""

    center: Floats
    whiten: Floats
    normal: Floats

    def distance(self, features: Floats) -> Floats:
        """Return the mean distance of (rows, places, width) to the nearest normal places."""
        from sklearn.neighbors import NearestNeighbors

        flat = (features.reshape(-1, features.shape[-1]) - self.center) @ self.whiten
        near = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(self.normal))).fit(self.normal)
        distance = near.kneighbors(flat)[0].mean(1)
        return np.asarray(distance.reshape(features.shape[:2]))


def normal_places(features: Floats, seed: int = 0) -> NormalPlaces:
    """Whiten the features (rows, places, width) of normal windows, 4,000 places at most."""
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    rng = np.random.default_rng(seed)
    if len(flat) > _MOST_NORMAL:
        flat = flat[rng.choice(len(flat), _MOST_NORMAL, replace=False)]
    center = flat.mean(0)
    values, vectors = np.linalg.eigh(np.cov((flat - center).T) + 1e-9 * np.eye(flat.shape[1]))
    floor = 1e-3 * values.max()  # directions without variance would rule the distance
    whiten = vectors / np.sqrt(np.maximum(values, floor))
    return NormalPlaces(center, whiten, (flat - center) @ whiten)


@dataclass(frozen=True)
class Detector:
    """Normal places, and the scores of normal time stamps that were held out."""

    places: NormalPlaces
    calibration: Floats
    window: int

    def scores(self, encoder: nn.Module, series: Floats, rate_hz: float | None) -> Floats:
        """Return a score for each time stamp of (channels, time), averaged over windows."""
        hop = max(1, self.window // _OVERLAP)
        windows, starts = windows_of(series, self.window, hop)
        if not len(windows):
            raise DataError(
                f"a series of {series.shape[1]} steps is shorter than a window of {self.window}"
            )
        by_place = self.places.distance(level_features(encoder, windows, rate_hz))
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
    made = Detector(normal_places(features, seed), np.zeros(0), window)
    usable = [one for one in held if one.shape[1] >= window]
    if not usable:
        raise DataError(
            f"no normal series is as long as two windows of {window} steps: one to learn from and "
            "one, held out, that p-values and thresholds come from; give longer normal data"
        )
    own = [made.scores(encoder, one, rate_hz) for one in usable]
    return Detector(made.places, np.concatenate(own), window)


@dataclass(frozen=True)
class Detected:
    """Scores and p-values of the time stamps of each series.

    calibration: scores of normal time stamps that were held out.
    """

    score: list[Floats]
    p_value: list[Floats]
    calibration: Floats

    @property
    def least(self) -> float:
        """Return the least p-value there can be."""
        return 1 / (1 + len(self.calibration))


def detect(run: Trained, store: RaggedStore, normal: RaggedStore, seed: int = 0) -> Detected:
    """Score every time stamp of a store against normal data."""
    return detect_with(run, store, normal_detector(run, normal, seed))


def normal_detector(run: Trained, normal: RaggedStore, seed: int = 0) -> Detector:
    """Learn what is normal from a store."""
    view = regular_view(run, normal)
    known = bridged_series(view)
    return fit_detector(need(run, "encoder"), known, view.window, view.rate_hz, seed)


def detect_with(run: Trained, store: RaggedStore, detector: Detector) -> Detected:
    """Score every time stamp of a store by a detector that the same run was fitted with."""
    encoder, view = need(run, "encoder"), regular_view(run, store)
    scores = [detector.scores(encoder, one, view.rate_hz) for one in bridged_series(view)]
    p = [p_values(detector.calibration, one) for one in scores]
    return Detected(scores, p, detector.calibration)


def compare_detectors(
    run: Trained,
    store: RaggedStore,
    normal: RaggedStore,
    truth: list[NDArray[np.bool_]],
    found: Detected,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Score this run beside its untrained twin, plain detectors and noise, against labels.

    truth: for each series, which time stamps are anomalous. Scores with a threshold take it from
    normal data: one per cent of those exceed it. Series without an anomaly are left out.
    """
    view, known = regular_view(run, store), regular_view(run, normal)
    new, old = bridged_series(view), bridged_series(known)
    twin = random_twin(run, seed)
    untrained = fit_detector(twin.parts["encoder"], old, view.window, view.rate_hz, seed)
    rng = np.random.default_rng(seed)
    flat = np.concatenate(old, axis=1)
    cut = int(0.8 * flat.shape[1])  # what follows calibrates, as for the encoders

    def plain(way: Any, one: Floats) -> Floats:
        later = np.concatenate([flat[:, cut:], one], axis=1)
        return over_channels(way, flat[:, :cut], later)

    rows: dict[str, list[dict[str, float]]] = {}
    for number, labels in enumerate(truth):
        if not labels.any():
            continue
        one = new[number]
        scored = {"this run": (found.score[number], found.calibration)}
        scores = untrained.scores(twin.parts["encoder"], one, view.rate_hz)
        scored["the same, never trained"] = (scores, untrained.calibration)
        for name, way in DETECTORS.items():
            values = plain(way, one)
            scored[name] = (values[-len(labels) :], values[: -len(labels)])
        scored["uniform noise"] = (rng.random(len(labels)), rng.random(10_000))
        for name, (values, calibration) in scored.items():
            rows.setdefault(name, []).append(all_detection_scores(labels, values, calibration))
    return [
        {"detector": name} | {key: float(np.mean([one[key] for one in each])) for key in each[0]}
        for name, each in rows.items()
    ]
