"""Places to predict: read from a table, or laid out over the span of each series."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.column_types import as_typed, free_name
from caesura.data.columns import time_values
from caesura.data.read import read_table
from caesura.data.schema import Schema
from caesura.data.spelling import places, spelled
from caesura.data.store import RaggedStore
from caesura.data.zones import aligned
from caesura.errors import DataError

log = logging.getLogger("caesura")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@dataclass(frozen=True)
class Queries:
    """Places to predict: series number in a store, time since its origin, variable.

    times: float64 in the table's unit (seconds for dates), NaN where nothing can be answered: no
    time was given, or the series, -1, has no value. variable: number of the
    (channel, value) pair, `channel * values + value`.
    """

    series: NDArray[np.int64]
    times: NDArray[np.float64]
    variable: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.series)

    def take(self, rows: NDArray[np.int64]) -> Queries:
        """Return some of them."""
        return Queries(self.series[rows], self.times[rows], self.variable[rows])


def read_queries(source: Any, store: RaggedStore, schema: Schema) -> tuple[Queries, pa.Table]:
    """Read a table of (id, time[, channel]) under the data's column names; keep its order.

    An unknown id or channel is a DataError: a query without an answer must not be lost.
    Also returns the table, to which answers are added.
    """
    table = read_table(source)
    columns = schema.columns
    name = columns.channel or free_name("channel", {columns.id, columns.time})
    several = len(schema.variables) > 1
    for column in (columns.id, columns.time, *((name,) if several else ())):
        if column not in table.column_names:
            raise DataError(
                f"query has no column {column!r}; columns: {', '.join(table.column_names)}. "
                f"It needs {columns.id}, {columns.time}" + (f", {name}" if several else "")
            )
    number = _series_of(table[columns.id], store)
    asked = table[columns.time]
    empty = asked.is_null(nan_is_null=True).to_numpy()
    if asked.null_count and asked.null_count < len(asked):  # a date is needed in place of none
        filled = asked.combine_chunks().fill_null(asked.drop_null()[0])
        asked = pa.chunked_array([filled])
    times, clock, _ = time_values(pa.table({columns.time: asked}), columns.time)
    times = aligned(times, clock, store.teller, "query")
    variable = _variables(table, name, schema) if several else np.zeros(len(number), np.int64)
    since = since_origin(times, store, number)
    since[empty | (number < 0) | ~np.isfinite(since)] = np.nan
    unanswered = int(np.isnan(since).sum())
    if unanswered:
        log.warning(
            "%d queries have no time, or are of a series without a value; their answers are empty, "
            "with low trust",
            unanswered,
        )
    return Queries(number, since, variable), table


def _series_of(asked: Any, store: RaggedStore) -> NDArray[np.int64]:
    """Return the number of each id in a store, -1 of a series without a value."""
    series = places(asked, store.ids)
    known = series if store.source_ids is None else places(asked, store.all_ids)
    if known.null_count:
        first = asked[int(np.flatnonzero(known.is_null())[0])].as_py()
        raise DataError(
            f"{known.null_count} queries ask for ids that are not in --data, first: {first!r}; "
            "a series needs at least one observation to be interpolated"
        )
    found = series.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(found.astype(np.int64))


def since_origin(
    times: NDArray[Any], store: RaggedStore, series: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return times of the store's clock as time since each series' origin."""
    return store.since(store.origins[series], times)


def _variables(table: pa.Table, name: str, schema: Schema) -> NDArray[np.int64]:
    asked = spelled(table[name])
    found = pc.index_in(asked, pa.array(schema.variables, pa.string()))
    if found.null_count:
        first = asked[int(np.flatnonzero(found.is_null())[0])].as_py()
        raise DataError(
            f"query asks for unknown channel {first!r}; the model knows "
            f"{', '.join(map(repr, schema.variables[:20]))}"
        )
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64)


def lay_out_queries(at: str, store: RaggedStore, schema: Schema) -> tuple[Queries, pa.Table]:
    """Lay out `every:STEP` over each series' span, or the absolute times `t1,t2,...`.

    Every channel is asked at every time. STEP is in the table's unit; for dates in seconds,
    or with a unit: 30m, 2h, 1d. Also returns the table (id, time, channel) of the queries.
    """
    if at.startswith("every:"):
        series, since = _every(at, store, schema)
        written = store.written(series, since)
    else:
        series, since, written = _listed(at, store)
    count = len(schema.variables)
    queries = Queries(
        np.repeat(series, count),
        np.repeat(since, count),
        np.tile(np.arange(count), len(series)),
    )
    columns = schema.columns
    table = {
        columns.id: store.ids.take(pa.array(queries.series)),
        columns.time: written.take(pa.array(np.repeat(np.arange(len(series)), count))),
    }
    if count > 1:
        names = pa.array(schema.variables, pa.string())
        if store.channels_are_numbers and len(schema.value_names) == 1:
            names = names.cast(pa.int64())  # as the table has them, so that results join
        table[columns.channel or free_name("channel", table)] = names.take(
            pa.array(queries.variable)
        )
    return queries, as_typed(table, store.column_types)


def _every(
    at: str, store: RaggedStore, schema: Schema
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    step = _duration(at.removeprefix("every:"), schema)
    spans = store.spans
    counts = np.floor(spans / step + 1e-9).astype(np.int64) + 1
    if counts.sum() * len(schema.variables) > 100_000_000:
        raise DataError(
            f"every:{step:g} asks for {counts.sum() * len(schema.variables):,} values; "
            "take a larger step"
        )
    series = np.repeat(np.arange(len(store)), counts)
    place = np.arange(len(series)) - np.repeat(np.cumsum(counts) - counts, counts)
    return series.astype(np.int64), (place * step).astype(np.float64)


def _duration(text: str, schema: Schema) -> float:
    match = re.fullmatch(r"([0-9.eE+-]+)([smhd]?)", text)
    try:
        step = float(match[1]) if match else 0.0
    except ValueError:
        step = 0.0
    if not match or not step > 0 or not np.isfinite(step):
        raise DataError(
            f"every:{text} is not a positive step; e.g. every:0.5, or every:1h for dates"
        )
    if match[2] and schema.time_kind != "timestamp":
        raise DataError(f"every:{text} has a unit, but times are numbers; give a number")
    return step * _SECONDS[match[2] or "s"]


def _listed(at: str, store: RaggedStore) -> tuple[NDArray[np.int64], NDArray[np.float64], pa.Array]:
    """Return series, times since their origins, and these as the table would write them."""
    parts = [part.strip() for part in at.split(",") if part.strip()]
    if not parts:
        raise DataError("--at is empty; give every:STEP or times t1,t2,...")
    try:
        if store.time_kind == "number":
            whole = store.clock.dtype.kind == "i" and all(
                re.fullmatch(r"[+-]?\d+", p) for p in parts
            )
            times: NDArray[Any] = np.array([int(p) if whole else float(p) for p in parts])
        else:
            read, clock, _ = time_values(pa.table({"t": parts}), "t")
            times = aligned(read, clock, store.teller, "--at")
    except (ValueError, DataError) as error:
        raise DataError(f"--at {at!r}: {error}; give every:STEP or times t1,t2,...") from None
    series = np.repeat(np.arange(len(store)), len(parts))
    every = np.tile(times, len(store))
    return series, since_origin(every, store, series), store.teller.written(every)
