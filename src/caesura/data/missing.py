"""Markers that mean "not measured" (`--missing -999.9`), compared in the type of each column.

-999.9 is no float32: stored as one it is -999.90002. So a marker is rounded as a column's cells are
before it is looked for; a column of float64 may hold what was float32 before.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.config import Columns


def without_markers(table: pa.Table, columns: Columns) -> tuple[pa.Table, dict[float, int], int]:
    """Return a table with empty cells for markers among values, errors and static columns.

    Also returns how often each marker was there, and how many values were blanked.
    """
    found = dict.fromkeys(columns.missing, 0)
    blanked = 0
    for name in dict.fromkeys((*columns.value, columns.error, *columns.constant)):
        if not name or not columns.missing:
            continue
        column = table[name]
        for marker in columns.missing:
            equal = _equal(column, marker)
            count = 0 if equal is None else int(pc.sum(equal).as_py() or 0)
            if equal is not None and count:
                column = pc.if_else(equal.fill_null(False), pa.scalar(None, column.type), column)
                found[marker] += count
                blanked += count if name in columns.value else 0
        table = table.set_column(table.column_names.index(name), name, column)
    return table, found, blanked


def is_marker(values: NDArray[Any], missing: Sequence[float], kind: Any) -> NDArray[np.bool_]:
    """Say which numbers of a type, given as float64, are one of the markers."""
    as_stored = [one for marker in missing for one in _rounded(marker, np.dtype(kind))]
    return np.asarray(np.isin(values, as_stored))


def _rounded(marker: float, kind: np.dtype[Any]) -> tuple[float, ...]:
    """Return what a marker is in a type of numpy: in float64 also what it was in float32."""
    with np.errstate(over="ignore"):
        single = float(np.float32(marker))
        if kind == np.float16:
            return (float(np.float16(marker)),)
    if kind == np.float32:
        return (single,)
    return (marker, single) if np.isfinite(single) else (marker,)


def _equal(column: Any, marker: float) -> Any:
    """Return which cells are a marker; None where none of their type can be."""
    types, kind = pa.types, column.type
    if types.is_dictionary(kind):
        return _equal(column.cast(kind.value_type), marker)
    if types.is_floating(kind):
        wide = column.cast(pa.float64())
        as_stored = _rounded(marker, np.dtype(kind.to_pandas_dtype()))
        return pc.is_in(wide, pa.array(as_stored, pa.float64()))
    if types.is_string(kind) or types.is_large_string(kind):
        return pc.equal(column, pa.scalar(f"{marker:.15g}", kind))
    if types.is_integer(kind) and marker == int(marker):
        return _equal_to(column, int(marker))
    if types.is_decimal(kind):
        return _equal_to(column, Decimal(repr(marker)))
    return None


def _equal_to(column: Any, marker: int | Decimal) -> Any:
    try:
        return pc.equal(column, pa.scalar(marker).cast(column.type))
    except pa.ArrowException:  # beyond what the type holds
        return None
