"""The ways to forecast: heads, a generator's draws, the last season again, the last value.

Each is asked what follows the windows that choose, those that score, and the ends of the series.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from caesura.data.grid import GridStore
from caesura.tasks.backtest import Predictions
from caesura.tasks.forecast_anchors import seasonal_anchors
from caesura.tasks.forecast_draws import Drawn, stretched
from caesura.tasks.forecast_examples import Examples, Plan
from caesura.tasks.forecast_head import (
    Framed,
    Read,
    choose_head,
    dlinear_features,
    refit_head,
    window_floor,
)
from caesura.tasks.forecast_ways import DLINEAR, HEAD, LAST, NAIVE
from caesura.tasks.window_features import sequence_features

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Material:
    """Series (channels, time), NaN in gaps, and the windows cut of them: None of too short ones.

    ends: the last window of each series, gaps and what is before its begin bridged.
    """

    series: list[Floats]
    examples: Examples | None
    plan: Plan
    ends: Floats
    horizon: int
    season: int

    def anchors(self, role: int | None) -> Floats:
        """Return the last season before what follows windows of a role; None: the ends."""
        if role is None or self.examples is None:
            numbers = np.arange(len(self.series))
            begin = np.array([one.shape[1] for one in self.series])
        else:
            mine = self.examples.role == role
            numbers, begin = self.examples.series[mine], self.examples.begin[mine]
        return seasonal_anchors(self.series, numbers, begin, self.horizon, self.season)

    @property
    def floor(self) -> Floats:
        """Least sizes of windows."""
        if self.examples is None:
            return window_floor(self.ends)
        fits = self.examples.of(0)[0]
        return window_floor(fits if len(fits) else self.examples.past)


def linear_ways(
    material: Material, encoder: nn.Module | None, view: GridStore
) -> dict[str, Predictions]:
    """Return what heads forecast; none where no window is left to fit them."""
    if material.examples is None or not (material.examples.role == 0).any():
        return {}
    ways = {DLINEAR: _headed(material, dlinear_features)}
    if encoder is None:
        return ways
    patch = int(getattr(encoder.config, "patch", 0)) or 1

    def read(past: Floats) -> Floats:
        # what is before the first whole patch was not measured
        gap = np.full((*past.shape[:2], -past.shape[-1] % patch), np.nan)
        given = view.units.model(np.concatenate([gap, past], -1))
        return sequence_features(encoder, given, view.rate_hz)

    return {HEAD: _headed(material, read, seasonal=True)} | ways


def _headed(material: Material, read: Read, seasonal: bool = False) -> Predictions:
    """Return what a linear head forecasts: fitted to the windows before the ones that it is asked
    of. seasonal: whether it sees the last season, and may be told less it."""
    examples, floor = material.examples, material.floor
    if examples is None:
        raise TypeError("a head is fitted to windows")
    season = material.season if seasonal else 0

    def framed(past: Floats, role: int | None) -> Framed:
        return Framed.of(read, past, material.anchors(role), season, floor)

    (fit_past, fit_future), (past, future), (last_past, last_future) = map(examples.of, range(3))
    fits, later, latest = framed(fit_past, 0), framed(past, 1), framed(last_past, 2)
    choice = choose_head(fits, fit_future, later, future, seasonal)
    known, came = Framed.joined(fits, later), np.concatenate([fit_future, future])
    everything = Framed.joined(known, latest)
    return Predictions(
        latest=refit_head(choice, known, came, latest),
        earlier=refit_head(choice, fits, fit_future, later),
        ends=refit_head(
            choice, everything, np.concatenate([came, last_future]), framed(material.ends, None)
        ),
    )


def plain_ways(material: Material) -> dict[str, Predictions]:
    """Return the last season again, and, where that is not the same, the last value."""
    naive = Predictions(*(material.anchors(role) for role in (2, 1, None)))
    if material.season == 1:
        return {NAIVE: naive}
    last = replace(material, season=1)
    return {NAIVE: naive, LAST: Predictions(*(last.anchors(role) for role in (2, 1, None)))}


def drawn_way(
    drawn: Drawn, material: Material, condition: NDArray[np.float32] | None
) -> tuple[Predictions, tuple[Floats, Floats]]:
    """Return the medians of draws, and bounds of what follows the ends of the series.

    Draws see gaps as gaps. The bounds would have held 90 % of what came after the latest windows.
    condition: of each series, (series, numbers).
    """
    examples = material.examples

    def asked(past: Floats, series: NDArray[np.int64]) -> Floats:
        return drawn.quantiles(past, None if condition is None else condition[series])

    steps = drawn.window - material.horizon
    ends = np.full((len(material.series), material.ends.shape[1], steps), np.nan)
    for row, one in zip(ends, material.series, strict=True):
        known = one[:, -steps:]
        row[:, steps - known.shape[1] :] = known
    last = asked(ends, np.arange(len(ends)))
    if examples is None:
        empty = np.empty((0, *last.shape[2:]))
        medians, lower, upper = Predictions(empty, empty, last[1]), last[0], last[2]
    else:
        latest, earlier = (
            asked(examples.measured_of(role)[0], examples.series[examples.role == role])
            for role in (2, 1)
        )
        lower, upper = stretched(last, latest, examples.measured_of(2)[1])
        medians = Predictions(latest[1], earlier[1], last[1])
    return Predictions(*map(drawn.in_steps, medians)), (
        drawn.in_steps(lower),
        drawn.in_steps(upper),
    )
