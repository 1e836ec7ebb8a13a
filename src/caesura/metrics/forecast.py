"""Scores of forecasts: squared and absolute error, scaled error, quantile loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def mse(truth: Floats, predicted: Floats) -> float:
    """Return the mean squared error over all observed (not NaN) values."""
    return float(np.nanmean(np.square(predicted - truth)))


def mae(truth: Floats, predicted: Floats) -> float:
    """Return the mean absolute error over all observed values."""
    return float(np.nanmean(np.abs(predicted - truth)))


def seasonal_error(past: Floats, season: int) -> float:
    """Return the mean |x_t - x_(t - season)| of a series: what MASE divides by.

    Hyndman and Koehler 2006. NaN is left out; 0 where the past repeats itself exactly.
    """
    if len(past) <= season:
        raise ValueError(f"a past of {len(past)} steps is not longer than the season {season}")
    return float(np.nanmean(np.abs(past[season:] - past[:-season])))


def mase(truth: Floats, predicted: Floats, scale: float) -> float:
    """Return the mean absolute error over a series' own seasonal error."""
    least = 1e-12 * float(np.nanmax(np.abs(truth)))
    return mae(truth, predicted) / (max(scale, least) or 1.0)


def quantile_loss(truth: Floats, predicted: Floats, level: float) -> float:
    """Return twice the mean pinball loss of one quantile; at 0.5 the mean absolute error."""
    gap = truth - predicted
    return float(2 * np.nanmean(np.maximum(level * gap, (level - 1) * gap)))


def weighted_quantile_loss(
    truth: Floats, quantiles: NDArray[np.floating], levels: Sequence[float]
) -> float:
    """Return the mean over levels of 2 sum(pinball) / sum(|truth|) (GluonTS, Chronos).

    quantiles: (levels, *shape of truth). An estimate of the CRPS over the mean size.
    """
    size = float(np.nansum(np.abs(truth)))
    losses = [
        quantile_loss(truth, one, level) * int(np.isfinite(truth).sum())
        for one, level in zip(quantiles, levels, strict=True)
    ]
    return float(np.mean(losses)) / (size or 1.0)


def seasonal_naive(past: Floats, horizon: int, season: int) -> Floats:
    """Return the last season again and again, along the last axis."""
    last = past[..., -season:]
    times = -(-horizon // season)
    return np.concatenate([last] * times, axis=-1)[..., :horizon]
