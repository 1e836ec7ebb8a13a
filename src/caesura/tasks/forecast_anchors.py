"""What a forecast can lean on without a model: the last season again, and the last value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.months import MONTH
from caesura.data.schema import Sampling
from caesura.tasks.window_features import bridged_rows

Floats = NDArray[np.floating[Any]]

_HIGH = 0.2
"""Autocorrelation of differences from which on a lag may be a season."""
_CYCLES_S = (86_400.0, 7 * 86_400.0, 365.2425 * 86_400.0)
"""Seconds of the cycles of calendars: a day, a week, a year."""
_LONGEST_CYCLE = 366
"""Steps of a cycle above which it is no usual season."""


def season_of(series: list[Floats], most: int) -> int:
    """Return the lag, `most` at most, of the highest autocorrelation of differences; 1 where none
    reaches 0.2."""
    total = np.zeros(most + 2)
    for one in series:
        for row in one:
            change = np.diff(row[-20_000:])
            change = change - change.mean() if len(change) else change
            size = float(change @ change)
            if size <= 0 or len(change) < 2 * most:
                continue
            spectrum = np.abs(np.fft.rfft(change, 2 * len(change))) ** 2
            total += np.fft.irfft(spectrum)[: most + 2] / size
    if most < 2 or not total[0]:
        return 1
    correlation = total / total[0]
    peaks = 2 + np.flatnonzero(
        (correlation[2:-1] > correlation[1:-2]) & (correlation[2:-1] >= correlation[3:])
    )
    high = peaks[correlation[peaks] >= _HIGH]
    if not len(high):
        return 1
    # of a season and its multiples, nearly as high, the season
    return int(high[correlation[high] >= 0.9 * correlation[high].max()][0])


def usual_season(sampling: Sampling, dated: bool) -> int:
    """Return the steps of the shortest cycle of the calendar of which a step is at most a half:
    24 of hours, 7 of days, 52 of weeks, 12 of months; 1 where there is none."""
    step = 1 / sampling.rate_hz
    for cycle in _CYCLES_S if dated else ():
        steps = round(12 * MONTH / step) if sampling.calendar else round(cycle / step)
        if 2 <= steps <= _LONGEST_CYCLE:
            return steps
    return 1


def seasonal_anchors(
    series: list[Floats],
    numbers: NDArray[np.int64],
    begin: NDArray[np.int64],
    horizon: int,
    season: int,
) -> Floats:
    """Return the last season before each step, again and again: (rows, channels, horizon).

    series: (channels, time), NaN where nothing was measured. numbers, begin: of each row its
    series, and the step at which its future begins. Where the past is shorter than a season, all
    of it is one. Gaps are bridged; one that goes on where the future begins holds its last value.
    """
    out = np.empty((len(numbers), len(series[0]), horizon))
    ahead = np.arange(horizon)
    order = np.argsort(numbers, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(order) else ():
        one = series[numbers[rows[0]]]
        first = begin[rows, None]
        lag = np.minimum(season, first)
        at = first - lag + ahead % np.maximum(lag, 1)
        measured = np.isfinite(one)
        places = np.arange(one.shape[1])
        before = np.maximum.accumulate(np.where(measured, places, -1), axis=1)
        after = np.minimum.accumulate(np.where(measured, places, one.shape[1])[:, ::-1], axis=1)[
            :, ::-1
        ]
        lines = bridged_rows(one)
        for channel in range(len(one)):
            held = np.where(
                before[channel] >= 0, lines[channel][np.maximum(before[channel], 0)], 0.0
            )
            known = after[channel][at] < first
            out[rows, channel] = np.where(known, lines[channel][at], held[at])
    return out
