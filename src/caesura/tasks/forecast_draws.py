"""Forecasts by draws from a generator that is shown the end of a series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.errors import RecipeError
from caesura.tasks.generate import in_units, sampling_of
from caesura.tasks.impute import fill_windows
from caesura.tasks.needs import Trained

Floats = NDArray[np.floating[Any]]

_LEVEL = 0.9
_LEAST = 0.01
"""Of the mean error that every bound's distance from the median counts as, beside its own."""


@dataclass(frozen=True)
class Drawn:
    """Asks a generator for the last `horizon` steps of its window, given the steps before them."""

    run: Trained
    horizon: int
    draws: int
    seed: int = 0

    def __post_init__(self) -> None:
        window = self.window
        if self.horizon >= window or self.draws < 2:
            raise RecipeError(
                f"{self.draws} draws of {self.horizon} steps by a run with windows of {window}; "
                "the horizon must be shorter than a window, and two draws are the least. "
                "--draws 0 forecasts with a linear head"
            )

    @property
    def window(self) -> int:
        """Steps of a window of the run."""
        return sampling_of(self.run).window

    def quantiles(self, past: Floats, condition: NDArray[np.float32] | None = None) -> Floats:
        """Return lower bound, median and upper bound of 90 % of the draws that follow windows
        (rows, channels, time), NaN where nothing was measured: (3, rows, channels, horizon).

        condition: of each window, (rows, numbers), scaled as the training's were.
        """
        window = self.window
        asked = np.full((*past.shape[:2], window), np.nan)
        known = past[..., max(0, past.shape[-1] - (window - self.horizon)) :]
        asked[..., window - self.horizon - known.shape[-1] : window - self.horizon] = known
        found = fill_windows(
            self.run, asked, condition, draws=self.draws, level=_LEVEL, seed=self.seed
        )
        return np.stack(found)[..., -self.horizon :]

    def in_steps(self, values: Floats) -> Floats:
        """Return values (rows, channels, horizon) in the table's steps and limits."""
        return in_units(values, sampling_of(self.run))


def stretched(last: Floats, earlier: Floats, came: Floats) -> tuple[Floats, Floats]:
    """Return bounds about the median that held what came earlier in 90 %.

    last, earlier: lower bound, median and upper bound, (3, rows, channels, horizon); came:
    (rows, channels, horizon), NaN where nothing was measured. The draws' own bounds times a factor
    a channel, below and above alike (split conformal prediction with the bounds' distance as the
    scale). Where all draws agree that distance is zero, and no factor right: a hundredth of the
    mean error is added to it, and no bound is further from the median than the largest earlier
    error. The bounds of a channel of which nothing came earlier stay the draws' own.
    """
    lower, middle, upper = earlier
    there = np.asarray(np.any(np.isfinite(came), axis=(0, 2)))
    least, factor, furthest = np.zeros(len(there)), np.ones(len(there)), np.full(len(there), np.inf)
    error = np.abs(came - middle)[:, there]
    least[there] = _LEAST * np.nanmean(error, (0, 2)) + np.finfo(np.float64).tiny
    half = np.where(came > middle, upper - middle, middle - lower) + least[:, None]
    factor[there] = np.nanquantile(error / half[:, there], _LEVEL, axis=(0, 2))
    furthest[there] = np.nanmax(error, (0, 2))
    least, factor, furthest = (one[:, None] for one in (least, factor, furthest))
    lower, middle, upper = last
    below = np.minimum(factor * (middle - lower + least), furthest)
    above = np.minimum(factor * (upper - middle + least), furthest)
    return np.asarray(middle - below), np.asarray(middle + above)
