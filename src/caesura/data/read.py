"""Reads what a user has into one Arrow table: files, folders, frames, Arrow itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from caesura.errors import DataError

_READERS = (
    "Parquet (.parquet, .pq, or a folder of them), CSV (.csv, .csv.gz), Arrow (.arrow), "
    "Monash (.tsf)"
)


def read_table(source: Any) -> pa.Table:
    """Return the table behind a path, an Arrow table, a pandas or polars frame, or a mapping of
    columns by name."""
    if isinstance(source, str | Path):
        table = _read_path(Path(source))
    elif isinstance(source, pa.Table):
        table = source
    elif isinstance(source, Mapping):
        table = pa.table(dict(source))
    else:
        table = _from_frame(source)
    check_names(table.schema, source)
    try:
        table.validate(full=True)  # text that is not UTF-8 would fail wherever it is read
    except pa.ArrowInvalid as error:
        raise DataError(f"{_name(source)} is damaged or holds text not in UTF-8: {error}") from None
    if table.num_rows == 0:
        raise DataError(f"{_name(source)} has no rows; give a table with at least one observation")
    return table


@contextmanager
def readable(source: Any) -> Iterator[None]:
    """Turn text that is not UTF-8, wherever it is met, into a DataError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{_name(source)} holds text that is not UTF-8 ({error}); save it as UTF-8"
        ) from None


def check_names(schema: pa.Schema, source: Any) -> None:
    """Raise a DataError where names of columns are not text that can be read, or not unique."""
    with readable(source):
        counts = Counter(schema.names)
    name, count = max(counts.items(), key=lambda one: one[1], default=("", 0))
    if count > 1:
        raise DataError(
            f"{_name(source)} has {count} columns {name!r}; rename or drop all but one of them"
        )


def with_columns(source: Any, names: Sequence[str]) -> Any:
    """Return a table with empty columns for those of some names that it lacks; what is no table, or
    lacks them all, as it is."""
    if isinstance(source, np.ndarray | list | tuple):
        return source
    table = read_table(source)
    absent = [name for name in names if name not in table.column_names]
    if len(absent) == len(names):
        return source
    for name in absent:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.float64()))
    return table


def is_parquet(source: Any) -> bool:
    """Say whether the source is a Parquet file or a folder of them."""
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    return path.is_dir() or (path.is_file() and path.suffix.lower() in (".parquet", ".pq"))


def _read_path(path: Path) -> pa.Table:
    if not path.exists():
        raise DataError(f"no file or folder at {path}")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    suffixes = "".join(path.suffixes).lower()
    try:
        if path.is_dir() or suffixes.endswith((".parquet", ".pq")):
            return _read_parquet(path)
        if suffixes.endswith((".csv", ".csv.gz", ".tsv")):
            from pyarrow import csv

            delimiter = "\t" if suffixes.endswith(".tsv") else ","
            return csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter))
        if suffixes.endswith((".arrow", ".feather", ".ipc")):
            from pyarrow import feather

            return feather.read_table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if suffixes.endswith(".tsf"):
        from caesura.data.corpus_files import read_tsf

        return read_tsf(path)
    raise DataError(f"{path}: unknown kind of file; known: {_READERS}")


def _read_parquet(path: Path) -> pa.Table:
    from pyarrow import dataset

    if path.is_file():
        from pyarrow import parquet

        return parquet.ParquetFile(path, page_checksum_verification=True).read()
    files: Any = [str(file) for file in parquet_files(path)]
    return dataset.dataset(files, format="parquet").to_table()


def parquet_files(path: Path) -> list[Path]:
    """Return a file, or a folder's files in the order of their names.

    Hidden ones are left out: that is what is still being written, or was when it was killed.
    """
    if path.is_file():
        return [path]
    found = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith("."))
    if not found:
        raise DataError(f"folder {path} holds no .parquet file")
    return found


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


def _name(source: Any) -> str:
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__}"
