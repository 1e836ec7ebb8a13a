"""Writes result tables, whole or not at all, in the kind that the file's name says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from caesura.errors import DataError
from caesura.files import write_atomically

_KINDS = (".parquet", ".csv", ".arrow")


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet, CSV or Arrow by the suffix of `path`, atomically."""
    check_writable(path)
    suffix = path.suffix.lower()

    def write(temporary: Path) -> None:
        if suffix == ".parquet":
            from pyarrow import parquet

            parquet.write_table(table, temporary, write_page_checksum=True)
        elif suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(table, temporary)
        else:
            from pyarrow import feather

            feather.write_feather(table, temporary)

    write_atomically(path, write)


def check_writable(path: Path, *sources: Any) -> None:
    """Raise before any work where a result could not be written; sources: as in `check_apart`."""
    if path.suffix.lower() not in _KINDS:
        raise DataError(f"cannot write {path.name}; name a .parquet, .csv or .arrow file")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file")
    if path.suffix.lower() == ".parquet":
        check_apart(path, *sources)
    else:
        check_apart(path, *(one for one in sources if not Path(str(one)).is_dir()))


def check_apart(path: Path, *sources: Any) -> None:
    """Raise a DataError where a result would be written over what is read, or among it.

    sources: what is read, of which paths are looked at; a folder is read whole, as one table.
    """
    target = path.resolve()
    for source in sources:
        if not isinstance(source, str | Path) or not source or not Path(source).exists():
            continue
        read = Path(source).resolve()
        if target == read:
            raise DataError(f"{path} is what is read; name another file, nothing is overwritten")
        if read.is_dir() and read in target.parents:
            raise DataError(
                f"{path} lies in {read}, which is read as one table: what is written there would "
                "count as data; name a file elsewhere"
            )
