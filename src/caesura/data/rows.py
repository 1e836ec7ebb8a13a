"""Rows of a table, batch by batch: from memory, or from Parquet one row group at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from caesura.data.read import check_names, parquet_files, read_table
from caesura.errors import DataError


class Rows(Protocol):
    """A table that can be passed over without being whole in memory."""

    schema: pa.Schema
    num_rows: int
    uniform: bool

    def whole(self) -> pa.Table:
        """Return all of it."""

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns from first row to last."""


class TableRows:
    """A table in memory."""

    uniform = True

    def __init__(self, table: pa.Table) -> None:
        self.table, self.schema, self.num_rows = table, table.schema, table.num_rows

    def whole(self) -> pa.Table:
        """Return the table."""
        return self.table

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the chunks of the table."""
        yield from self.table.select(list(names)).to_batches()


class ParquetRows:
    """Parquet files in the order of their names; `uniform` where they have one schema."""

    def __init__(self, path: Path) -> None:
        from pyarrow import parquet

        self.path = path
        self.paths = parquet_files(path)
        try:
            footers = [parquet.read_metadata(one) for one in self.paths]
            schemas = [footer.schema.to_arrow_schema() for footer in footers]
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
        self.schema = schemas[0]
        check_names(self.schema, path)
        self.uniform = all(schema.equals(self.schema) for schema in schemas)
        self.num_rows = sum(footer.num_rows for footer in footers)
        self.group_rows = [
            footer.row_group(group).num_rows
            for footer in footers
            for group in range(footer.num_row_groups)
        ]
        if sum(self.group_rows) != self.num_rows:
            raise DataError(
                f"{path} is damaged: it says {self.num_rows} rows, and its row groups hold "
                f"{sum(self.group_rows)}; write it again"
            )
        self.groups = [
            (one, group)
            for one, footer in zip(self.paths, footers, strict=True)
            for group in range(footer.num_row_groups)
        ]

    def whole(self) -> pa.Table:
        """Read all files into one table."""
        return read_table(self.path)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the row groups."""
        for number in range(len(self.groups)):
            yield from self.read_group(number, names).to_batches()

    def read_group(self, number: int, names: Sequence[str]) -> pa.Table:
        """Read one row group, counted over all files; a damaged one is a DataError."""
        from pyarrow import parquet

        path, group = self.groups[number]
        try:
            with parquet.ParquetFile(path, page_checksum_verification=True) as file:
                found = file.read_row_group(group, columns=list(names))
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(f"row group {group} of {path} cannot be read: {error}") from error
        if found.num_rows != self.group_rows[number]:
            raise DataError(
                f"row group {group} of {path} is damaged: it says {self.group_rows[number]} rows "
                f"and holds {found.num_rows}; write the file again"
            )
        return found
