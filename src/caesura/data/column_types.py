"""Types of a table's columns, and results written in them: an age is 62 again, not 62.0."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from caesura.data.config import Columns

log = logging.getLogger("caesura")

_DICTIONARY = "dictionary"
"""Of text that is kept once: a category of pandas and polars."""


def column_types(schema: pa.Schema, columns: Columns) -> dict[str, str]:
    """Return the Arrow type's name of each column of a table that results have as well: of numbers,
    booleans, and text of a dictionary. Times have a form of their own (`data.clock`)."""
    names = {columns.id, columns.channel, *columns.value, *columns.constant}
    found = {name: _name(schema.field(name).type) for name in sorted(names & set(schema.names))}
    return {name: kind for name, kind in found.items() if kind}


def _name(kind: pa.DataType) -> str:
    types = pa.types
    if types.is_dictionary(kind) and _is_text(kind.value_type):
        return _DICTIONARY
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return str(kind) if plain else ""


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
        return column.dictionary_encode() if _is_text(column.type) else column
    type_ = pa.type_for_alias(name)
    if pa.types.is_floating(type_) and pa.types.is_floating(column.type):
        return column.cast(type_)
    return lossless(column, type_)


def lossless(exact: Any, type_: pa.DataType) -> Any:
    """Return values as another type, or as they are where that says less."""
    try:
        found = exact.cast(type_)
        return found if found.cast(exact.type).equals(exact) else exact
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return exact


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
