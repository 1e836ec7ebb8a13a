"""Reads single columns of a table: ids by number, numbers as float64, times by kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.clock import Clock, TickUnit, clock_of, date_ticks
from caesura.data.column_types import is_text
from caesura.data.config import Columns
from caesura.data.spelling import distinct, plain
from caesura.data.time_text import read_dates
from caesura.errors import DataError

_SHOWN = 8
"""Columns that an error proposes at most."""
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(([., '\u00a0\u202f])[0-9]{3})(\2[0-9]{3})*([.,][0-9]+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")
_TIMES = ("date", "time", "minute", "hour", "second", "day", "mjd", "jd")
"""How names of columns of times begin."""
_EXACT = 2.0**53
"""Largest whole number up to which float64 holds all of them."""
_MOST_SHARED, _APART = 0.5, 0.9
"""Distinct rows, of all, up to which most are shared, and from which on they are told apart."""


def require_columns(schema: pa.Schema, columns: Columns) -> None:
    """Raise a DataError that names the flag of the first column that is not there."""
    wanted = [("--id", columns.id), ("--time", columns.time), ("--channel", columns.channel)]
    wanted += [("--value", name) for name in columns.value]
    wanted += [("--error", columns.error), ("--group", columns.group)]
    wanted += [("--static", name) for name in columns.static]
    wanted += [("--classes", name) for name in columns.classes]
    for flag, name in wanted:
        if name and name not in schema.names:
            known = ", ".join(schema.names)
            several = _several(schema, {one for _, one in wanted}) if flag == "--value" else ""
            wants = _times(schema) if flag == "--time" else "NAME"
            if flag == "--id":
                wants = "NAME, or leave it out where the table is one series"
            raise DataError(
                f"column {name!r} not in table; columns: {known}. Pass {flag} {wants}{several}"
            )
    if columns.error and len(columns.value) > 1:
        raise DataError("--error goes with one value column; give one --value")


def _times(schema: pa.Schema) -> str:
    """Return the one column that holds times, by its type or its name, or what to do without."""
    found = [
        one.name
        for one in schema
        if pa.types.is_temporal(one.type) or one.name.lower().startswith(_TIMES)
    ]
    if not found:
        return "NAME; where no column holds times, add one of row numbers"
    return found[0] if len(found) == 1 else "NAME"


def require_distinct(table: pa.Table, columns: Columns) -> None:
    """Raise a DataError where most rows share series, time and channel with another, and columns
    that are not named tell them apart: joined, they would be lost."""
    keys = [one for one in (columns.id, columns.time, columns.channel) if one in table.column_names]
    taken = {*keys, *columns.value, *columns.constant, columns.error, columns.group}
    rows, found = table.num_rows, _distinct(table, keys)
    if found > _MOST_SHARED * rows:
        return
    left = [
        one.name
        for one in table.schema
        if one.name not in taken
        and _names_things(one.type)
        and _distinct(table, [one.name]) <= rows / 2  # else it numbers rows
    ]
    telling: list[str] = []
    while left and len(telling) < 2 and found < _APART * rows:
        counts = [_distinct(table, [*keys, *telling, one]) for one in left]
        telling.append(left.pop(int(np.argmax(counts))))
        found = max(counts)
    if telling and found >= _APART * rows:
        some = " and ".join(map(repr, telling))
        raise DataError(
            f"most of {rows} rows have the time of another row of their series; {some} would tell "
            "them apart. Say what each is: --id of series, --channel of variables; or drop it, if "
            "rows are to be joined"
        )


def _distinct(table: pa.Table, names: list[str]) -> int:
    return int(table.group_by(names).aggregate([]).num_rows)


def _names_things(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_dictionary(kind)
    )


def _several(schema: pa.Schema, taken: set[str]) -> str:
    """Say how several value columns are named, by those of a table that hold numbers."""
    numbers = [one.name for one in schema if one.name not in taken and holds_numbers(one.type)]
    if len(numbers) < 2:
        return ""
    some = ",".join(numbers[:_SHOWN]) + (",..." if numbers[_SHOWN:] else "")
    return f", or a column for each variable: --value {some}"


@dataclass
class Dictionary:
    """The distinct values of a column, by first appearance, and each row's number."""

    values: pa.Array
    codes: NDArray[np.int64]


