"""Calendars: axes on which the steps of a grid are equal where seconds are not.

A grid may be laid by the day of a zone (23 to 25 hours where clocks change), by the weekday
(nothing on Saturdays) or by the month. What lies between two times is counted on the calendar and
told in seconds of a mean step, so that a grid is regular on it; adding such seconds to a time gives
the time that the calendar has there. All is counted by the wall clock of the zone.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import StringConstraints

from caesura.data.months import MONTH, after_months, calendar_of, months_between

Calendar = Annotated[
    str,
    StringConstraints(
        pattern=r"^(|day|weekdays [01]{7}|month|month end|business month|business month end)$"
    ),
]
"""None; days, or certain days of the week from Monday on, of a zone; the same day of each month,
also of every third or twelfth; the last day of each; the first or last from Monday to Friday."""

_SECOND = 10**6
_DAY = 86_400 * _SECOND
_A_DAY_S = 86_400.0
_WEEKDAYS = "weekdays "
_FIRST_MONDAY = np.datetime64("1970-01-05")
_NO_CHANGES = ("", "UTC", "Etc/UTC", "GMT")
"""Zones in which no clock is changed."""
_LOOKED_AT = 10**6
"""Times that are looked at to find a calendar."""
_ENOUGH_WEEKS = 3
"""Weeks that times must span for days of the week to be a rule."""
_USED = 0.2
"""Share of the times on its most frequent weekday from which on another one counts as used."""
_KEPT, _COVERED = 0.98, 0.6
"""Share of times that must be on weekdays in use, and of those days that must have a time."""
_SAME_CLOCK = 0.95
"""Share of times that must be at one time of the day."""


def find_calendar(
    clock: NDArray[Any], zone: str, ticks: int, new_series: NDArray[np.bool_]
) -> Calendar:
    """Return the calendar that dates keep to.

    Args:
        clock: times since 1970, sorted within each series.
        zone: their zone, "" for none.
        ticks: steps of the clock in a second.
        new_series: where a series begins.
    """
    clock, new_series = clock[:_LOOKED_AT], new_series[:_LOOKED_AT]
    try:
        wall = wall_clock(clock, zone, ticks)
    except pa.ArrowInvalid:  # a zone that this machine does not know
        return ""
    found = calendar_of(wall)
    if found:
        return found
    found = _weekdays_of(wall, new_series) if _is_one_time_of_day(wall[:1000]) else ""
    if found or zone in _NO_CHANGES:
        return found
    later = ~new_series[1:] & (np.diff(clock) > 0)
    local, absolute = np.diff(wall)[later], np.diff(clock)[later] // (ticks // _SECOND)
    if not len(local):
        return ""
    step = np.median(local)
    by_wall, by_seconds = (float((gaps % step == 0).mean()) for gaps in (local, absolute))
    by_days = step % _DAY == 0 and by_wall >= by_seconds
    return "day" if by_wall >= _SAME_CLOCK and (by_days or by_wall > by_seconds) else ""


def elapsed(
    first: NDArray[Any], later: NDArray[Any], calendar: Calendar, zone: str, ticks: int
) -> NDArray[np.float64]:
    """Return the seconds between times on a calendar, whose steps are of one length there."""
    begin, end = (wall_clock(np.asarray(one), zone, ticks) for one in (first, later))
    if calendar == "day":
        return np.asarray((end - begin) / _SECOND)
    if calendar.startswith(_WEEKDAYS):
        (day, rest), (other, more) = (_weekday_number(one, calendar) for one in (begin, end))
        return np.asarray((other - day) * _A_DAY_S + (more - rest) / _SECOND)
    return np.asarray(MONTH * months_between(begin, end, calendar))


def after(
    first: NDArray[Any],
    since: NDArray[np.floating[Any]],
    calendar: Calendar,
    zone: str,
    ticks: int,
) -> NDArray[np.int64]:
    """Return the times some seconds of a calendar after others (`elapsed` reversed)."""
    finer = ticks // _SECOND
    begin = wall_clock(first, zone, ticks)
    if calendar == "day":
        found = begin + np.round(since * _SECOND).astype(np.int64)
    elif calendar.startswith(_WEEKDAYS):
        days = np.floor(since / _A_DAY_S + 1e-6)
        date = np.busday_offset(
            _dates(begin), days.astype(np.int64), roll="backward", weekmask=_mask(calendar)
        )
        rest = np.round((since - days * _A_DAY_S) * _SECOND).astype(np.int64)
        found = date.astype(np.int64) * _DAY + begin % _DAY + rest
    else:
        found = after_months(begin, since / MONTH, calendar)
    ticks_later = _instants(found, zone) * finer + first % finer
    return np.asarray(ticks_later, dtype=np.int64)


def wall_clock(clock: NDArray[Any], zone: str, ticks: int) -> NDArray[np.int64]:
    """Return what the clock on the wall shows, in microseconds, at times since 1970."""
    instants = np.asarray(clock) // (ticks // _SECOND)
    if zone in _NO_CHANGES:
        return np.asarray(instants, dtype=np.int64)
    dates = pa.array(instants.ravel(), pa.int64()).cast(pa.timestamp("us", tz=zone))
    shown = pc.local_timestamp(dates).cast(pa.int64()).to_numpy(zero_copy_only=False)
    return np.asarray(shown.reshape(instants.shape), dtype=np.int64)


def _instants(wall: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Return when a clock on the wall shows times, in microseconds: the first of two moments, and
    where it never does, the moment at which it leaps over them."""
    if zone in _NO_CHANGES:
        return wall
    shown = pa.array(wall.ravel(), pa.int64()).cast(pa.timestamp("us"))
    dates = pc.assume_timezone(shown, zone, ambiguous="earliest", nonexistent="latest")
    return np.asarray(dates.cast(pa.int64()).to_numpy(zero_copy_only=False)).reshape(wall.shape)


