"""The clock of a table: its times as numbers, and numbers written as its times are.

A time is float64 where the table has fractions, int64 where it has whole numbers, and int64 ticks
since 1970 where it has dates: microseconds, or nanoseconds where the table has these. The form in
which a table writes them is kept, so that results join with what was read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.calendars import Calendar, after
from caesura.data.column_types import lossless
from caesura.data.time_text import as_text, is_text_form

TimeKind = Literal["number", "timestamp"]
TickUnit = Literal["us", "ns"]
_TICKS: dict[str, int] = {"us": 10**6, "ns": 10**9}
_LARGEST = 2.0**63 * (1 - 2**-50)
"""Ticks that int64 holds."""
_NEAR = 1e-6
"""How far from a whole number a time may be by the rounding of its arithmetic."""
_DIGITS = 9
"""Most decimals to which times of a table may keep."""


@dataclass(frozen=True)
class Clock:
    """How a table tells time: numbers or dates, the zone of these, and the form of both.

    form: the name of the column's Arrow type without a zone, or one of a text
    (`data.time_text`); without one, dates are timestamps, and numbers whole if all of them are.
    unit: what a tick of dates is.
    """

    kind: TimeKind = "number"
    zone: str = ""
    form: str = ""
    unit: TickUnit = "us"

    @property
    def ticks(self) -> int:
        """Ticks in the table's unit of time, a second for dates."""
        return 1 if self.kind == "number" else _TICKS[self.unit]

    @property
    def digits(self) -> int:
        """Binary digits of the fractions of numbers."""
        return {"halffloat": 10, "float": 23}.get(self.form, 52)

    def later(
        self,
        first: NDArray[Any],
        since: NDArray[np.floating[Any]],
        calendar: Calendar = "",
        grain: float = 0.0,
    ) -> pa.Array:
        """Return times some units (seconds of dates) after others, as the table writes them.

        grain: of what, in ticks, times are multiples after `first`; of fractions a power of ten of
        which times themselves are; 0 where they are multiples of nothing.
        """
        if first.dtype.kind == "f":
            found = first + since
            return self.written(np.round(found, _decimals(grain)) if grain else found)
        if self.kind == "timestamp" and self.unit == "ns" and _overflows(first, since * self.ticks):
            coarser = replace(self, unit="us", form="timestamp[us]")
            return coarser.later(first // 1000, since, calendar, np.ceil(grain / 1000))
        if calendar:
            return self.written(after(first, since, calendar, self.zone, self.ticks))
        ticks = since * self.ticks
        if self.kind == "number" and not grain and not _are_whole(ticks):
            return self.written(first + ticks)
        grain = max(grain, 1.0)
        return self.written(first + np.round(ticks / grain).astype(np.int64) * int(grain))

    def written(self, ticks: NDArray[Any]) -> pa.Array:
        """Return times as the table writes them.

        Where its form would lose something (a noon by a column of days), text has more digits,
        dates are timestamps and numbers float64.
        """
        if self.kind == "number":
            return _numbers(np.asarray(ticks), self.form or "int64")
        zone = self.zone or None
        dates = pa.array(ticks, pa.int64()).cast(pa.timestamp(self.unit, tz=zone))
        if is_text_form(self.form):
            return as_text(dates, self.form)
        form = pa.type_for_alias(self.form or f"timestamp[{self.unit}]")
        dated = pa.timestamp(form.unit, tz=zone) if pa.types.is_timestamp(form) else form
        return lossless(dates, dated)


def time_kind(type_: pa.DataType) -> TimeKind | None:
    """Return how a column of this type tells time; None where it takes a conversion."""
    if pa.types.is_floating(type_) or pa.types.is_integer(type_):
        return "number"
    return "timestamp" if pa.types.is_timestamp(type_) or pa.types.is_date(type_) else None


def clock_of(type_: pa.DataType) -> Clock:
    """Return the clock of a column of numbers or dates."""
    zone = getattr(type_, "tz", None) or ""
    named = pa.timestamp(type_.unit) if pa.types.is_timestamp(type_) else type_
    kind = time_kind(type_)
    unit: TickUnit = "ns" if named == pa.timestamp("ns") else "us"
    return Clock(kind or "number", zone, str(named) if kind else "", unit)


def date_ticks(dates: Any, unit: TickUnit = "us") -> pa.Array:
    """Return a column of dates as int64 ticks since 1970."""
    zone = getattr(dates.type, "tz", None)
    return pc.cast(dates, pa.timestamp(unit, tz=zone), safe=False).cast(pa.int64())


def grain_of(clock: NDArray[Any], origins: NDArray[Any], digits: int = 52) -> float:
    """Return of what times are multiples: whole ones, in ticks, after their series' origin;
    fractions of a power of ten, by themselves. 0 where they are multiples of nothing.

    origins: of each time. digits: binary digits of a fraction in the table.
    """
    if clock.dtype.kind != "f":
        return float(np.gcd.reduce(clock - origins))
    rounding = np.abs(clock) * 2.0 ** (1 - digits)
    for decimals in range(_DIGITS + 1):
        if 10.0**-decimals < 8 * rounding.max(initial=0):
            break  # the digits of the numbers end before
        if (np.abs(clock - np.round(clock, decimals)) <= rounding).all():
            return float(10.0**-decimals)
    return 0.0


def _decimals(grain: float) -> int:
    return round(-float(np.log10(grain)))


def _overflows(first: NDArray[Any], since: NDArray[np.floating[Any]]) -> bool:
    return bool(np.abs(first.astype(np.float64) + since).max(initial=0) > _LARGEST)


def _numbers(ticks: NDArray[Any], form: str) -> pa.Array:
    type_ = pa.type_for_alias(form)
    if pa.types.is_floating(type_):
        return pa.array(ticks).cast(pa.float64(), safe=False).cast(type_)  # fewer digits, rounded
    if ticks.dtype.kind == "f":
        if not _are_whole(ticks):
            return pa.array(ticks)
        ticks = np.round(ticks)
    return lossless(pa.array(ticks), type_)


def _are_whole(numbers: NDArray[np.floating[Any]]) -> bool:
    return bool(np.abs(numbers - np.round(numbers)).max(initial=0) <= _NEAR)
