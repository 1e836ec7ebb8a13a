"""Forecasts by draws from a generator that is shown the end of a series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.errors import RecipeError
from caesura.tasks.generate import sampling_of
from caesura.tasks.impute import fill_windows
from caesura.tasks.needs import Trained

Floats = NDArray[np.floating[Any]]

_LEVEL = 0.9


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
        """Return the median of what follows windows, (rows, channels, horizon)."""
        middle: Floats = self.quantiles(past)[1]
        return middle


def stretch(quantiles: Floats, came: Floats) -> Floats:
    """Return by how much bounds must be stretched about the median to hold what came in 90 %.

    quantiles: (3, rows, channels, horizon); came: (rows, channels, horizon). A factor a channel,
    below and above alike (split conformal prediction with the bounds' distance as the scale).
    """
    lower, middle, upper = quantiles
    half = np.where(came > middle, upper - middle, middle - lower)
    ratio = np.abs(came - middle) / np.maximum(half, 1e-12)
    each = ratio.transpose(1, 0, 2).reshape(came.shape[1], -1)
    return np.asarray(np.quantile(each, _LEVEL, axis=1))[:, None]
