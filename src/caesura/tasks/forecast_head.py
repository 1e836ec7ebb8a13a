"""Linear heads on the features of windows: they predict what follows, over the window's size, less
its mean or less the last season."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.units import ROUNDING
from caesura.tasks.forecast_examples import Examples
from caesura.tasks.ridge import STRENGTHS, Ridge, fit_ridge

Floats = NDArray[np.floating[Any]]
Read = Callable[[Floats], Floats]
"""Windows to features."""

_MAX_SEASONAL_FEATURES = 512
"""Numbers of the last season, over all channels, up to which they are features of a head."""


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
    floor = np.where(rarely, np.where(whole > 0, whole, 1.0), 0.1 * own)
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
    center, spread = past.mean(-1, keepdims=True), past.std(-1, keepdims=True)
    largest = np.abs(past).max(-1, keepdims=True)
    spread = np.where(spread > ROUNDING * largest, spread, np.where(largest > 0, largest, 1.0))
    parts = [(trend - center) / spread, (past - trend) / spread]
    return np.concatenate([p.reshape(len(past), -1) for p in parts], axis=1)


@dataclass(frozen=True)
class Framed:
    """Windows as a head sees them: features (rows, features), mean and size of each window, and
    its last season, (rows, channels, steps)."""

    features: Floats
    center: Floats
    spread: Floats
    anchors: Floats

    @classmethod
    def of(cls, read: Read, past: Floats, anchors: Floats, season: int, floor: Floats) -> Framed:
        """Read windows; the values of the last season are features too, where they are few."""
        center, spread = window_size(past, floor)
        features = read(past)
        seasonal = ((anchors - center) / spread)[..., :season].reshape(len(past), -1)
        if seasonal.shape[1] <= _MAX_SEASONAL_FEATURES:
            features = np.concatenate([features, seasonal], axis=1)
        return cls(features.astype(np.float64), center, spread, anchors)

    @classmethod
    def joined(cls, first: Framed, second: Framed) -> Framed:
        """Return the windows of both."""
        return cls(
            *(
                np.concatenate([getattr(one, part.name) for one in (first, second)])
                for part in fields(cls)
            )
        )

    def targets(self, future: Floats) -> Floats:
        """Return what follows less the mean, and less the last season, in sizes: (rows, 2,
        channels, steps)."""
        starts = np.stack(np.broadcast_arrays(self.center, self.anchors), axis=1)
        return np.asarray((future[:, None] - starts) / self.spread[:, None])

    def restored(self, scaled: Floats, seasonal: NDArray[np.bool_]) -> Floats:
        """Return forecasts (rows, channels, steps) of heads; seasonal: of each channel, whether it
        is told less the last season."""
        start = np.where(seasonal[:, None], self.anchors, self.center)
        return np.asarray(start + scaled * self.spread)


@dataclass(frozen=True)
class HeadChoice:
    """Of each channel the strength of its ridge, and whether it adds to the last season."""

    strength: Floats
    seasonal: NDArray[np.bool_]


def choose_head(
    fits: Framed, future: Floats, later: Framed, came: Floats, seasonal: bool = True
) -> HeadChoice:
    """Return the strengths and anchors of least squared error on later windows.

    future, came: what followed, (rows, channels, steps). One decomposition serves all. seasonal:
    whether the last season may be an anchor.
    """
    goal, truth = fits.targets(future), later.targets(came)
    center, spread = fits.features.mean(0), fits.features.std(0) + 1e-6
    x, z = ((one.features - center) / spread for one in (fits, later))
    offset = goal.mean(0)
    y = (goal - offset).reshape(len(x), -1)
    wide = x.shape[1] > len(x)  # the smaller of both products of features
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    project = z @ x.T @ vectors if wide else z @ vectors
    projected = vectors.T @ (y if wide else x.T @ y)
    size = max(float(np.square(x).sum()) / x.shape[1], 1e-12)
    errors = []
    for strength in STRENGTHS:
        shrunk = projected / (np.maximum(values, 0) + strength * size)[:, None]
        missed = (project @ shrunk).reshape(truth.shape) + offset - truth
        errors.append(np.square(missed).mean((0, 3)))
    by_strength = np.stack(errors)  # strengths, anchors, channels
    best = by_strength.argmin(0)
    least = by_strength.min(0)
    better = (least[1] < least[0]) & seasonal
    return HeadChoice(STRENGTHS[np.where(better, best[1], best[0])], better)


def refit_head(choice: HeadChoice, fits: Framed, future: Floats, asked: Framed) -> Floats:
    """Fit heads as chosen to windows, and return their forecasts (rows, channels, steps) after
    others."""
    targets = fits.targets(future)
    goal: Floats = np.where(choice.seasonal[:, None], targets[:, 1], targets[:, 0])
    center, spread = fits.features.mean(0), fits.features.std(0) + 1e-6
    x, z = ((one.features - center) / spread for one in (fits, asked))
    offset = goal.mean(0)
    size = max(float(np.square(x).sum()) / x.shape[1], 1e-12)
    out = np.empty((len(z), *goal.shape[1:]))
    wide = x.shape[1] > len(x)
    product = x @ x.T if wide else x.T @ x
    for strength in np.unique(choice.strength):
        mine = choice.strength == strength
        y = (goal - offset)[:, mine].reshape(len(x), -1)
        ridge = product + strength * size * np.eye(len(product))
        weights = np.linalg.solve(ridge, y if wide else x.T @ y)
        weights = x.T @ weights if wide else weights
        out[:, mine] = (z @ weights).reshape(len(z), -1, goal.shape[2]) + offset[mine]
    return asked.restored(out, choice.seasonal)