def _is_one_time_of_day(wall: NDArray[np.int64]) -> bool:
    return bool((wall % _DAY == np.median(wall % _DAY)).mean() >= _SAME_CLOCK)


def _weekdays_of(wall: NDArray[np.int64], new_series: NDArray[np.bool_]) -> Calendar:
    """Return the days of the week on which times of one time of the day lie, but for all seven of
    them, and for one: every seventh day is a rate."""
    if not _is_one_time_of_day(wall):
        return ""
    day = wall // _DAY
    weekday = (day + 3) % 7  # 1970 began on a Thursday
    counts = np.bincount(weekday, minlength=7)
    used = counts >= _USED * counts.max()
    if used.sum() in (1, 7) or used[weekday].mean() < _KEPT:
        return ""
    calendar = _WEEKDAYS + "".join("1" if one else "0" for one in used)
    starts = np.flatnonzero(new_series)
    ends = np.append(starts[1:], len(day)) - 1
    if (day[ends] - day[starts]).max() < 7 * _ENOUGH_WEEKS:
        return ""
    number, _ = _weekday_number(wall, calendar)
    distinct = 1 + (np.diff(number)[~new_series[1:]] > 0).sum() + len(starts) - 1
    there = (number[ends] - number[starts] + 1).sum()
    return calendar if distinct >= _COVERED * there else ""


def _weekday_number(
    wall: NDArray[np.int64], calendar: Calendar
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of each time's day among those in use, that of the one before where it is
    none, and the microseconds since that day began."""
    mask = _mask(calendar)
    date = _dates(wall)
    number = np.asarray(np.busday_count(_FIRST_MONDAY, date, weekmask=mask))
    number = number - ~np.asarray(np.is_busday(date, weekmask=mask))
    return number, wall % _DAY


def _mask(calendar: Calendar) -> str:
    return calendar.removeprefix(_WEEKDAYS)


def _dates(wall: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return (np.asarray(wall) // _DAY).astype("datetime64[D]")
