"""Columns that are constant in a series: numbers, and classes by their names.

In a store a class is its number among the column's sorted names; models read a number for each of
them (`class_numbers`). An empty cell is no class: zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.columns import dictionary, holds_numbers, numeric
from caesura.errors import DataError, RecipeError

Name = bool | int | str
Names = tuple[Name, ...]
_MOST = 1000
"""Classes at most: more are names of the series themselves."""
_SHOWN = 12


def read_static(table: pa.Table, column: str, named: bool) -> tuple[NDArray[np.float64], Names]:
    """Return a value for each row and the names of the classes; none: the values are numbers.

    Text is always a class, whatever else where `named` says so. Over a thousand classes, or
    fractions as their names, are a DataError.
    """
    kind = table.schema.field(column).type
    if not named and (holds_numbers(kind) or pa.types.is_boolean(kind)):
        return numeric(table, column), ()
    cells = table[column].combine_chunks()
    there = cells.is_valid().to_numpy(zero_copy_only=False)
    found = dictionary(pa.table({column: cells.drop_null()}), column)
    names = [_name(one) for one in found.values.to_pylist()]
    if len(names) > _MOST:
        raise DataError(
            f"column {column!r} has {len(names)} classes, {_MOST:,} at most; name a column of fewer"
        )
    known = tuple(sorted(names))
    number = np.array([known.index(one) for one in names], dtype=np.float64)
    values = np.full(len(cells), np.nan)
    values[there] = number[found.codes]
    return values, known


def _name(value: object) -> Name:
    return value if isinstance(value, bool | int) else str(value)


def renumbered(
    values: NDArray[np.float64], own: Names, known: Names, column: str
) -> NDArray[np.float64]:
    """Return classes by their numbers among other names; one that is not there is a DataError."""
    there = np.isfinite(values)
    if not own and there.any():
        raise DataError(f"column {column!r} holds numbers; the model knows classes: {shown(known)}")
    codes = values[there].astype(np.int64)
    strange = [own[code] for code in np.unique(codes) if own[code] not in known]
    if strange:
        raise DataError(
            f"unknown {column} {shown(strange)}; the model knows {shown(known)}. Leave those "
            "series out, or train anew"
        )
    number = np.array([known.index(one) if one in known else -1 for one in own], dtype=np.float64)
    out = np.full(len(values), np.nan)
    out[there] = number[codes]
    return out


def class_numbers(codes: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return (series, count): of each class a number that is 0 but for its own series.

    There it is the root of their count, so that what a layer makes of it at first does not shrink
    with the number of classes.
    """
    out = np.zeros((len(codes), count))
    there = np.flatnonzero(np.isfinite(codes))
    out[there, codes[there].astype(np.int64)] = count**0.5
    return out


def named(value: object, known: Names, column: str) -> Name:
    """Return the class that is meant, also by its text; a RecipeError where there is none."""
    for one in known:
        if one == value or str(one).casefold() == str(value).casefold():
            return one
    raise RecipeError(f"unknown {column} {value!r}; the run knows {shown(known)}")


def shown(names: Sequence[Name]) -> str:
    """Return the first names as a sentence has them."""
    some = ", ".join(map(repr, names[:_SHOWN]))
    return some + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
