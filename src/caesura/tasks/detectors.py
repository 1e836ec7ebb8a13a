"""Detectors that learn from normal series and score the time stamps of others.

A detector has no state: `fit` returns arrays (so that they can be kept in a file), `score` reads
them. All see each channel in deviations of its normal part, so that units play no part; a channel
that never changed there counts as far from normal wherever it differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from caesura.tasks.window_features import windows_of

Floats = NDArray[np.floating[Any]]
State = Mapping[str, Floats]

CLIP = 20.0
"""Deviations from the normal mean beyond which values count as equally far."""
MEMORY_NUMBERS = 3_000_000
"""Numbers of all windows that neighbours are looked for in."""
MEMORY_WINDOWS = 3000
NEIGHBOURS = 3
DIRECTIONS = 10
"""Principal directions of windows of one channel that count as normal."""
VARIANCE = 0.9
"""Share of the variance between channels whose principal directions count as normal."""
CONSTANT = 1e-6
"""Share of a level below which changes are rounding."""


class Detector(Protocol):
    """What scores time stamps after it has seen normal series."""

    @property
    def name(self) -> str:
        """What users call it by."""

    @property
    def window(self) -> int:
        """Steps that are seen together; shorter series have no score."""

    def fit(self, normal: Sequence[Floats]) -> State:
        """Learn from contiguous pieces (channels, time), each at least a window long."""

    def score(self, state: State, series: Floats) -> Floats:
        """Return how far each time stamp of (channels, time) is from normal."""


def normal_scale(normal: Sequence[Floats]) -> dict[str, Floats]:
    """Return center and spread of each channel of (channels, time) pieces; 0 where constant."""
    whole = np.concatenate(normal, axis=1).astype(np.float64)
    center, spread = whole.mean(1), whole.std(1)
    constant = spread <= CONSTANT * np.abs(whole).max(1)
    return {"center": center, "spread": np.where(constant, 0.0, spread)}


def in_deviations(state: State, series: Floats) -> Floats:
    """Return (channels, time) in deviations of the normal part, within -CLIP and CLIP."""
    center, spread = state["center"][:, None], state["spread"][:, None]
    away = series.astype(np.float64) - center
    changed = np.where(np.abs(away) > CONSTANT * np.abs(center), np.sign(away) * CLIP, 0.0)
    scaled = np.divide(away, spread, out=changed, where=spread > 0)
    return np.clip(scaled, -CLIP, CLIP)


def spread_over_time(values: Floats, starts: NDArray[np.int64], window: int, time: int) -> Floats:
    """Return the mean over all windows that hold a time stamp, of (windows,) values."""
    total, count = np.zeros(time + 1), np.zeros(time + 1)
    for ends, sign in ((starts, 1.0), (starts + window, -1.0)):
        np.add.at(total, ends, sign * values)
        np.add.at(count, ends, sign)
    return np.asarray(total.cumsum()[:time] / np.maximum(count.cumsum()[:time], 1))


def nearest_distance(memory: Floats, rows: Floats, neighbours: int) -> Floats:
    """Return the mean distance of rows to their nearest ones of a memory."""
    from sklearn.neighbors import NearestNeighbors

    count = min(neighbours, len(memory))
    near = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(memory)
    return np.asarray(near.kneighbors(rows)[0].mean(1))


def _same(windows: Floats) -> Floats:
    return windows


def instance_normalised(windows: Floats) -> Floats:
    """Return windows less their own mean, over their own deviation.

    1e-2 normal deviations are added to it, so that the noise of flat stretches stays small.
    """
    centered = windows - windows.mean(-1, keepdims=True)
    return np.asarray(centered / (windows.std(-1, keepdims=True) + 1e-2))


@dataclass(frozen=True)
class NearestWindows:
    """Distance of windows to their nearest normal ones, each channel alone, mean over channels."""

    name: str
    window: int
    view: Callable[[Floats], Floats] = _same

    def fit(self, normal: Sequence[Floats]) -> State:
        """Keep windows of each channel, evenly spaced."""
        scale = normal_scale(normal)
        channels = len(normal[0])
        most = int(np.clip(MEMORY_NUMBERS // (channels * self.window), 200, MEMORY_WINDOWS))
        time = sum(one.shape[1] for one in normal)
        hop = max(1, -(-time // most))
        parts = [windows_of(in_deviations(scale, one), self.window, hop)[0] for one in normal]
        memory = self.view(np.concatenate(parts)).transpose(1, 0, 2).astype(np.float32)
        return scale | {"memory": memory}

    def score(self, state: State, series: Floats) -> Floats:
        """Return the mean over channels of distances, and over windows of a time stamp."""
        hop = max(1, self.window // 8)
        windows, starts = windows_of(in_deviations(state, series), self.window, hop)
        rows = self.view(windows).astype(np.float32)
        memory = state["memory"].astype(np.float32)
        each = [nearest_distance(known, rows[:, k], NEIGHBOURS) for k, known in enumerate(memory)]
        return spread_over_time(np.mean(each, axis=0), starts, self.window, series.shape[1])


@dataclass(frozen=True)
class PrincipalWindows:
    """What ten principal directions of normal windows leave, each channel alone."""

    name: str
    window: int

    def fit(self, normal: Sequence[Floats]) -> State:
        """Find the directions of each channel, and the size of what they usually leave."""
        scale = normal_scale(normal)
        time = sum(one.shape[1] for one in normal)
        hop = max(1, time // (2 * MEMORY_WINDOWS))
        parts = [windows_of(in_deviations(scale, one), self.window, hop)[0] for one in normal]
        windows = np.concatenate(parts)
        mean = windows.mean(0)
        directions = []
        for channel in (windows - mean).transpose(1, 0, 2):
            vectors = np.linalg.eigh(channel.T @ channel)[1]
            directions.append(vectors[:, ::-1][:, :DIRECTIONS].T)
        return scale | {"mean": mean, "directions": np.stack(directions)}

    def score(self, state: State, series: Floats) -> Floats:
        """Return the mean square that the directions leave, mean over channels."""
        hop = max(1, self.window // 16)
        windows, starts = windows_of(in_deviations(state, series), self.window, hop)
        total = np.zeros(len(windows))
        each = zip((windows - state["mean"]).transpose(1, 0, 2), state["directions"], strict=True)
        for channel, directions in each:
            left = channel - channel @ directions.T @ directions
            total += np.square(left).mean(1)
        return spread_over_time(total / len(series), starts, self.window, series.shape[1])


@dataclass(frozen=True)
class PrincipalChannels:
    """What the principal directions between channels leave of each time stamp."""

    name: str
    window: int = 1

    def fit(self, normal: Sequence[Floats]) -> State:
        """Find the directions of `VARIANCE` of the variance."""
        scale = normal_scale(normal)
        stamps = np.concatenate([in_deviations(scale, one) for one in normal], axis=1)
        values, vectors = np.linalg.eigh(np.cov(stamps))
        share = np.cumsum(values[::-1]) / max(float(values.sum()), 1e-12)
        count = min(int((share < VARIANCE).sum()) + 1, len(values) - 1)
        return scale | {"directions": vectors[:, ::-1][:, :count].T}

    def score(self, state: State, series: Floats) -> Floats:
        """Return the mean square of what is left."""
        stamps, directions = in_deviations(state, series), state["directions"]
        return np.asarray(np.square(stamps - directions.T @ (directions @ stamps)).mean(0))


@dataclass(frozen=True)
class Energy:
    """Mean square of the deviations from the normal mean."""

    name: str
    window: int = 1

    def fit(self, normal: Sequence[Floats]) -> State:
        """Keep means and deviations."""
        return normal_scale(normal)

    def score(self, state: State, series: Floats) -> Floats:
        """Return the mean square over channels."""
        return np.asarray(np.square(in_deviations(state, series)).mean(0))


@dataclass(frozen=True)
class Change:
    """Mean square of the change from one time stamp to the next."""

    name: str
    window: int = 2

    def fit(self, normal: Sequence[Floats]) -> State:
        """Keep means and deviations of values and of changes."""
        scale = normal_scale(normal)
        changes = [np.diff(in_deviations(scale, one)) for one in normal]
        return scale | {"change": np.concatenate(changes, axis=1).std(1)}

    def score(self, state: State, series: Floats) -> Floats:
        """Return it over channels, each in its usual changes."""
        values = in_deviations(state, series)
        usual = state["change"][:, None]
        change = np.diff(values, prepend=values[:, :1])
        scaled = np.divide(change, usual, out=np.sign(change) * CLIP, where=usual > 0)
        return np.asarray(np.square(np.clip(scaled, -CLIP, CLIP)).mean(0))


@dataclass(frozen=True)
class SpectralResidual:
    """Saliency of a spectrum less its local mean (Ren et al. 2019, sec. 3.2), no normal data read
    but for its scale."""

    name: str
    window: int

    def fit(self, normal: Sequence[Floats]) -> State:
        """Keep means and deviations."""
        return normal_scale(normal)

    def score(self, state: State, series: Floats) -> Floats:
        """Return the saliency over its mean in a window, mean over channels."""
        from scipy.ndimage import uniform_filter1d

        windows, starts = windows_of(in_deviations(state, series), self.window, self.window // 2)
        spectrum = np.fft.fft(windows - windows.mean(-1, keepdims=True))
        size = np.abs(spectrum)
        logarithm = np.log(size + 1e-3 * np.sqrt(self.window))
        left = logarithm - uniform_filter1d(logarithm, 3, axis=-1, mode="wrap")
        saliency = np.abs(np.fft.ifft(np.exp(left + 1j * np.angle(spectrum))))
        saliency = (saliency / saliency.mean(-1, keepdims=True)).mean(1)
        return average_by_time(saliency, starts, self.window, series.shape[1])


def average_by_time(by_place: Floats, starts: NDArray[np.int64], window: int, time: int) -> Floats:
    """Spread scores of places over the samples they cover, and average overlapping windows."""
    places = by_place.shape[1]
    cell = np.minimum(np.arange(window) * places // window, places - 1)
    total, count = np.zeros(time), np.zeros(time)
    for row, start in zip(by_place[:, cell], starts, strict=True):
        total[start : start + window] += row
        count[start : start + window] += 1
    return total / np.maximum(count, 1)
