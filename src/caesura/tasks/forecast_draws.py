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
        window = sampling_of(self.run).window
        if self.horizon >= window or self.draws < 2:
            raise RecipeError(
                f"{self.draws} draws of {self.horizon} steps by a run with windows of {window}; "
                "the horizon must be shorter than a window, and two draws are the least. "
                "--draws 0 forecasts with a linear head"
            )

    def quantiles(self, past: Floats) -> Floats:
        """Return lower bound, median and upper bound of 90 % of the draws that follow windows
        (rows, channels, time), (3, rows, channels, horizon)."""
        later = np.full((*past.shape[:2], self.horizon), np.nan)
        asked = np.concatenate([past[..., self.horizon :], later], -1)
        found = fill_windows(self.run, asked, draws=self.draws, level=_LEVEL, seed=self.seed)
        return np.stack(found)[..., -self.horizon :]

    def median(self, past: Floats) -> Floats:
        """Return the median of what follows windows in the table's units and steps, (rows,
        channels, horizon)."""
        return in_units(self.quantiles(past)[1], sampling_of(self.run))

    def interval(self, past: Floats, earlier: Floats, came: Floats) -> tuple[Floats, ...]:
        """Return lower bound, median and upper bound of what follows windows, in the table's steps.

        They would have held 90 % of what `came` after `earlier` windows.
        """
        last = self.quantiles(past)
        lower, upper = stretched(last, self.quantiles(earlier), came)
        return tuple(in_units(one, sampling_of(self.run)) for one in (lower, last[1], upper))


def stretched(last: Floats, earlier: Floats, came: Floats) -> tuple[Floats, Floats]:
    """Return bounds about the median that held what came earlier in 90 %.

    last, earlier: lower bound, median and upper bound, (3, rows, channels, horizon); came:
    (rows, channels, horizon). The draws' own bounds times a factor a channel, below and above alike
    (split conformal prediction with the bounds' distance as the scale). Where all draws agree that
    distance is zero, and no factor right: a hundredth of the mean error is added to it, and no
    bound is further from the median than the largest earlier error.
    """
    lower, middle, upper = earlier
    error = np.abs(came - middle)
    least = _LEAST * error.mean((0, 2))[:, None] + 1e-30
    half = np.where(came > middle, upper - middle, middle - lower) + least
    ratio = (error / half).transpose(1, 0, 2).reshape(came.shape[1], -1)
    factor = np.quantile(ratio, _LEVEL, axis=1)[:, None]
    furthest = error.max((0, 2))[:, None]
    lower, middle, upper = last
    below = np.minimum(factor * (middle - lower + least), furthest)
    above = np.minimum(factor * (upper - middle + least), furthest)
    return np.asarray(middle - below), np.asarray(middle + above)
