"""Reads what a user has into one Arrow table: files, folders, frames, Arrow itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from caesura.data.checks import check_names, source_name
from caesura.data.parquet_files import ParquetFiles
from caesura.errors import DataError

_READERS = (
    "Parquet (.parquet, .pq, or a folder of them), CSV (.csv, .tsv, .csv.gz), Arrow (.arrow), "
    "Monash (.tsf)"
)


def read_table(
    source: Any, keys: Collection[str] = (), kinds: Collection[str] | None = ()
) -> pa.Table:
    """Return the table behind a path, an Arrow table, a pandas or polars frame, or a mapping of
    columns by name.

    keys, kinds: of CSV, which columns are names and which may be (`data.csv_file`).
    """
    if isinstance(source, str | Path):
        table = _read_path(Path(source), keys, kinds)
    elif isinstance(source, pa.Table):
        table = source
    elif isinstance(source, Mapping):
        table = pa.table(dict(source))
    else:
        table = _from_frame(source)
    check_names(table.schema, source)
    table = _without_views(table)
    name = source_name(source)
    try:
        table.validate(full=True)  # text that is not UTF-8 would fail wherever it is read
    except pa.ArrowInvalid as error:
        raise DataError(f"{name} is damaged or holds text not in UTF-8: {error}") from None
    if table.num_rows == 0:
        raise DataError(f"{name} has no rows; give a table with at least one observation")
    return table


def _without_views(table: pa.Table) -> pa.Table:
    """Return views of text and bytes as plain ones: Arrow cannot filter or take views."""
    kinds = ((pa.string_view(), pa.string()), (pa.binary_view(), pa.binary()))
    for place, field in enumerate(table.schema):
        for view, kind in kinds:
            if field.type.equals(view):
                table = table.set_column(place, field.name, table[place].cast(kind))
    return table


def with_columns(source: Any, names: Sequence[str], keys: Collection[str] = ()) -> Any:
    """Return a table with empty columns for those of some names that it lacks; what is no table, or
    lacks them all, as it is. keys: as of `read_table`."""
    if isinstance(source, np.ndarray | list | tuple):
        return source
    table = read_table(source, keys)
    absent = [name for name in names if name not in table.column_names]
    if len(absent) == len(names):
        return source
    for name in absent:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.float64()))
    return table


def _read_path(path: Path, keys: Collection[str], kinds: Collection[str] | None) -> pa.Table:
    if not path.exists():
        raise DataError(f"no file or folder at {path}")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    suffixes = "".join(path.suffixes).lower()
    try:
        if path.is_dir() or suffixes.endswith((".parquet", ".pq")):
            return ParquetFiles(path).whole()
        if suffixes.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz")):
            from caesura.data.csv_file import read_csv

            return read_csv(path, keys, kinds)
        if suffixes.endswith((".arrow", ".feather", ".ipc")):
            from pyarrow import feather

            return feather.read_table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if suffixes.endswith(".tsf"):
        from caesura.data.corpus_files import read_tsf

        return read_tsf(path)
    raise DataError(f"{path}: unknown kind of file; known: {_READERS}")


def _from_frame(source: Any) -> pa.Table:
    import narwhals as nw
    from narwhals.exceptions import NarwhalsError

    try:
        return nw.from_native(source, eager_only=True).to_arrow()
    except TypeError as error:
        raise DataError(
            f"cannot read series from {type(source).__name__}; give a path, a pandas, polars or "
            "Arrow table, an array (series, channels, time), or a list of (channels, time_i)"
        ) from error
    except (pa.ArrowException, NarwhalsError) as error:
        raise DataError(
            f"the frame cannot be turned into Arrow ({error}); a column with mixed types "
            "(numbers and text among the ids?) must be made one type first"
        ) from error
