"""Rows of a table, batch by batch: from memory, or from Parquet one row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from caesura.data.parquet_files import ParquetFiles
from caesura.data.read import read_table
from caesura.errors import DataError


class Rows(Protocol):
    """A table that can be passed over without being whole in memory."""

    schema: pa.Schema
    num_rows: int

    def whole(self) -> pa.Table:
        """Return all of it."""

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns from first row to last."""


class TableRows:
    """A table in memory."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.schema, self.num_rows = table, table.schema, table.num_rows

    def whole(self) -> pa.Table:
        """Return the table."""
        return self.table

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the chunks of the table."""
        yield from self.table.select(list(names)).to_batches()


class ParquetRows:
    """Parquet files in the order of their names, keys in their paths as columns."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = ParquetFiles(path)
        self.schema = self.files.schema
        self.groups = self.files.groups
        self.num_rows = sum(footer.num_rows for footer in self.files.footers)
        self.group_rows = [
            self.files.footers[number].row_group(group).num_rows for number, group in self.groups
        ]
        if sum(self.group_rows) != self.num_rows:
            raise DataError(
                f"{path} is damaged: it says {self.num_rows} rows, and its row groups hold "
                f"{sum(self.group_rows)}; write it again"
            )

    def whole(self) -> pa.Table:
        """Read all files into one table."""
        return read_table(self.path)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the row groups."""
        for number in range(len(self.groups)):
            yield from self.read_group(number, names).to_batches()

    def read_group(self, number: int, names: Sequence[str]) -> pa.Table:
        """Read one row group, counted over all files; a damaged one is a DataError."""
        file, group = self.groups[number]
        path = self.files.paths[file]
        try:
            found = self.files.read(file, group, names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"row group {group} of {path} cannot be read: {error}") from error
        if found.num_rows != self.group_rows[number]:
            raise DataError(
                f"row group {group} of {path} is damaged: it says {self.group_rows[number]} rows "
                f"and holds {found.num_rows}; write the file again"
            )
        return found
