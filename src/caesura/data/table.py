"""A long or wide table becomes a ragged store: checked, cleaned, sorted, without loss.

What cannot be series is an error; what can be mended (unsorted rows, duplicates, NaN,
sentinels) is mended and counted in the report.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.clock import Clock
from caesura.data.columns import (
    Dictionary,
    dictionary,
    holds_numbers,
    numeric,
    require_columns,
    require_distinct,
    time_values,
)
from caesura.data.config import Columns
from caesura.data.missing import without_markers
from caesura.data.narrow import BEYOND, LARGEST, narrowed, narrowed_error
from caesura.data.order import sorting_index
from caesura.data.spelling import is_whole, spelled
from caesura.data.statics import read_static
from caesura.data.store import NO_VALUES, DoorReport, RaggedStore
from caesura.errors import DataError, NothingMeasuredError


def table_to_store(
    table: pa.Table, columns: Columns, per_observation: bool, exact: bool = False
) -> tuple[RaggedStore, DoorReport]:
    """Turn a table into a store; `per_observation` melts a wide row into one value a row.

    exact: values keep all digits (`data.narrow`).
    """
    report = DoorReport(rows=table.num_rows)
    require_columns(table.schema, columns)
    table, report.markers, blanked = without_markers(table, columns)
    ids = dictionary(table, columns.id)
    rows = _Rows.of(table, columns, ids.codes)
    if per_observation and len(columns.value) > 1:
        if columns.channel:
            raise DataError(
                f"channel column {columns.channel!r} and {len(columns.value)} value columns with "
                "tokens='observation'; use tokens='step', or one value column"
            )
        rows, channels = rows.melted(), columns.value
        names: tuple[str, ...] = ("value",)
    else:
        names = columns.value
        channels, rows.channel = _channels(table, columns)
    rows = rows.keep(_real_rows(rows, blanked, report))
    rows = _in_order(rows, report)
    measured = len(rows.series)
    rows = _without_duplicates(rows, columns, channels, ids.values, report)
    if 2 * len(rows.series) <= measured:
        require_distinct(table, columns)
    store = _assemble(rows, ids, channels, names, report)
    store = replace(
        store,
        values=narrowed(store.values, store.observed, store.offsets, store.channel, exact=exact),
    )
    if columns.channel:
        store = replace(store, channels_are_numbers=are_numbers(table.schema, columns, channels))
    return _with_series_columns(store, table, columns, ids, report), report


def _channels(table: pa.Table, columns: Columns) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    if not columns.channel:
        return ("",), np.zeros(table.num_rows, dtype=np.int32)
    found = dictionary(table, columns.channel, fractions=True)
    names = spelled(found.values).to_pylist()
    order = np.argsort(np.array(names), kind="stable")  # the vocabulary does not depend on rows
    number = np.empty(len(names), dtype=np.int32)
    number[order] = np.arange(len(names), dtype=np.int32)
    return tuple(names[i] for i in order), number[found.codes]


def are_numbers(schema: pa.Schema, columns: Columns, channels: tuple[str, ...]) -> bool:
    """Say whether a table names its channels by whole numbers, also as floats or decimals."""
    return holds_numbers(schema.field(columns.channel).type) and all(map(is_whole, channels))


@dataclass
class _Rows:
    """Parallel columns of a table, one entry an observation or step."""

    series: NDArray[np.int64]
    times: NDArray[Any]
    channel: NDArray[np.int32]
    values: NDArray[np.float64]
    error: NDArray[np.float64] | None
    clock: Clock
    texts: pa.Array | None = None

    @classmethod
    def of(cls, table: pa.Table, columns: Columns, series: NDArray[np.int64]) -> _Rows:
        times, clock, texts = time_values(table, columns.time)
        values = np.stack([numeric(table, name) for name in columns.value], axis=1)
        error = numeric(table, columns.error)[:, None] if columns.error else None
        return cls(series, times, np.zeros(len(series), np.int32), values, error, clock, texts)

    def keep(self, index: NDArray[Any]) -> _Rows:
        error = None if self.error is None else self.error[index]
        return _Rows(
            self.series[index],
            self.times[index],
            self.channel[index],
            self.values[index],
            error,
            self.clock,
            None if self.texts is None else self.texts.take(_positions(index)),
        )

    def melted(self) -> _Rows:
        size = self.values.shape[1]
        return _Rows(
            np.repeat(self.series, size),
            np.repeat(self.times, size),
            np.tile(np.arange(size, dtype=np.int32), len(self.series)),
            self.values.reshape(-1, 1),
            None,
            self.clock,
            None
            if self.texts is None
            else self.texts.take(pa.array(np.repeat(np.arange(len(self.series)), size))),
        )


def _positions(index: NDArray[Any]) -> pa.Array:
    return pa.array(np.flatnonzero(index) if index.dtype == np.bool_ else index)


def _real_rows(rows: _Rows, blanked: int, report: DoorReport) -> NDArray[np.bool_]:
    """Blank what is not a measurement and say which rows keep at least one value."""
    if blanked:
        report.add("{} values equal to a missing marker were left out", blanked)
    infinite = np.isinf(rows.values)
    beyond = (np.abs(rows.values) > LARGEST) & ~infinite
    absent = int(np.isnan(rows.values).sum()) - blanked
    rows.values[infinite | beyond] = np.nan
    if beyond.any():
        report.add(BEYOND, int(beyond.sum()))
    if infinite.any() or (absent and rows.values.shape[1] == 1):
        report.add("{} NaN and {} infinite values left out", absent, int(infinite.sum()))
    if rows.error is not None:
        bad = ~(rows.error > 0) & np.isfinite(rows.values)
        if bad.any():
            report.add("{} errors are not positive; those values count as exact", int(bad.sum()))
            rows.error[bad] = 0.0
        large = rows.error > LARGEST
        if large.any():
            report.add("{} errors beyond 3.4e+38 were taken as that", int(large.sum()))
            rows.error[large] = LARGEST
    real = np.asarray(np.isfinite(rows.values).any(axis=1))
    if rows.clock.kind == "number":
        timed = np.isfinite(rows.times)
        if not timed.all():
            report.add("{} rows without a finite time were left out", int((~timed).sum()))
        real = real & timed
    if not real.any():
        raise NothingMeasuredError(
            "no row has a finite time and value; check --time, --value and --missing", report
        )
    return real


def _in_order(rows: _Rows, report: DoorReport) -> _Rows:
    step, tick = np.diff(rows.series), np.diff(rows.times)
    same = step == 0
    sorted_already = (step >= 0).all() and (tick[same] >= 0).all()
    ties = same & (tick == 0)
    if sorted_already and (np.diff(rows.channel)[ties] >= 0).all():
        return rows
    if not sorted_already:
        report.add("rows were not sorted by id and time; sorted (sorted input loads faster)")
    _, codes = np.unique(rows.series, return_inverse=True)
    return rows.keep(sorting_index(codes, rows.times, rows.channel)[0])


def _without_duplicates(
    rows: _Rows,
    columns: Columns,
    channels: tuple[str, ...],
    ids: pa.Array,
    report: DoorReport,
) -> _Rows:
    new = np.ones(len(rows.series), dtype=np.bool_)
    new[1:] = (
        (np.diff(rows.series) != 0) | (np.diff(rows.times) != 0) | (np.diff(rows.channel) != 0)
    )
    extra = int((~new).sum())
    if not extra:
        return rows
    first = np.flatnonzero(~new)[:3]
    times = rows.clock.written(rows.times[first]).cast(pa.string()).to_pylist()
    shown = "; ".join(
        f"{columns.id}={ids[int(rows.series[i])].as_py()}, {columns.time}={time}"
        + (f", {columns.channel}={channels[rows.channel[i]]}" if columns.channel else "")
        for i, time in zip(first, times, strict=True)
    )
    if columns.duplicates == "error":
        raise DataError(f"{extra} duplicated rows, first: {shown}. Drop them or use mean or last")
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(new)) - 1
    joined = rows.keep(ends)
    if columns.duplicates == "mean":
        measured = np.isfinite(rows.values)
        count = np.add.reduceat(measured.astype(np.int64), starts, axis=0)
        total = np.add.reduceat(np.where(measured, rows.values, 0.0), starts, axis=0)
        joined.values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        if rows.error is not None:
            joined.error = np.add.reduceat(rows.error, starts, axis=0) / count.clip(1)
    joining = f"{{}} duplicated rows joined by {columns.duplicates}"
    report.add(joining, extra, first=f", first: {shown}")
    return joined


def _assemble(
    rows: _Rows,
    ids: Dictionary,
    channels: tuple[str, ...],
    names: tuple[str, ...],
    report: DoorReport,
) -> RaggedStore:
    present, starts = np.unique(rows.series, return_index=True)
    if len(present) < len(ids.values):
        absent = np.setdiff1d(np.arange(len(ids.values)), present)
        shown = ", ".join(str(ids.values[int(i)].as_py()) for i in absent[:3])
        report.add(NO_VALUES, len(absent), first=f", first: {shown}")
    offsets = np.append(starts, len(rows.series)).astype(np.int64)
    lengths = np.diff(offsets)
    note_lengths(lengths, report)
    observed = np.isfinite(rows.values)
    report.series = len(present)
    return RaggedStore(
        values=np.where(observed, rows.values, 0.0),
        observed=observed,
        clock=rows.times,
        channel=rows.channel,
        offsets=offsets,
        origins=rows.times[starts],
        ids=ids.values.take(pa.array(present)),
        source_ids=ids.values if len(present) < len(ids.values) else None,
        channels=channels,
        value_names=names,
        time_kind=rows.clock.kind,
        time_zone=rows.clock.zone,
        time_form=rows.clock.form,
        tick_unit=rows.clock.unit,
        texts=rows.texts,
        error=None if rows.error is None else narrowed_error(rows.error),
    )


def note_lengths(lengths: NDArray[np.int64], report: DoorReport) -> None:
    """Count series that have nothing to predict from."""
    if (lengths == 1).any():
        report.add("{} series have a single observation", int((lengths == 1).sum()))


def _with_series_columns(
    store: RaggedStore, table: pa.Table, columns: Columns, ids: Dictionary, report: DoorReport
) -> RaggedStore:
    """Add groups and static features, which a series has one of."""
    if not (columns.group or columns.constant):
        return store
    present = pc.index_in(store.ids, ids.values).to_numpy()
    groups, static = None, None
    if columns.group:
        codes = dictionary(table, columns.group).codes
        first, constant = _first_of_series(codes.astype(np.float64), ids.codes, len(ids.values))
        if not constant[present].all():
            name = store.ids[int(np.flatnonzero(~constant[present])[0])].as_py()
            raise DataError(f"series {name} lies in several groups of {columns.group!r}")
        groups = first[present].astype(np.int64)
    classes = []
    if columns.constant:
        features = []
        for name in columns.constant:
            values, names = read_static(table, name, name in columns.classes)
            large = np.abs(values) > LARGEST
            if large.any():
                report.add(f"values of {name!r} beyond 3.4e+38 left out")
                values = np.where(large, np.nan, values)
            first, constant = _first_of_series(values, ids.codes, len(ids.values))
            if not constant[present].all():
                count = int((~constant[present]).sum())
                shown = name.replace("{", "{{").replace("}", "}}")
                changes = f"static {shown!r} changes within {{}} series; its first value counts"
                report.add(changes, count)
            features.append(first[present])
            classes.append(names)
        static = np.stack(features, axis=1)
    return replace(
        store,
        groups=groups,
        static=static,
        static_names=columns.constant,
        static_classes=tuple(classes),
    )


def _first_of_series(
    values: NDArray[np.float64], series: NDArray[np.int64], count: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return each series' first finite value (NaN if none) and whether it never changes."""
    first = np.full(count, np.nan)
    finite = np.flatnonzero(np.isfinite(values))[::-1]
    first[series[finite]] = values[finite]  # written backwards, so that the first one stays
    constant = np.ones(count, dtype=np.bool_)
    differs = values[finite] != first[series[finite]]
    constant[series[finite][differs]] = False
    return first, constant
