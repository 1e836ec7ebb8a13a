"""Text of ISO dates, read and written again as it was.

The form of a text is the unit of its seconds, or several of which the first that loses nothing is
taken, and a layout: "ms %Y-%m-%dT%H:%M:%SZ", "s+us %Y-%m-%d %H:%M:%S". What follows the time, an
offset from UTC, is written as it stands, or that of the zone at the time (%:z, %z, %hz).
"""

from __future__ import annotations

import re
from datetime import UTC
from itertools import product
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.errors import DataError

_UNITS = ("s", "ms", "us", "ns")
_LAYOUTS = (
    "%Y-%m-%d",
    *(f"%Y-%m-%d{between}%H:%M{rest}" for between, rest in product(" T", ("", ":%S"))),
)
_OFFSET = r" ?(Z|UTC|[+-]\d{2}(:?\d{2})?)$"
"""An offset from UTC at the end of a time."""
_OFFSETS_OF = {"%:z": r"[+-]\d{2}:\d{2}", "%z": r"[+-]\d{4}", "%hz": r"[+-]\d{2}"}
"""Ways to write an offset that changes: +02:00, +0200, +02."""
_TRIED_FIRST = (
    "Europe/Berlin",
    "Europe/London",
    "Europe/Helsinki",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Sao_Paulo",
    "Australia/Sydney",
)
_LOOKED_AT = 40
"""Times at which offsets are compared with those of zones."""
_ZONED = r"\d[T ]\d{2}.*" + _OFFSET
_FORM = re.compile(r"(?P<unit>[\w+]+) %Y-%m-%d(?P<between>[ T]|)(%H:%M(:%S)?)?(?P<offset>.*)")


class TextDates(NamedTuple):
    """Dates that were read from text: timestamps, their zone, and the form of the text.

    alike: whether all of the text is in that form; else it is that of the first one.
    """

    dates: Any
    zone: str
    form: str
    alike: bool


def read_dates(texts: Any, name: str) -> TextDates:
    """Return text of ISO dates as timestamps: in UTC, or in the one offset that all of them have,
    where they have offsets.

    A cell that is no time, and times of which some have an offset, are a DataError.
    """
    if pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.large_string())
    zoned = pc.match_substring_regex(texts, _ZONED)
    if pc.any(zoned).as_py() and not pc.all(zoned).as_py():
        mixed = (texts.filter(zoned)[0], texts.filter(pc.invert(zoned))[0])
        bad = _first_bad(texts.filter(pc.invert(zoned)), pa.timestamp("ns"))
        if bad is not None:
            raise _no_time(name, bad)
        raise DataError(
            f"column {name!r} has times with an offset from UTC and times without one, e.g. "
            f"{mixed[0].as_py()!r} and {mixed[1].as_py()!r}; give all of them one, or none"
        )
    has_zone = bool(pc.any(zoned).as_py())
    unit = "ns" if pc.any(pc.match_substring_regex(texts, r"\.\d{7,}")).as_py() else "us"
    kind = pa.timestamp(unit, tz="UTC" if has_zone else None)
    plain = _plain(texts) if has_zone else texts
    try:
        dates = pc.cast(plain, kind)
    except pa.ArrowException:
        bad = _first_bad(plain, kind)
        raise _no_time(name, "" if bad is None else bad) from None
    zone, ending = _zone_and_ending(dates, texts, unit) if has_zone else ("", "")
    dates = dates.cast(pa.timestamp(unit, tz=zone or None))
    forms = [f"{each} {layout}{ending}" for each, layout in product(_UNITS, _LAYOUTS)]
    likely = [form for form in forms if _is_text_of(dates.slice(0, 1), form, texts.slice(0, 1))]
    for form in likely:
        if _is_text_of(dates, form, texts):
            return TextDates(dates, zone, form, alike=True)
    between = "T" if "T" in texts[0].as_py() else " "
    units = [each for each in _UNITS if _has_fractions(texts, each)]
    return TextDates(
        dates, zone, f"{'+'.join(units)} %Y-%m-%d{between}%H:%M:%S{ending}", alike=False
    )


def _zone_and_ending(dates: Any, texts: Any, unit: str) -> tuple[str, str]:
    """Return the zone of times with offsets, and how texts of it end: the one offset of all, or
    a zone that has had all of theirs, or UTC."""
    first = re.search(_OFFSET, texts[0].as_py())
    offset = first[0] if first else ""
    if pc.all(pc.ends_with(texts, offset)).as_py():
        return _zone(offset), offset
    wall = pc.cast(pc.replace_substring_regex(texts, _OFFSET, ""), pa.timestamp(unit))
    zone = _zone_of(dates.to_numpy(zero_copy_only=False), wall.to_numpy(zero_copy_only=False))
    sign = offset.strip()
    way = next((way for way, each in _OFFSETS_OF.items() if re.fullmatch(each, sign)), "%:z")
    ending = offset.replace(sign, way) if zone else offset.replace(sign, "+00:00")
    return zone or "UTC", ending


