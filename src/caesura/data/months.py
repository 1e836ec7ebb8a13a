"""Times by the month: steps that are 28 to 31 days long, told and counted as one.

A time since another is told in seconds of a mean month, so that a grid of months is regular.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MONTH = 365.2425 / 12 * 86_400
"""Seconds of a mean month."""
_DAY = 86_400 * 10**6
_LEAST = 3
"""Months of which some times must be for that to be a rule."""
_ON_RULE, _BESIDE_IT = 0.8, 4
"""Share of times that must be on the business day that rules, and days by which holidays may move
the others."""
_BUSINESS = ("business month", "business month end")


def calendar_of(clock: NDArray[Any]) -> str:
    """Return the calendar (`data.calendars`) that times keep to, by the month, else "": int64
    microseconds since 1970."""
    if not _are_months(clock[:1000]):
        return ""
    month, within = _parts(clock)
    if np.ptp(month) < _LEAST - 1:
        return ""
    if np.ptp(within) == 0:
        return "month"
    left = _length(month) - within
    if left.min() > 0 and left.max() <= _DAY and np.ptp(left) == 0:
        return "month end"
    if np.ptp(within % _DAY):
        return ""
    for calendar in _BUSINESS:
        beside = np.abs(within - _anchor(month, calendar)) // _DAY
        if (beside == 0).mean() >= _ON_RULE and beside.max() <= _BESIDE_IT:
            return calendar
    return ""


def _are_months(clock: NDArray[Any]) -> bool:
    """Say whether times are near one day of their months, or near the ends: most are not."""
    month, within = _parts(clock)
    left = _length(month) - within
    spread = min(np.ptp(within), np.ptp(left))
    return bool(spread <= (_BESIDE_IT + 3) * _DAY)


def months_between(first: NDArray[Any], later: NDArray[Any], calendar: str) -> NDArray[np.float64]:
    """Return how many months lie between times: whole ones from a day to the same day, or, where
    the calendar is of ends or of business days, to the same before or after those."""
    (month, within), (other, rest) = _parts(first), _parts(later)
    more = (rest - _anchor(other, calendar)) - (within - _anchor(month, calendar))
    if calendar in _BUSINESS:  # holidays move a day; its month is its step
        near = np.abs(more) <= 2 * _BESIDE_IT * _DAY
        more = np.where(near, rest % _DAY - within % _DAY, more)
    return np.asarray(other - month + more / (MONTH * 10**6))


def after_months(
    first: NDArray[Any], months: NDArray[np.floating[Any]], calendar: str
) -> NDArray[np.int64]:
    """Return times some months later, to the nearest whole one: on the same day or, where a month
    has none, on the last; or on the day that the calendar names, at the same time."""
    month, within = _parts(first)
    later = month + np.round(months).astype(np.int64)
    if calendar == "month":
        last = _length(later) - _DAY + within % _DAY
        return np.asarray(_starts(later) + within.clip(max=last))
    return np.asarray(_starts(later) + _anchor(later, calendar) + within % _DAY)


def _anchor(month: NDArray[np.int64], calendar: str) -> NDArray[np.int64]:
    """Return when in a month the day begins that a calendar counts by."""
    if calendar == "month":
        return np.zeros_like(month)
    if calendar == "month end":
        return _length(month) - _DAY
    if calendar == "business month":
        day = np.busday_offset(month.astype("datetime64[M]").astype("datetime64[D]"), 0, "forward")
    else:
        ends = (month + 1).astype("datetime64[M]").astype("datetime64[D]") - 1
        day = np.busday_offset(ends, 0, "backward")
    return np.asarray(day.astype("datetime64[us]").astype(np.int64) - _starts(month))


def _parts(clock: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the months since 1970, and the microseconds since each of them began."""
    month = np.asarray(clock).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return month, clock - _starts(month)


def _length(month: NDArray[np.int64]) -> NDArray[np.int64]:
    return _starts(month + 1) - _starts(month)


def _starts(month: NDArray[np.int64]) -> NDArray[np.int64]:
    return month.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
