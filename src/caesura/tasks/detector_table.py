"""The detectors that a run offers for regular series, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import nn

from caesura.errors import DataError
from caesura.tasks.detectors import (
    Change,
    Detector,
    Energy,
    NearestWindows,
    PrincipalChannels,
    PrincipalWindows,
    SpectralResidual,
    State,
    average_by_time,
    instance_normalised,
    nearest_distance,
)
from caesura.tasks.needs import Trained, need
from caesura.tasks.random_twin import random_twin
from caesura.tasks.window_features import level_features, windows_of

Floats = NDArray[np.floating[Any]]

RUN = "this-run"
TWIN = "random-init-twin"
CONTROLS = (TWIN, "PCA-channels", "spectral-residual", "change", "energy")
"""Detectors that are taken by their names alone: the twin, and what was worse than others where
choices were made and yet supported there, at times, by anomalies put into normal data."""
SHAPES = ("shape", "shape-period")
"""Detectors that see no level and no size: of several channels controls as well."""
PLACE_NEIGHBOURS = 5
MAX_PLACES = 4000
"""Places of normal data that are kept to compare with."""
WINDOW = (4, 64)
PERIODS = (16, 400)
"""Steps among which a period is looked for."""
PERIOD_WINDOW = (32, 256)
PERIODIC = 0.2
"""Autocorrelation from which on there is a period."""
SPECTRAL_WINDOW = 256
RECENT_STEPS = 8000


@dataclass(frozen=True)
class NormalPlaces:
    """Features of normal places, whitened."""

    center: Floats
    whiten: Floats
    normal: Floats

    def distance(self, features: Floats) -> Floats:
        """Return the mean distance of (rows, places, width) to the nearest normal places."""
        places = (features.reshape(-1, features.shape[-1]) - self.center) @ self.whiten
        distance = nearest_distance(self.normal, places, PLACE_NEIGHBOURS)
        return distance.reshape(features.shape[:2])


def normal_places(features: Floats, seed: int = 0) -> NormalPlaces:
    """Whiten the features (rows, places, width) of normal windows, MAX_PLACES places at most."""
    places = features.reshape(-1, features.shape[-1]).astype(np.float64)
    if len(places) > MAX_PLACES:
        rng = np.random.default_rng(seed)
        places = places[rng.choice(len(places), MAX_PLACES, replace=False)]
    center = places.mean(0)
    values, vectors = np.linalg.eigh(np.cov((places - center).T) + 1e-9 * np.eye(len(center)))
    floor = 1e-3 * values.max()  # directions without variance would rule the distance
    whiten = vectors / np.sqrt(np.maximum(values, floor))
    return NormalPlaces(center, whiten, (places - center) @ whiten)


@dataclass(frozen=True)
class FeatureDistance:
    """Distance of what an encoder says of a place to the nearest ones of normal data, whitened."""

    name: str
    window: int
    encoder: nn.Module
    rate_hz: float | None
    seed: int = 0

    def fit(self, normal: Sequence[Floats]) -> State:
        """Keep the whitened features of normal windows."""
        hop = max(1, self.window // 2)
        windows = np.concatenate([windows_of(one, self.window, hop)[0] for one in normal])
        places = normal_places(level_features(self.encoder, windows, self.rate_hz), self.seed)
        return vars(places)

    def score(self, state: State, series: Floats) -> Floats:
        """Return the mean over the windows that hold a time stamp, of which there are about 4."""
        windows, starts = windows_of(series, self.window, max(1, self.window // 4))
        features = level_features(self.encoder, windows, self.rate_hz)
        by_place = NormalPlaces(**state).distance(features)
        return average_by_time(by_place, starts, self.window, series.shape[1])


def feature_scores(
    encoder: nn.Module,
    normal: Floats,
    later: Floats,
    *,
    window: int,
    rate_hz: float | None,
    seed: int,
) -> Floats:
    """Score later time stamps of a series by the first four fifths of its normal part.

    normal, later: (channels, time). The protocol of studies, which need no p-values.
    """
    time = normal.shape[1]
    last = max(min(int(0.8 * time), time - window), min(window, time))
    if min(time, later.shape[1]) < window:
        raise DataError(
            f"a normal part of {time} steps and a later one of {later.shape[1]}; both need a "
            f"window of {window} at least. Choose a shorter --window"
        )
    detector = FeatureDistance(RUN, window, encoder, rate_hz, seed)
    return detector.score(detector.fit([normal[:, :last]]), later)


class Windows(NamedTuple):
    """Steps that detectors see together: this run, others, and one period (0: there is none)."""

    run: int
    others: int
    period: int


def windows_for(normal: Sequence[Floats], window: int, folds: int) -> Windows:
    """Choose windows by the length and the period of normal series: six at least in a fold."""
    longest = max(one.shape[1] for one in normal)
    room = longest // folds if longest >= 12 * folds * WINDOW[0] else longest
    others = int(np.clip(room // 6, *WINDOW))
    lag = period_of(normal)
    period = min(int(np.clip(lag, *PERIOD_WINDOW)), room // 3)
    return Windows(window, others, period if lag and period > WINDOW[0] else 0)


def period_of(series: Sequence[Floats]) -> int:
    """Return the lag of the highest autocorrelation, mean over channels; 0 where none is high."""
    low, high = PERIODS
    total, count = np.zeros(high + 1), 0
    for one in series:
        for row in one[:, -RECENT_STEPS:]:
            away = row - row.mean()
            size = float(away @ away)
            if len(row) <= 2 * low or size <= 0:
                continue
            spectrum = np.abs(np.fft.rfft(away, 2 * len(row))) ** 2
            lags = np.fft.irfft(spectrum)[: min(high + 1, len(row) // 2)] / size
            total[: len(lags)] += lags
            count += 1
    mean = total / max(count, 1)
    peaks = low + np.flatnonzero(
        (mean[low:-1] > mean[low - 1 : -2]) & (mean[low:-1] >= mean[low + 1 :])
    )
    highest = mean[peaks].max(initial=0.0)
    if highest < PERIODIC:
        return 0
    return int(peaks[mean[peaks] >= 0.9 * highest][0])  # of a period and its multiples the first


def detectors_of(run: Trained, windows: Windows, channels: int, seed: int) -> dict[str, Detector]:
    """Return the detectors by name: first this run and its twin, then those that read samples."""
    sampling = run.schema.sampling
    rate = None if sampling is None else sampling.rate_hz
    encoder, twin = need(run, "encoder"), random_twin(run, seed).parts["encoder"]
    own: dict[str, Detector] = {
        RUN: FeatureDistance(RUN, windows.run, encoder, rate, seed),
        TWIN: FeatureDistance(TWIN, windows.run, twin, rate, seed),
    }
    return own | sample_detectors(windows, channels)


def sample_detectors(windows: Windows, channels: int) -> dict[str, Detector]:
    """Return the detectors that read samples, by name."""
    short, period = windows.others, windows.period
    detectors: list[Detector] = [
        NearestWindows("KNN", short),
        NearestWindows("shape", short, instance_normalised),
        PrincipalWindows("PCA", short),
    ]
    if period:
        detectors += [
            NearestWindows("KNN-period", period),
            NearestWindows("shape-period", period, instance_normalised),
            PrincipalWindows("PCA-period", period),
        ]
    if channels > 1:
        detectors.append(PrincipalChannels("PCA-channels"))
    detectors += [
        SpectralResidual("spectral-residual", min(SPECTRAL_WINDOW, 4 * short)),
        Change("change"),
        Energy("energy"),
    ]
    return {one.name: one for one in detectors}