def _zone_of(instants: NDArray[Any], wall: NDArray[Any]) -> str:
    """Return a zone whose clocks show times on the wall at some instants, "" for none."""
    order = np.argsort(instants, kind="stable")
    offset = (wall - instants).astype("timedelta64[s]")[order]
    changes = np.flatnonzero(np.diff(offset.astype(np.int64)))
    ends = np.unique([0, *changes, *(changes + 1), len(order) - 1])
    some = ends[np.linspace(0, len(ends) - 1, min(len(ends), _LOOKED_AT)).astype(int)]
    moments = instants[order[some]].astype("datetime64[s]").tolist()
    wanted = offset[some].tolist()
    for name in (*_TRIED_FIRST, *sorted(available_timezones())):
        try:
            zone = ZoneInfo(name)
        except (ZoneInfoNotFoundError, OSError):  # this machine knows few zones, or none
            continue
        each = zip(moments, wanted, strict=True)
        if all(one.replace(tzinfo=UTC).astimezone(zone).utcoffset() == gap for one, gap in each):
            return name
    return ""


def _has_fractions(texts: Any, unit: str) -> bool:
    """Say whether the digits of some text are those of a unit."""
    digits = 3 * _UNITS.index(unit)
    if not digits:
        return True
    pattern = rf"\.\d{{{digits - 2},{digits}}}(\D|$)"
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


def is_text_form(form: str) -> bool:
    """Say whether a form is one of text."""
    return "%" in form


def as_text(dates: pa.Array, form: str) -> pa.Array:
    """Return dates as text of a form, with more digits where it would lose some."""
    match = _FORM.fullmatch(form)
    if match is None:
        raise DataError(f"{form!r} is no form of text that times are written in")
    full = f"%Y-%m-%d{match['between'] or ' '}%H:%M:%S{match['offset']}"
    units, layout = form.split(" ", 1)
    likely = [f"{unit} {layout}" for unit in units.split("+")]
    found = pa.nulls(len(dates), pa.string())
    for finer in (*likely, *(f"{unit} {full}" for unit in _UNITS)):
        found = pc.coalesce(found, _render(dates, finer))
        if not found.null_count:
            break
    return found


def _is_text_of(dates: Any, form: str, texts: Any) -> bool:
    equal = pc.fill_null(pc.equal(_render(dates, form), texts), False)
    return bool(pc.all(equal).as_py())


def _render(dates: Any, form: str) -> Any:
    """Return dates in a form, null where it would lose something."""
    dates = dates.combine_chunks() if isinstance(dates, pa.ChunkedArray) else dates
    match = _FORM.fullmatch(form)
    offset = match["offset"] if match else ""
    unit, layout = form.removesuffix(offset).split(" ", 1)
    wall = pc.local_timestamp(dates) if dates.type.tz else dates
    if _UNITS.index(unit) > _UNITS.index(wall.type.unit):
        return pa.nulls(len(dates), pa.string())
    text = pc.strftime(wall.cast(pa.timestamp(unit), safe=False), layout)
    try:
        same = pc.equal(pc.cast(text, wall.type), wall)
    except pa.ArrowInvalid:  # a year of five digits
        return pa.nulls(len(dates), pa.string())
    ending = _offsets(dates, wall, offset)
    return pc.if_else(same, pc.binary_join_element_wise(text, ending, ""), None)


def _offsets(dates: Any, wall: Any, ending: str) -> Any:
    """Return how text of dates ends, by what a clock on the wall shows then."""
    way = next((way for way in _OFFSETS_OF if ending.endswith(way)), "")
    if not way:
        return pa.scalar(ending, pa.string())
    between = wall.cast(pa.int64()).to_numpy() - dates.cast(pa.int64()).to_numpy()
    minute = 60 * 10 ** (3 * _UNITS.index(wall.type.unit))
    offsets, place = np.unique(between // minute, return_inverse=True)
    texts = []
    for offset in offsets.tolist():
        hours, rest = divmod(abs(offset), 60)
        minutes = f"{':' * (way == '%:z')}{rest:02d}" if rest or way != "%hz" else ""
        texts.append(f"{ending.removesuffix(way)}{'-' if offset < 0 else '+'}{hours:02d}{minutes}")
    return pa.array(texts, pa.string()).take(pa.array(place))


def _plain(texts: Any) -> Any:
    """Return times with offsets as Arrow reads them: no space before, and Z for UTC."""
    joined = pc.replace_substring_regex(texts, r" (Z|UTC|[+-]\d{2}(:?\d{2})?)$", r"\1")
    return pc.replace_substring_regex(joined, "UTC$", "Z")


def _zone(offset: str) -> str:
    """Return the name of the zone of one offset."""
    digits = re.sub(r"\D", "", offset).ljust(4, "0")
    if not digits.strip("0"):
        return "UTC"
    return f"{'-' if '-' in offset else '+'}{digits[:2]}:{digits[2:]}"


def _first_bad(texts: Any, kind: pa.DataType) -> str | None:
    """Return the first text that is no time; None where all are times."""
    low, high = 0, len(texts)
    if _are_times(texts, kind):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _are_times(texts.slice(low, middle - low), kind):
            low = middle
        else:
            high = middle
    return str(texts[low].as_py())


def _are_times(texts: Any, kind: pa.DataType) -> bool:
    try:
        pc.cast(texts, kind)
    except pa.ArrowException:
        return False
    return True


def _no_time(name: str, cell: str) -> DataError:
    return DataError(
        f"column {name!r} holds the text {cell!r}, which is no time; times must be numbers or ISO "
        "dates, e.g. '2024-01-31 13:45:00' or '2024-01-31T13:45:00Z'. Mend or drop those rows"
    )
