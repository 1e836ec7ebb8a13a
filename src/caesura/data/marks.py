"""Marks of time stamps: a column of the data's own table that is 1 where something is odd."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.columns import holds_numbers, time_values
from caesura.data.config import Columns
from caesura.data.grid import GridStore
from caesura.data.read import read_table
from caesura.data.spelling import places, plain, spelled
from caesura.data.zones import aligned
from caesura.errors import DataError

_ODD = ("1", "true", "t", "yes", "y", "anomaly", "anomalous", "abnormal", "outlier")
_NORMAL = ("0", "false", "f", "no", "n", "normal", "", "nan")
"""Words for marks and for what is none, in small letters."""


def read_marks(
    source: Any, view: GridStore, columns: Columns, name: str
) -> list[NDArray[np.bool_]]:
    """Return which grid steps of each series of a view the column `name` marks.

    The column holds numbers (above 0: marked), booleans, or words for them; empty cells mark
    nothing. A column that is not there, holds other words, or marks no time stamp of these series,
    is a DataError.
    """
    table, store = read_table(source, columns.names), view.store
    if name not in table.column_names:
        raise DataError(f"column {name!r} not in table; columns: {', '.join(table.column_names)}")
    marked = np.flatnonzero(_is_marked(table[name], name))
    times, told, _ = time_values(table, columns.time)
    clock = aligned(times[marked], told, store.teller, "marked")
    series = np.zeros(len(marked), dtype=np.int64)  # a table without ids is one series
    if columns.id in table.column_names:
        number = places(table[columns.id], store.ids).fill_null(-1)
        series = number.to_numpy(zero_copy_only=False).astype(np.int64)[marked]
    known = series >= 0
    series, clock = series[known], clock[known]
    steps = view.steps_at(series, clock)
    found = [np.zeros(int(n), dtype=bool) for n in view.lengths]
    for one, step in zip(series.tolist(), steps.tolist(), strict=True):
        if 0 <= step < len(found[one]):
            found[one][step] = True
    if not any(one.any() for one in found):
        raise DataError(f"column {name!r} marks no time stamp of these series")
    return found


def _is_marked(column: Any, name: str) -> NDArray[np.bool_]:
    """Return which rows a column marks, by the type or the words that it has."""
    cells = plain(column)
    if holds_numbers(cells.type):
        marked = pc.greater(cells, pa.scalar(0, cells.type))
    else:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(spelled(cells)))
        strange = pc.unique(words.filter(pc.invert(pc.is_in(words, pa.array([*_ODD, *_NORMAL])))))
        strange = strange.drop_null().to_pylist()
        if strange:
            shown = ", ".join(map(repr, strange[:5]))
            raise DataError(
                f"column {name!r} holds {shown}; marks are 0 and 1, true and false, or normal and "
                "anomaly"
            )
        marked = pc.is_in(words, pa.array(_ODD))
    return np.asarray(marked.fill_null(False).to_numpy(zero_copy_only=False), dtype=np.bool_)
