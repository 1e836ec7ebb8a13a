"""Marks of time stamps: a column of the data's own table that is 1 where something is odd."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.config import Columns
from caesura.data.grid import GridStore
from caesura.data.read import read_table
from caesura.errors import DataError


def read_marks(
    source: Any, view: GridStore, columns: Columns, name: str
) -> list[NDArray[np.bool_]]:
    """Return which grid steps of each series of a view the column `name` marks.

    A column that is not there, or marks no time stamp of these series, is a DataError.
    """
    table, store = read_table(source), view.store
    if name not in table.column_names:
        raise DataError(f"column {name!r} not in table; columns: {', '.join(table.column_names)}")
    marked = table.filter(np.asarray(table[name].to_numpy(zero_copy_only=False)) > 0)
    place = {one: k for k, one in enumerate(store.ids.to_pylist())}
    found = [np.zeros(int(n), dtype=bool) for n in view.lengths]
    clock = marked[columns.time]
    if store.time_kind == "timestamp":
        clock = clock.cast("timestamp[us]").cast("int64")
    for one, moment in zip(marked[columns.id].to_pylist(), clock.to_pylist(), strict=True):
        number = place.get(one)
        if number is not None:
            step = round(float(store.since(store.origins[number], moment)) * view.rate_hz)
            if 0 <= step < len(found[number]):
                found[number][step] = True
    if not any(one.any() for one in found):
        raise DataError(f"column {name!r} marks no time stamp of these series")
    return found
