"""How good forecasts were on the latest part of series, by what was measured there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.forecast import mae, mse, seasonal_error, weighted_quantile_loss
from caesura.tasks.forecast_examples import Examples
from caesura.tasks.forecast_head import window_size
from caesura.tasks.window_features import bridged_rows

Floats = NDArray[np.floating[Any]]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Quantiles of the weighted quantile loss, those of the usual benchmarks."""
_FEWEST = 20
"""Measured errors of a channel and step of which quantiles are taken; of fewer, of all steps."""


class Predictions(NamedTuple):
    """What was forecast after the windows that score, after the earlier ones that choose, and after
    the ends of the series: each (rows, channels, horizon)."""

    latest: Floats
    earlier: Floats
    ends: Floats


def backtest(
    examples: Examples, ways: Mapping[str, Predictions], floor: Floats, scale: Sequence[Floats]
) -> list[dict[str, Any]]:
    """Score forecasts on the latest part; quantiles come from the errors before it.

    What was not measured is not scored. scale: what MASE divides by, of each series by channel; a
    channel whose is 0 is left out of it. floor: least sizes of windows (`window_floor`), in which
    errors of one window are those of another.
    """
    where = examples.series[examples.role == 2]
    past, earlier = examples.of(2)[0], examples.of(1)[0]
    future, came = examples.measured_of(2)[1], examples.measured_of(1)[1]
    earlier_size, size = (window_size(one, floor)[1] for one in (earlier, past))
    unit = np.stack([scale[one] for one in where])
    rows = []
    for name, one in ways.items():
        scaled = scaled_errors(future - one.latest, unit)
        row: dict[str, Any] = {"forecast": name, "MASE": _mean(scaled)}
        row |= {"MAE": mae(future, one.latest), "MSE": mse(future, one.latest)}
        row["WQL"] = float("nan")
        if len(earlier):
            apart = measured_quantiles((came - one.earlier) / earlier_size, LEVELS)
            quantiles = one.latest + apart[:, None] * size
            row["WQL"] = weighted_quantile_loss(future, quantiles, LEVELS)
        rows.append(row)
    return rows


def scaled_errors(errors: Floats, unit: Floats) -> Floats:
    """Return mean absolute errors of windows and channels in units of the channel (rows, channels);
    NaN where nothing was measured, or the unit is 0."""
    there = np.isfinite(errors)
    count = there.sum(-1)
    mean = np.where(there, np.abs(errors), 0.0).sum(-1) / np.maximum(count, 1)
    scored = (count > 0) & (unit > 0)
    return np.where(scored, mean / np.where(scored, unit, 1.0), np.nan)


def _mean(scaled: Floats) -> float:
    return float(np.nanmean(scaled)) if np.isfinite(scaled).any() else float("nan")


def measured_quantiles(errors: Floats, levels: Sequence[float]) -> Floats:
    """Return quantiles of errors (rows, channels, steps), NaN where not measured, by channel and
    step: (levels, channels, steps).

    Where few were measured, of the errors of all steps of that channel; where these are few too, of
    all.
    """
    if len(errors) >= _FEWEST and np.isfinite(errors).all():
        return np.asarray(np.quantile(errors, levels, axis=0))
    out = np.empty((len(levels), *errors.shape[1:]))
    for channel, step in np.ndindex(errors.shape[1:]):
        for one in (errors[:, channel, step], errors[:, channel], errors):
            known = one[np.isfinite(one)]
            if len(known) >= _FEWEST:
                break
        out[:, channel, step] = np.quantile(known, levels) if len(known) else 0.0
    return out


def seasonal_scales(known: Floats, season: int) -> Floats:
    """Return the seasonal error of each channel (channels, time); 0 of a single step.

    Of measured samples a season apart; where there are none, of lines across the gaps.
    """
    lag = min(season, known.shape[1] - 1)
    if lag < 1:
        return np.zeros(len(known))
    apart = known[:, lag:] - known[:, :-lag]
    told = np.any(np.isfinite(apart), axis=1, keepdims=True)
    rows = np.where(told, known, bridged_rows(known))
    return np.array([seasonal_error(row, lag) for row in rows])
