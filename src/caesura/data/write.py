"""Writes result tables, whole or not at all, in the kind that the file's name says."""

from __future__ import annotations

from pathlib import Path

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


def check_writable(path: Path) -> None:
    """Raise before any work where the result could not be written."""
    if path.suffix.lower() not in _KINDS:
        raise DataError(f"cannot write {path.name}; name a .parquet, .csv or .arrow file")
    if path.is_dir():
        raise DataError(f"{path} is a folder; name a file")
