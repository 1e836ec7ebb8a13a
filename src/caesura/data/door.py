"""The door itself: whatever the user has, in; a store and a report of what was mended, out."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from caesura.data.cache import cached_path, load_store, save_store
from caesura.data.checks import readable
from caesura.data.clean_table import clean_store
from caesura.data.column_types import column_types
from caesura.data.columns import require_columns
from caesura.data.config import Columns, DataConfig
from caesura.data.panel import panel_to_store
from caesura.data.parquet_files import is_parquet
from caesura.data.read import read_table
from caesura.data.rows import ParquetRows, Rows, TableRows
from caesura.data.store import DoorReport, RaggedStore
from caesura.data.table import note_lengths, table_to_store

log = logging.getLogger("caesura")


def open_data(
    source: Any, config: DataConfig, *, lenient: bool = False, exact: bool = False
) -> tuple[RaggedStore, DoorReport]:
    """Read a table, frame, path, array or list of arrays as the configuration says.

    Every notice of the report is also logged as a warning of the logger "caesura".
    lenient: do without the columns that only training needs (group, error) where they lack. exact:
    values keep all digits, for who writes them again (`data.narrow`).
    """
    per_observation = config.tokens == "observation"
    if isinstance(source, np.ndarray | list | tuple):
        rate, missing = config.rate * config.every, config.columns.missing
        store, report = panel_to_store(source, per_observation, rate, missing, exact=exact)
        report.say_unmatched()
    else:
        kept = None
        if isinstance(source, str | Path) and Path(source).exists():
            use = " ".join(["lenient"] * lenient + ["exact"] * exact)
            kept = cached_path(Path(source), config.columns, per_observation, use)
        found = None if kept is None else load_store(kept)
        if found is None:
            with readable(source):
                found = _open_table(
                    source, config.columns, per_observation, lenient=lenient, exact=exact
                )
            if kept is not None:
                save_store(kept, *found)
        store, report = found
    for notice in report.notices:
        log.warning(notice)
    return store, report


def _open_table(
    source: Any, columns: Columns, per_observation: bool, *, lenient: bool, exact: bool
) -> tuple[RaggedStore, DoorReport]:
    """Read rows that need no mending as they stream by, others as a whole table."""
    rows: Rows
    if is_parquet(source):
        rows = ParquetRows(Path(source))
    else:
        rows = TableRows(read_table(source, columns.names, columns.static))
    if lenient:
        columns = without_absent(columns, rows.schema.names)
    notes = unused_channel(rows.schema.names, columns)
    if columns.id not in rows.schema.names and not columns.id_given:
        require_columns(rows.schema, columns.model_copy(update={"id": ""}))
        rows = TableRows(_as_one_series(rows.whole(), columns.id))
        notes.append("no column names the series (--id): the table is taken as one")
    store, report = open_rows(rows, columns, per_observation, exact=exact)
    report.say_unmatched()
    report.notices[:0] = notes
    return store, report


def without_absent(columns: Columns, names: list[str]) -> Columns:
    """Return columns less those that only training needs, where a table lacks them."""
    kept = {k: getattr(columns, k) for k in ("group", "error")}
    blank = {k: "" for k, name in kept.items() if name not in names}
    return columns.model_copy(update=blank)


def _as_one_series(table: Any, name: str) -> Any:
    """Return a table with a column that names one series."""
    import pyarrow as pa

    return table.append_column(name, pa.array(["series"] * table.num_rows))


def open_rows(
    rows: Rows, columns: Columns, per_observation: bool, exact: bool = False
) -> tuple[RaggedStore, DoorReport]:
    """Turn rows into a store: the short way where nothing is to be mended, else the long one."""
    report = DoorReport(rows=rows.num_rows)
    store = clean_store(rows, columns, report, exact=exact)
    if store is None:
        store, report = table_to_store(rows.whole(), columns, per_observation, exact=exact)
    else:
        note_lengths(store.lengths, report)
    return replace(store, column_types=column_types(rows.schema, columns)), report


def unused_channel(names: list[str], columns: Columns) -> list[str]:
    """Say so where a column looks like the channel and is not named."""
    taken = (columns.id, columns.time, columns.group, *columns.value, *columns.constant)
    if columns.channel or "channel" not in names or "channel" in taken:
        return []
    return ["column 'channel' is not used; if it names channels, pass --channel channel"]
