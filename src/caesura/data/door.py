"""The door itself: whatever the user has, in; a store and a report of what was mended, out."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from caesura.data.config import DataConfig
from caesura.data.panel import panel_to_store
from caesura.data.read import read_table
from caesura.data.store import DoorReport, RaggedStore
from caesura.data.table import table_to_store

log = logging.getLogger("caesura")


def open_data(
    source: Any, config: DataConfig, *, lenient: bool = False
) -> tuple[RaggedStore, DoorReport]:
    """Read a table, frame, path, array or list of arrays as the configuration says.

    Every notice of the report is also logged as a warning of the logger "caesura".
    lenient: do without the columns that only training needs (group, error) where they lack.
    """
    per_observation = config.tokens == "observation"
    if isinstance(source, np.ndarray | list | tuple):
        store, report = panel_to_store(source, per_observation)
    else:
        table, columns = read_table(source), config.columns
        if lenient:
            kept = {k: getattr(columns, k) for k in ("group", "error")}
            blank = {k: "" for k, name in kept.items() if name not in table.column_names}
            columns = columns.model_copy(update=blank)
        store, report = table_to_store(table, columns, per_observation)
    for notice in report.notices:
        log.warning(notice)
    return store, report
