"""How good forecasts were on the latest part of series, by what was measured there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.forecast import mae, mse, seasonal_error, weighted_quantile_loss
from caesura.tasks.forecast_examples import Examples
from caesura.tasks.forecast_head import Head, window_size
from caesura.tasks.window_features import bridged_rows

Floats = NDArray[np.floating[Any]]

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Quantiles of the weighted quantile loss, those of the usual benchmarks."""
_FEWEST = 20
"""Measured errors of a channel and step of which quantiles are taken; of fewer, of all steps."""


class Said(NamedTuple):
    """What was forecast after the windows that score, and after the earlier ones whose errors give
    quantiles: each (rows, channels, horizon)."""

    latest: Floats
    earlier: Floats


def backtest(
    examples: Examples, said: Mapping[str, Said], head: Head, scale: Sequence[Floats]
) -> list[dict[str, Any]]:
    """Score forecasts on the latest part; quantiles come from the errors before it.

    What was not measured is not scored. scale: what MASE divides by, of each series by channel; a
    channel whose is 0 is left out of it. head: its sizes of windows, in which errors of one window
    are those of another.
    """
    where = examples.series[examples.role == 2]
    past, earlier = examples.of(2)[0], examples.of(1)[0]
    future, came = examples.measured_of(2)[1], examples.measured_of(1)[1]
    own, size = (window_size(one, head.floor)[1] for one in (earlier, past))
    unit = np.stack([scale[one] for one in where])
    rows = []
    for name, one in said.items():
        row: dict[str, Any] = {"forecast": name, "MASE": _scaled(future - one.latest, unit)}
        row |= {"MAE": mae(future, one.latest), "MSE": mse(future, one.latest)}
        apart = measured_quantiles((came - one.earlier) / own, LEVELS)
        quantiles = one.latest + apart[:, None] * size
        rows.append(row | {"WQL": weighted_quantile_loss(future, quantiles, LEVELS)})
    return rows


def measured_quantiles(errors: Floats, levels: Sequence[float]) -> Floats:
    """Return quantiles of errors (rows, channels, steps), NaN where not measured, by channel and
    step: (levels, channels, steps).

    Where few were measured, of the errors of all steps of that channel; where these are few too, of
    all.
    """
    if np.isfinite(errors).all():
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
    """Return the seasonal error of each channel (channels, time), two steps at least.

    Of measured samples a season apart; where there are none, of lines across the gaps.
    """
    lag = min(season, known.shape[1] - 1)
    apart = known[:, lag:] - known[:, :-lag]
    told = np.any(np.isfinite(apart), axis=1, keepdims=True)
    rows = np.where(told, known, bridged_rows(known))
    return np.array([seasonal_error(row, lag) for row in rows])


def _scaled(errors: Floats, unit: Floats) -> float:
    """Return the mean over windows and channels of their absolute error in units of the channel
    (rows, channels); NaN where there is no channel to tell of."""
    there = np.isfinite(errors)
    count = there.sum(-1)
    mean = np.where(there, np.abs(errors), 0.0).sum(-1) / np.maximum(count, 1)
    told = (count > 0) & (unit > 0)
    return float(np.mean(mean[told] / unit[told])) if told.any() else float("nan")
