"""What estimators take as series, and how answers come back: in the kind that came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.config import Columns
from caesura.data.panel import blocks_of, unmasked
from caesura.data.read import read_table
from caesura.data.spelling import distinct, places
from caesura.data.store import RaggedStore
from caesura.errors import DataError

Kind = Literal["array", "arrow", "pandas", "polars"]


def kind_of(X: Any) -> Kind:
    """Return the kind of some series: "array" for arrays and lists of them; paths and mappings are
    answered as Arrow."""
    if isinstance(X, str | Path | Mapping | pa.Table):
        return "arrow"
    library = type(X).__module__.partition(".")[0]
    if library == "pandas":
        return "pandas"
    return "polars" if library == "polars" else "array"


def as_series(X: Any) -> Any:
    """Return tables and panels as they are, NaN where they are masked; anything else becomes an
    array."""
    X = unmasked(X)
    known = isinstance(X, np.ndarray | list) or kind_of(X) != "array"
    return X if known else np.asarray(X)


def labels_of(y: Any) -> NDArray[Any]:
    """Return labels as an array; masked ones, which are no labels, are a DataError."""
    masked = int(np.ma.getmaskarray(y).sum()) if isinstance(y, np.ma.MaskedArray) else 0
    if masked:
        raise DataError(f"{masked} labels are masked; leave those series out")
    return np.asarray(y)


def order_of(X: Any, ids: pa.Array, name: str) -> NDArray[np.int64]:
    """Return the numbers of a store's series in the order in which a table first names them.

    Arrays, and tables without a column of that name (one series), are in order as they are.
    """
    if kind_of(X) == "array":
        return np.arange(len(ids))
    table = read_table(X, (name,))
    if name not in table.column_names:
        return np.arange(len(ids))
    found = places(distinct(table[name])[0], ids).drop_null()
    return np.asarray(found.to_numpy(), dtype=np.int64)


def count_of(X: Any, columns: Mapping[str, Any] | None) -> int:
    """Return the number of series, before any is read."""
    if kind_of(X) == "array":
        return len(X)
    name = str((columns or {}).get("id", Columns().id))
    table = read_table(X, (name,))
    return len(distinct(table[name])[0]) if name in table.column_names else 1


def every_series(found: Sequence[NDArray[Any]], X: Any, store: RaggedStore) -> list[NDArray[Any]]:
    """Return (time,) of each series of arrays, all NaN where it has no value."""
    if store.source_ids is None:
        return list(found)
    rows = store.source_rows.to_pylist()
    lengths = [block.shape[1] for block in blocks_of(X)]
    return [
        np.full(steps, np.nan) if row is None else found[row]
        for row, steps in zip(rows, lengths, strict=True)
    ]


def table_as(table: pa.Table, kind: Kind) -> Any:
    """Return a table in a kind; as Arrow where series came in as arrays."""
    if kind == "pandas":
        return table.to_pandas()
    if kind == "polars":
        import polars

        return polars.from_arrow(table)
    return table


def columns_as(columns: Mapping[str, NDArray[Any]], ids: Any, kind: Kind) -> Any:
    """Return one row a series: an array of all columns, or a frame; pandas has the ids as index."""
    if kind == "array":
        return np.stack(list(columns.values()), 1)
    table = pa.table(dict(columns))
    if kind == "pandas":
        return table.to_pandas().set_index(ids.to_pandas())
    return table_as(table, kind)


def column_as(values: NDArray[Any], ids: Any, kind: Kind) -> Any:
    """Return one value a series: an array, or a column of the kind."""
    if kind == "array":
        return values
    if kind == "arrow":
        return pa.array(values, from_pandas=True)
    return columns_as({"prediction": values}, ids, kind)["prediction"]
