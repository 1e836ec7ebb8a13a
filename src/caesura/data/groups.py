"""Whole series by row group: a Parquet file or folder that is read a part at a time.

Rows of a series must follow one another, from file to file in the order of their names; their
order in time does not matter. `caesura data sort` writes a table so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.checks import readable
from caesura.data.config import DataConfig
from caesura.data.door import open_rows, without_absent
from caesura.data.rows import ParquetRows, TableRows
from caesura.data.spelling import distinct, plain
from caesura.data.store import NO_VALUES, DoorReport, RaggedStore
from caesura.errors import DataError, NothingMeasuredError


class Begun(NamedTuple):
    """Series that begin in a row group: those with a value, the ids of all, and what was mended."""

    store: RaggedStore | None
    ids: pa.Array
    report: DoorReport


class SeriesGroups:
    """The row groups of a table, each with the series that begin in it.

    Columns that the configuration names and the table lacks are a DataError; lenient: but for those
    that only training needs.
    """

    def __init__(self, path: Path, config: DataConfig, lenient: bool = False) -> None:
        self.rows = ParquetRows(path)
        if lenient:
            columns = without_absent(config.columns, self.rows.schema.names)
            config = config.model_copy(update={"columns": columns})
        self.path, self.config = path, config
        columns = config.columns
        used = [columns.id, columns.time, columns.channel, *columns.value, columns.error]
        self.names = [name for name in (*used, *columns.constant) if name]
        wanted = [*self.names, *([columns.group] if columns.group else [])]
        missing = [name for name in wanted if name not in self.rows.schema.names]
        if missing:
            known = ", ".join(self.rows.schema.names)
            raise DataError(f"column {missing[0]!r} not in {path}; columns: {known}")

    def __len__(self) -> int:
        return len(self.rows.groups)

    @cached_property
    def heads(self) -> NDArray[np.int64]:
        """How many rows at the head of each group belong to the series before: a pass over ids."""
        name, heads = self.config.columns.id, []
        last: Any = None
        for number in range(len(self)):
            ids = self.ids(number)
            if ids.null_count:
                raise DataError(f"column {name!r} has {ids.null_count} empty cells")
            other = pc.index(pc.equal(ids, last), False).as_py() if last is not None else 0
            heads.append(len(ids) if other < 0 else other)
            last = ids[-1]
        return np.array(heads, dtype=np.int64)

    def ids(self, number: int) -> pa.Array:
        """Return the ids of a group's rows."""
        name = self.config.columns.id
        return plain(self.rows.read_group(number, [name])[name])

    def read(self, number: int, heads: NDArray[np.int64] | None = None) -> RaggedStore | None:
        """Read the series that begin in a row group, to their ends in the following ones; None
        where none with a value begins. heads: of all groups, where they are known."""
        return self.read_all(number, heads).store

    def read_all(self, number: int, heads: NDArray[np.int64] | None = None) -> Begun:
        """Read what begins in a row group, series without a value too, and say what was mended."""
        heads = self.heads if heads is None else heads
        table = self.rows.read_group(number, self.names).slice(int(heads[number]))
        if not table.num_rows:
            return Begun(None, distinct(table[self.config.columns.id])[0], DoorReport())
        parts = [table]
        for following in range(number + 1, len(heads)):
            if not heads[following]:
                break
            more = self.rows.read_group(following, self.names)
            parts.append(more.slice(0, int(heads[following])))
            if heads[following] < more.num_rows:
                break
        columns = self.config.columns.model_copy(update={"group": ""})
        rows = TableRows(pa.concat_tables(parts))
        try:
            with readable(self.path):
                store, report = open_rows(rows, columns, self.config.tokens == "observation")
        except NothingMeasuredError as error:
            ids = distinct(rows.table[columns.id])[0]
            seen = error.report
            report = seen if isinstance(seen, DoorReport) else DoorReport(rows.num_rows)
            some = ", ".join(str(one) for one in ids[:3].to_pylist())
            report.add(NO_VALUES, len(ids), first=f", first: {some}")
            return Begun(None, ids, report)
        return Begun(store, store.all_ids, report)

    def in_parts(self, rows: int) -> list[Sequence[int]]:
        """Return runs of groups of about so many rows each."""
        sizes = self.rows.group_rows
        part = np.cumsum(sizes) // max(1, rows)
        return [np.flatnonzero(part == one).tolist() for one in np.unique(part)]
