"""A linear head on the features of windows: it predicts what follows, less the window's mean, over
its size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.tasks.forecast_examples import Examples
from caesura.tasks.ridge import Ridge, fit_ridge

Floats = NDArray[np.floating[Any]]
Read = Callable[[Floats], Floats]
"""Windows to features."""


@dataclass(frozen=True)
class Head:
    """A ridge on the features of windows, in units of each window's size (`window_size`)."""

    ridge: Ridge
    floor: Floats

    def scaled(self, past: Floats, values: Floats) -> Floats:
        """Return values less the mean of their window, over its size."""
        center, spread = window_size(past, self.floor)
        return np.asarray((values - center) / spread)

    def predict(self, features: Floats, past: Floats, horizon: int) -> Floats:
        """Return forecasts (rows, channels, horizon) in the windows' units."""
        center, spread = window_size(past, self.floor)
        out = self.ridge.predict(features).reshape(*past.shape[:2], horizon)
        return np.asarray(out * spread + center)


def window_floor(past: Floats) -> Floats:
    """Return a tenth of the median deviation of windows, for each channel: (1, channels, 1).

    Where more than half of them are constant (a flag, a valve), the deviation of all values; of a
    channel that never changed, 1.
    """
    own = np.median(past.std(-1), axis=0)
    whole = past.std((0, -1))
    rarely = own <= 1e-6 * whole
    floor = np.where(rarely, np.where(whole > 0, whole, 1.0), 0.1 * own + 1e-9)
    return np.asarray(floor[None, :, None])


def window_size(past: Floats, floor: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation of each window and channel, the latter of `floor` at least.

    In its own deviations a window that is nearly constant would be worth more than all others.
    """
    return past.mean(-1, keepdims=True), np.sqrt(past.var(-1, keepdims=True) + floor**2)


def fit_head(examples: Examples, read: Read) -> Head:
    """Fit a linear head on features of windows."""
    floor = window_floor(examples.of(0)[0])

    def rows(role: int) -> tuple[Floats, Floats]:
        past, future = examples.of(role)
        center, spread = window_size(past, floor)
        return read(past), np.asarray((future - center) / spread).reshape(len(past), -1)

    return Head(fit_ridge(*rows(0), *rows(1)), floor)


def predict_with(head: Head, read: Read, past: Floats, horizon: int) -> Floats:
    """Return forecasts (rows, channels, horizon) in the windows' units."""
    return head.predict(read(past), past, horizon)


def dlinear_features(past: Floats, width: int = 25) -> Floats:
    """Return trend (moving average) and remainder of each window, what DLinear is linear in.

    Zeng et al. 2023, arXiv 2205.13504; here its two maps are fitted as one ridge.
    """
    half = width // 2
    padded = np.pad(past, [(0, 0), (0, 0), (half, half)], mode="edge")
    summed = np.cumsum(np.pad(padded, [(0, 0), (0, 0), (1, 0)]), axis=-1)
    trend = (summed[..., width:] - summed[..., :-width]) / width
    center, spread = past.mean(-1, keepdims=True), past.std(-1, keepdims=True) + 1e-9
    parts = [(trend - center) / spread, (past - trend) / spread]
    return np.concatenate([p.reshape(len(past), -1) for p in parts], axis=1)
