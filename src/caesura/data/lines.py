"""The line that times of a grid lie on: a rate comes from all of them, not from one gap.

Stamps are rounded (33, 33, 34 ms) or jitter; a step that is off by a little is off by whole steps
at the end of a long series.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

_WITHOUT_SLIP = 0.25
"""Part of a step up to which times may be off a grid that is taken for theirs."""
_MOSTLY = 0.7
"""Share of steps that must be measured for a rate to be that of times without a look at gaps."""
_SAME = 0.1
"""Steps by which two rates may part over a series and be taken for one."""
_FIRST = 16
"""Times from which a step is estimated first; then from twice as many, as often as there are."""
_LAST = 101
"""Times at the end of a series that say where it goes on."""
_SHORT_GAPS = 8
"""Steps of the longest gap that tells how long one is, before that is known well."""
_RATHER_ROUND = 0.02
"""Part of a step by which a rounder one may be another, at most."""
_ROUND_S = (86_400, 3_600, 60, 1)
_DENOMINATORS = tuple(10**digits for digits in range(1, 10))
_ROUNDING = 4 * float(np.finfo(np.float64).eps)


class Line(NamedTuple):
    """Times of steps: so many in a unit of time, the first at `phase` after the origin; those that
    follow the last one go on from `later` instead."""

    rate: float | Times
    phase: float | Times = 0.0
    later: float | Times = 0.0

    def numbers(self, times: Times) -> NDArray[np.int64]:
        """Return the nearest step of each time, 0 for the first."""
        return np.round((times - self.phase) * self.rate).astype(np.int64)

    def times(self, numbers: NDArray[np.int64], last: NDArray[np.int64]) -> Times:
        """Return the times of steps, some of them after the last that was measured."""
        phase = np.where(numbers > last, self.later, self.phase)
        return np.asarray(numbers / self.rate + phase)


def fitted_line(times: Times, rate: float, step: float, grain: float) -> Line:
    """Return the line of rising times since an origin.

    Its step is 1 / rate where times keep to that to the last, else their own.

    Args:
        times: of one channel of a series.
        rate: steps in a unit of time, nearly that of the times.
        step: their own (`whole_step`).
        grain: to what times are rounded, 0 for nothing.
    """
    line = _through(times, rate, grain)
    if line is not None:
        return line
    if abs(step * rate - 1) * times[-1] * rate > _SAME:
        rate = 1 / step
    line = _through(times, rate, grain)
    return line or Line(rate, 0.0, _shift(times[-_LAST:] * rate) / rate)


def dense_line(times: Times, rate: float, grain: float) -> Line | None:
    """Return the line of a rate where times lie along it and most of its steps have one; else
    None. No gap need be looked at then."""
    if len(times) < _MOSTLY * (times[-1] * rate + 1):
        return None
    return _through(times, rate, grain)


def whole_step(times: Times, usual: float) -> float:
    """Return the step of rising times by a line through all of them, `usual` being about right."""
    gaps = np.diff(times)
    counts = np.round(gaps / usual)
    short = (counts >= 1) & (counts <= _SHORT_GAPS)
    if not short.any():
        return usual
    step = float(gaps[short].sum() / counts[short].sum())
    if np.abs(gaps - np.round(gaps / step) * step).max() <= 1e-6 * step:
        return step
    size = _FIRST
    while True:
        turns = times[:size] / step
        number = np.round(turns - _shift(turns))
        part, number = times[:size], number - number.mean()
        square = float(number @ number)
        new = float(number @ (part - part.mean())) / square if square else step
        if abs(new / step - 1) > 0.2:
            return step
        if size >= len(times) and abs(new / step - 1) * len(times) < 1e-3:
            return new
        if size >= 64 * len(times):  # no line fits; the last is as good as any
            return new
        step, size = new, 2 * size


def misfit(times: Times, step: float) -> float:
    """Return how far times may be off multiples of a step, over how many of these they go: by so
    much another step could as well be theirs."""
    number = np.round((times - times[0]) / step)
    off = times - times[0] - number * step
    rounding = _ROUNDING * np.abs(times).max(initial=0)
    return min(float((np.ptp(off) + rounding) / max(number[-1], 1)), _RATHER_ROUND * step)


def round_step(step: float, tolerance: float) -> float:
    """Return a round number near a step: days, hours, minutes, seconds, or a simple fraction."""
    for size in _ROUND_S:
        count = round(step / size)
        if count and abs(count * size - step) <= tolerance:
            return float(count * size)
    for denominator in _DENOMINATORS:
        near = Fraction(step).limit_denominator(denominator)
        if near and abs(float(near) - step) <= tolerance:
            return float(near)
    return step


def _through(times: Times, rate: float, grain: float) -> Line | None:
    """Return the line of a rate along which times lie; None where they leave it."""
    turns = times * rate
    off = turns - np.round(turns)
    if np.abs(off).max() > _WITHOUT_SLIP:  # perhaps all of them are off by the same
        shift = _shift(off)
        off = turns - shift
        off = off - np.round(off)
        if np.abs(off).max() > _WITHOUT_SLIP:
            return None
        off = off + shift
    low, high = float(off.min()) / rate, float(off.max()) / rate
    rounding = max(_ROUNDING * float(np.abs(times).max()), 1e-9 / rate)
    if high - low <= grain + 2 * rounding:  # all are on a line, and rounded
        if low >= -grain / 2 - rounding and high <= grain / 2 + rounding:
            return Line(rate)
        return Line(rate, (low + high) / 2, (low + high) / 2)
    return Line(rate, float(np.median(off)) / rate, float(np.median(off[-_LAST:])) / rate)


def _shift(turns: Times) -> float:
    """Return the mean part of a turn, -1/2 to 1/2."""
    return float(np.angle(np.exp(2j * np.pi * turns).mean())) / (2 * np.pi)
