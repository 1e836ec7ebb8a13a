"""Types of a table's columns, and results written in them: an age is 62 again, not 62.0."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from caesura.data.config import Columns
from caesura.data.spelling import spelled

log = logging.getLogger("caesura")

_UUID = "uuid"
_DECIMAL = re.compile(r"(decimal\d+)\((\d+), (-?\d+)\)")
_DICTIONARY = "dictionary"
"""Of text that is kept once: a category of pandas and polars."""


def column_types(schema: pa.Schema, columns: Columns) -> dict[str, str]:
    """Return the Arrow type's name of each column of a table that results have as well: of numbers,
    booleans, and text of a dictionary. Other times have a form of their own (`data.clock`)."""
    names = {columns.id, columns.channel, *columns.value, *columns.constant}
    found = {name: type_name(schema.field(name).type) for name in sorted(names & set(schema.names))}
    if columns.time in schema.names and pa.types.is_dictionary(schema.field(columns.time).type):
        found[columns.time] = type_name(schema.field(columns.time).type)
    measured = {name for name in columns.value if found.get(name, "").startswith("decimal")}
    return {name: kind for name, kind in found.items() if kind and name not in measured}


def type_name(kind: pa.DataType) -> str:
    """Return the name of a type in which `typed` writes; "" for text and what stays as it is."""
    types = pa.types
    if types.is_dictionary(kind) and is_text(kind.value_type):
        return _DICTIONARY
    if types.is_dictionary(kind):
        return type_name(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return _UUID if kind.equals(pa.uuid()) else ""
    kept = (
        types.is_integer(kind),
        types.is_floating(kind),
        types.is_boolean(kind),
        types.is_decimal(kind),
        types.is_date(kind),
    )
    return str(kind) if any(kept) else ""


def as_typed(columns: Mapping[str, Any], types: Mapping[str, str]) -> pa.Table:
    """Return columns as a table, those of a known type in it.

    Fractions are rounded to a type of fewer digits; where a type cannot hold a value (-3 in
    uint8, a half in int64), its column stays as it is.
    """
    table = pa.table(dict(columns))
    for place, name in enumerate(table.column_names):
        if name in types:
            table = table.set_column(place, name, typed(table[name], types[name]))
    return table


def free_name(name: str, taken: Collection[str]) -> str:
    """Return a name for a column of a result that no column of the user's has.

    It is `name` where that is free, else `result_NAME`, of which a warning tells.
    """
    free = name
    while free in taken:
        free = f"result_{free}"
    if free != name:
        log.warning(
            "column %r is of the data; the result's column of that name is written as %r",
            name,
            free,
        )
    return free


def beside(own: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return the user's columns and, by free names (`free_name`), those that a result adds."""
    return dict(own) | {free_name(name, own): column for name, column in added.items()}


def typed(column: Any, name: str) -> Any:
    """Return a column in the type of a name, as `as_typed` does; "" for as it is."""
    if not name:
        return column
    if name == _DICTIONARY:
        return column.dictionary_encode() if is_text(column.type) else column
    if name == _UUID:
        return _as_uuid(column)
    type_ = _type_of(name)
    if is_text(column.type):
        return _from_text(column, type_)
    if pa.types.is_decimal(type_):  # Arrow refuses 3 as 3.00 where 10 digits before it have no room
        found = _from_text(spelled(column), type_)
        return found if found.type.equals(type_) else column
    if pa.types.is_floating(type_) and pa.types.is_floating(column.type):
        return column.cast(type_)
    return lossless(column, type_)


def _type_of(name: str) -> pa.DataType:
    decimal = _DECIMAL.fullmatch(name)
    if decimal is None:
        return pa.type_for_alias(name)
    return getattr(pa, decimal[1])(int(decimal[2]), int(decimal[3]))


def _as_uuid(column: Any) -> Any:
    """Return bytes of 16 as uuids."""
    if not pa.types.is_fixed_size_binary(column.type):
        return column
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return pa.ExtensionArray.from_storage(pa.uuid(), column)


def _from_text(texts: Any, type_: pa.DataType) -> Any:
    """Return names as what they are spelled for; as they are where that is another."""
    try:
        found = texts.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return texts
    return found if spelled(found).equals(spelled(texts)) else texts


def lossless(exact: Any, type_: pa.DataType) -> Any:
    """Return values as another type, or as they are where that says less."""
    try:
        found = exact.cast(type_)
        return found if found.cast(exact.type).equals(exact) else exact
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return exact


def is_text(kind: pa.DataType) -> bool:
    """Say whether a column of this type holds text."""
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