def dictionary(table: pa.Table, name: str, fractions: bool = False) -> Dictionary:
    """Encode a column; nulls are an error, since a row without an id belongs nowhere.

    fractions: whether 0.5 is a name, as of a channel; it is none of a series.
    """
    cells = plain(table[name])
    if cells.null_count:
        raise DataError(f"column {name!r} has {cells.null_count} empty cells; fill or drop them")
    if pa.types.is_floating(cells.type) and not fractions:
        if pc.all(pc.equal(cells, pc.floor(cells))).as_py():
            raise DataError(
                f"column {name!r} holds numbers beyond 64 bits; ids that long must be text"
            )
        raise DataError(f"column {name!r} holds fractions; ids must be whole numbers or text")
    return Dictionary(*distinct(cells))


def numeric(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as float64, empty cells as NaN; text is an error.

    Whole numbers beyond 2^53 are rounded to the nearest that float64 has.
    """
    column = table[name]
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if not holds_numbers(column.type):
        example = _example(column)
        raise DataError(
            f"column {name!r} is {column.type}, e.g. {example!r}; it must hold numbers. "
            f"{_advice(str(example))}, or name another column"
        )
    return np.array(
        column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64
    )  # a copy: ours to change


def _example(column: Any) -> Any:
    """Return a cell that is no number, else the first one."""
    cells = [one for one in column.unique().to_pylist() if one is not None]
    bad = (one for one in cells if not _NUMBER.fullmatch(str(one).strip()))
    return next(bad, cells[0] if cells else None)


def _advice(text: str) -> str:
    """Say how a number that was written as text is read."""
    if _THOUSANDS.fullmatch(text.strip()):
        return "Write it without thousands separators (1234.5)"
    if _DECIMAL_COMMA.fullmatch(text.strip()):
        return "Write decimals with a point, or separate the columns by semicolons"
    return "Convert it; if it marks what was not measured, leave those cells empty"


def holds_numbers(kind: pa.DataType) -> bool:
    """Say whether a column of this type has numbers: booleans are none."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


class TimeColumn(NamedTuple):
    """Times as float64 or int64 numbers, or as int64 ticks since 1970; the clock that tells them;
    and their text, where the clock cannot write all of it again."""

    times: NDArray[Any]
    clock: Clock
    texts: pa.Array | None


def time_values(table: pa.Table, name: str) -> TimeColumn:
    """Return a column of times: numbers, dates, or text of ISO dates."""
    column = table[name].combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    text = is_text(column.type)
    clock = clock_of(column.type)
    if clock.kind == "number" and not text:
        return TimeColumn(_whole_or_real(table, name), clock, None)
    if column.null_count:
        raise DataError(f"column {name!r} has {column.null_count} empty times; drop those rows")
    if not text:
        return TimeColumn(date_ticks(column, clock.unit).to_numpy(), clock, None)
    found = read_dates(column, name)
    unit: TickUnit = "ns" if found.dates.type.unit == "ns" else "us"
    texts = None if found.alike else column.cast(pa.string())
    ticks = date_ticks(found.dates, unit).to_numpy(zero_copy_only=False)
    return TimeColumn(ticks, Clock("timestamp", found.zone, found.form, unit), texts)


def _whole_or_real(table: pa.Table, name: str) -> NDArray[Any]:
    """Return a column of numbers as int64 where it has whole ones, else as float64."""
    column = table[name]
    if not pa.types.is_integer(column.type):
        return numeric(table, name)
    if column.null_count:
        return _with_empty(table, name)
    try:
        return np.array(column.cast(pa.int64()).to_numpy())  # a copy: ours to change
    except pa.ArrowInvalid:
        return numeric(table, name)  # beyond 63 bits


def _with_empty(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return whole numbers of which some are empty, as float64."""
    found = numeric(table, name)
    if np.nanmax(np.abs(found), initial=0) > _EXACT:
        empty = table[name].null_count
        raise DataError(f"column {name!r} has {empty} empty times; drop those rows")
    return found
