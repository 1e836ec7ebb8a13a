"""Chooses between ways to forecast, channel by channel, by their errors on earlier windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.errors import RecipeError
from caesura.tasks.backtest import Predictions, scaled_errors
from caesura.tasks.forecast_examples import Examples

Floats = NDArray[np.floating[Any]]

HEAD = "linear head on this run"
DLINEAR = "DLinear"
NAIVE = "seasonal naive"
LAST = "last value"
DRAWS = "draws of this run"
AVERAGE = "average"
WRITTEN = "written (best by channel)"
WAYS = (DRAWS, HEAD, DLINEAR, NAIVE, LAST, AVERAGE)

_GOOD = 1.25
"""Error over the least one up to which a way has a part in the average."""
_AVERAGE = 0.98
"""What the error of an average counts as, of itself, in a choice."""
_EQUAL = 0.5
"""Share of the average's weights that is the same for all good ways: weights by errors alone are
as noisy as these."""


def check_way(name: str) -> None:
    """Raise a RecipeError where a way is not known."""
    if name and name not in WAYS:
        raise RecipeError(f"unknown way to forecast {name!r}; known: {', '.join(WAYS)}")


def errors_by_channel(
    examples: Examples,
    ways: Mapping[str, Predictions],
    units: Sequence[Floats],
    roles: tuple[int, ...] = (1,),
) -> Floats:
    """Return the error of each way and channel, (ways, channels), NaN of a channel of which nothing
    is scored.

    units: what errors of each series are told in, by channel. roles: the windows, 1 those that
    choose and 2 those that score; the mean of both means.
    """
    means = []
    for role in roles:
        came = examples.measured_of(role)[1]
        unit = np.array([units[number] for number in examples.series[examples.role == role]])
        rows = [
            scaled_errors(came - (one.earlier if role == 1 else one.latest), unit)
            for one in ways.values()
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            means.append([np.nansum(row, 0) / np.isfinite(row).sum(0) for row in rows])
    return np.asarray(np.mean(means, axis=0))


def averaged(ways: Mapping[str, Predictions], errors: Floats) -> Predictions:
    """Return the average of the good ways of each channel, the better ones more.

    Weights are half equal, half by the inverse squares of the errors (Bates and Granger 1969).
    """
    known = np.where(np.isfinite(errors), errors, 1.0)
    known = np.maximum(known, 1e-3 * known.max(0) + np.finfo(np.float64).tiny)
    good = known <= _GOOD * known.min(0)
    by_error = np.where(good, (known.min(0) / known) ** 2, 0.0)
    weights = _EQUAL * good / good.sum(0) + (1 - _EQUAL) * by_error / by_error.sum(0)
    parts = [
        sum(weight[:, None] * part for weight, part in zip(weights, each, strict=True))
        for each in zip(*ways.values(), strict=True)
    ]
    return Predictions(*map(np.asarray, parts))


def best_ways(names: Sequence[str], errors: Floats) -> list[str]:
    """Return the way of least error of each channel; of one without errors, that of least mean.

    An average counts as better by a fiftieth: it hangs less on the windows that choose.
    """
    counted = errors * np.array([[_AVERAGE if name == AVERAGE else 1.0] for name in names])
    there = np.isfinite(counted).all(0)
    overall = int(counted[:, there].mean(1).argmin()) if there.any() else names.index(NAIVE)
    best = np.where(there, np.where(there, counted, 0.0).argmin(0), overall)
    return [names[number] for number in best]


class Choice(NamedTuple):
    """The way of each channel: chosen on the windows before those that score, and on both."""

    before: list[str]
    written: list[str]


def choose(examples: Examples, ways: dict[str, Predictions], units: Sequence[Floats]) -> Choice:
    """Choose the way of each channel, and add the average of the good ones to the ways.

    What scores it is chosen on earlier windows; what is written, on the latest ones too.
    """
    if len(ways) > 1:
        before, both = (errors_by_channel(examples, ways, units, x) for x in ((1,), (1, 2)))
        ends = averaged(ways, both).ends
        ways[AVERAGE] = averaged(ways, before)._replace(ends=ends)
    names = list(ways)
    return Choice(
        *(best_ways(names, errors_by_channel(examples, ways, units, x)) for x in ((1,), (1, 2)))
    )


def by_channel(ways: Mapping[str, Predictions], chosen: Sequence[str]) -> Predictions:
    """Return what the chosen way of each channel forecasts."""
    parts = [
        np.stack([getattr(ways[name], part)[:, channel] for channel, name in enumerate(chosen)], 1)
        for part in Predictions._fields
    ]
    return Predictions(*parts)
