"""Times by the month: steps that are 28 to 31 days long, told and counted as one.

A time since another is told in seconds of a mean month, so that a grid of months is regular.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Calendar = Literal["", "month", "month end"]
"""None; the same day of each month, also of every third or twelfth; the last day of each."""

MONTH = 365.2425 / 12 * 86_400
"""Seconds of a mean month."""
_DAY = 86_400 * 10**6
_LEAST = 3
"""Months of which some times must be for that to be a rule."""


def calendar_of(clock: NDArray[Any]) -> Calendar:
    """Return the calendar that times keep to, int64 microseconds since 1970."""
    for some in (clock[:1000], clock):
        month, within = _parts(some)
        left = _length(month) - within
        calendar: Calendar = "month" if np.ptp(within) == 0 else "month end"
        ends = bool(left.min() > 0 and left.max() <= _DAY and np.ptp(left) == 0)
        if np.ptp(month) < _LEAST - 1 or not (calendar == "month" or ends):
            return ""
    return calendar


def months_between(
    first: NDArray[Any], later: NDArray[Any], calendar: Calendar
) -> NDArray[np.float64]:
    """Return how many months lie between times: whole ones from a day to the same day, or, where
    the calendar is of ends, to the same before an end."""
    (month, within), (other, rest) = _parts(first), _parts(later)
    more = rest - within
    if calendar == "month end":
        more = (rest - _length(other)) - (within - _length(month))
    return np.asarray(other - month + more / (MONTH * 10**6))


def after_months(
    first: NDArray[Any], months: NDArray[np.floating[Any]], calendar: Calendar
) -> NDArray[np.int64]:
    """Return times some months later, to the nearest whole one: on the same day or, where a month
    has none or the calendar is of its ends, on the last."""
    month, within = _parts(first)
    later = month + np.round(months).astype(np.int64)
    last = _length(later) - _DAY + within % _DAY
    return np.asarray(_starts(later) + (last if calendar == "month end" else within.clip(max=last)))


def _parts(clock: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the months since 1970, and the microseconds since each of them began."""
    month = np.asarray(clock).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return month, clock - _starts(month)


def _length(month: NDArray[np.int64]) -> NDArray[np.int64]:
    return _starts(month + 1) - _starts(month)


def _starts(month: NDArray[np.int64]) -> NDArray[np.int64]:
    return month.astype("datetime64[M]").astype("datetime64[us]").astype(np.int64)
