"""The clock of a table: its times as numbers, and numbers written as its times are.

A time is float64 where the table has numbers, and int64 microseconds since 1970 where it has
dates. The form in which a table writes them is kept, so that results join with what was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.column_types import lossless
from caesura.data.months import MONTH, Calendar, after_months
from caesura.errors import DataError

TimeKind = Literal["number", "timestamp"]
MICROSECONDS = 1_000_000
_LAYOUTS = (
    "%Y-%m-%d",
    *(f"%Y-%m-%d{between}%H:%M{rest}" for between, rest in product(" T", ("", ":%S"))),
)
_TEXTS = tuple(f"{unit} {layout}" for unit, layout in product(("s", "ms", "us"), _LAYOUTS))
"""Texts of dates that can be written as they were: the unit of seconds, and a layout."""
_NEAR = 1e-6
"""How far from a whole number a time may be by the rounding of its arithmetic."""


@dataclass(frozen=True)
class Clock:
    """How a table tells time: numbers or dates, the zone of these, and the form of both.

    form: the name of the column's Arrow type without a zone, or one of `_TEXTS`; without one,
    dates are timestamps to the microsecond, and numbers whole if all of them are.
    """

    kind: TimeKind = "number"
    zone: str = ""
    form: str = ""

    def later(
        self, first: NDArray[Any], since: NDArray[np.floating[Any]], calendar: Calendar = ""
    ) -> pa.Array:
        """Return times some units (seconds of dates) after others, as the table writes them."""
        if self.kind == "number":
            return self.written(first + since)
        if calendar:
            return self.written(after_months(first, since / MONTH, calendar))
        return self.written(first + np.round(since * MICROSECONDS).astype(np.int64))

    def written(self, ticks: NDArray[Any]) -> pa.Array:
        """Return times as the table writes them.

        Where its form would lose something (a noon by a column of days), dates are timestamps to
        the microsecond and numbers float64.
        """
        if self.kind == "number":
            return _numbers(np.asarray(ticks, dtype=np.float64), self.form or "int64")
        zone = self.zone or None
        dates = pa.array(ticks, pa.int64()).cast(pa.timestamp("us", tz=zone))
        if self.form in _TEXTS:
            text = _as_text(dates, self.form)
            return dates if text is None else text
        form = pa.type_for_alias(self.form or "timestamp[us]")
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
    return Clock(kind or "number", zone, str(named) if kind else "")


def date_ticks(dates: Any) -> pa.Array:
    """Return a column of dates as int64 microseconds since 1970."""
    zone = getattr(dates.type, "tz", None)
    return pc.cast(dates, pa.timestamp("us", tz=zone), safe=False).cast(pa.int64())


def read_text(texts: Any, name: str) -> tuple[Any, Clock]:
    """Return a column of ISO dates as timestamps, and its clock."""
    try:
        dates = pc.cast(texts, pa.timestamp("us"))
    except pa.ArrowException:
        raise DataError(
            f"column {name!r} is text, e.g. {texts[0].as_py()!r}; times must be numbers or ISO "
            "dates"
        ) from None
    like = (form for form in _TEXTS if _are(dates[:1], texts[:1], form))
    form = next((form for form in like if _are(dates, texts, form)), "")
    return dates, Clock("timestamp", "", form)


def _numbers(ticks: NDArray[np.float64], form: str) -> pa.Array:
    type_, near = pa.type_for_alias(form), np.round(ticks)
    whole = pa.types.is_integer(type_) and np.allclose(ticks, near, 0, _NEAR)
    return lossless(pa.array(near if whole else ticks), type_)


def _are(dates: Any, texts: Any, form: str) -> bool:
    """Say whether dates are written as these texts in a form."""
    found = _as_text(dates, form)
    return found is not None and bool(pc.all(pc.equal(found, texts)).as_py())


def _as_text(dates: Any, form: str) -> Any:
    """Return dates as text; None where that says less."""
    unit, layout = form.split(" ", 1)
    try:
        found = pc.strftime(dates.cast(pa.timestamp(unit)), layout)
        return found if found.cast(dates.type).equals(dates) else None
    except pa.ArrowInvalid:
        return None
