"""What runs say of series, as tables in the columns, the clock and the units of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.clock import Clock, TimeKind
from caesura.data.column_types import as_typed, beside, typed
from caesura.data.schema import Sampling, Schema
from caesura.data.step_times import StepTimes
from caesura.data.store import RaggedStore
from caesura.tasks.detect import Detected
from caesura.tasks.forecast import Forecasts
from caesura.tasks.generate import sampling_of
from caesura.tasks.generate_given import Completed
from caesura.tasks.impute import Imputed
from caesura.tasks.needs import Trained

_SAME = 1.01
"""How much longer than a step of the grid one of the clock may be to count as the same."""


def times_of(
    schema: Schema,
    store: RaggedStore,
    series: NDArray[np.int64],
    steps: NDArray[np.int64],
    channel: NDArray[np.integer[Any]] | None = None,
) -> pa.Array:
    """Return the times of some steps of the grid of some series, as the table has them.

    channel: the number of each one's, where channels may have times of their own.
    """
    found = StepTimes(store, schema).written(series, steps, channel)
    return typed(found, store.column_types.get(schema.columns.time, ""))


def window_times(
    schema: Schema, store: RaggedStore, series: NDArray[np.int64], start: NDArray[np.float64]
) -> pa.Array:
    """Return the times at which windows begin, `start` seconds after their series do on the grid,
    as the table has them."""
    rate = 1.0 if schema.sampling is None else schema.sampling.rate_hz
    return times_of(schema, store, series, np.round(start * rate).astype(np.int64))


def forecast_table(
    schema: Schema, store: RaggedStore, lengths: NDArray[np.int64], found: Forecasts
) -> pa.Table:
    """Return id, time, channel, value, lower, upper of what follows series of some lengths, and the
    way by which it was forecast."""
    series, channels, horizon = found.value.shape
    which = np.repeat(np.arange(series), channels * horizon)
    steps = np.repeat(lengths[:, None] + np.arange(horizon), channels, 0).ravel()
    columns: dict[str, Any] = {
        schema.columns.id: store.ids.take(pa.array(which)),
        schema.columns.time: times_of(schema, store, which, steps),
    }
    channel = typed(
        pa.array(np.tile(np.repeat(schema.variables, horizon), series)),
        store.column_types.get(schema.columns.channel, ""),
    )
    added = {name: getattr(found, name).ravel() for name in ("value", "lower", "upper")}
    added["way"] = np.repeat(found.by_series.ravel().astype(str), horizon)
    return as_typed(beside(columns, {"channel": channel} | added), _key_types(schema, store))


def detection_table(schema: Schema, store: RaggedStore, found: Detected) -> pa.Table:
    """Return id, time, score, p_value of each time stamp."""
    lengths = [len(one) for one in found.score]
    which = np.repeat(np.arange(len(lengths)), lengths)
    steps = np.concatenate([np.arange(n) for n in lengths])
    columns = {
        schema.columns.id: store.ids.take(pa.array(which)),
        schema.columns.time: times_of(schema, store, which, steps),
    }
    added = {"score": np.concatenate(found.score), "p_value": np.concatenate(found.p_value)}
    return as_typed(beside(columns, added), _key_types(schema, store))


def imputed_table(schema: Schema, store: RaggedStore, found: Imputed) -> pa.Table:
    """Return id, time, channel, value, lower, upper, imputed of each step of each series."""
    variables = schema.variables
    lengths = np.array([one.shape[1] for one in found.value])
    which = np.repeat(np.arange(len(lengths)), lengths * len(variables))
    steps = np.concatenate([np.tile(np.arange(n), len(variables)) for n in lengths])
    numbers = np.arange(len(variables)) // len(schema.value_names)
    codes = np.concatenate([np.repeat(numbers, n) for n in lengths])
    columns: dict[str, Any] = {
        schema.columns.id: store.ids.take(pa.array(which)),
        schema.columns.time: times_of(schema, store, which, steps, codes),
    }
    channel = typed(
        pa.array(np.concatenate([np.repeat(variables, n) for n in lengths])),
        store.column_types.get(schema.columns.channel, ""),
    )
    added: dict[str, Any] = {
        name: np.concatenate([one.ravel() for one in getattr(found, name)])
        for name in ("value", "lower", "upper")
    }
    kinds = {store.column_types.get(name, "") for name in schema.columns.value}
    if len(kinds) == 1:  # else no type holds the values of all columns
        added["value"] = typed(pa.array(added["value"]), kinds.pop())
    added["imputed"] = ~np.concatenate([one.ravel() for one in found.observed])
    return as_typed(beside(columns, {"channel": channel} | added), _key_types(schema, store))


def _key_types(schema: Schema, store: RaggedStore) -> dict[str, str]:
    """Return the type of ids."""
    name = schema.columns.id
    return {name: store.column_types[name]} if name in store.column_types else {}


def synthetic_table(
    run: Trained,
    values: NDArray[np.floating[Any]],
    seed: int = 0,
    given: Mapping[str, Sequence[Any]] | None = None,
) -> pa.Table:
    """Return windows (count, variables, time) as a table with the columns of the training data.

    given: static columns by name, a value of each window (`Conditions.columns`).

    What is NaN was not measured: its row is left out, or its cell where others of the row are
    there. Times that were irregular in the training data are so here, drawn from `seed`.
    """
    sampling, columns = sampling_of(run), run.schema.columns
    cells = _Cells(run.schema, values)
    ids = _new_ids(len(values), sampling)
    table: dict[str, Any] = {columns.id: ids.take(pa.array(cells.series))}
    since = _since_begin(cells, sampling, seed)
    table[columns.time] = _from_begin(since, sampling, run.schema.time_kind)
    table |= cells.named(run.schema, sampling)
    for name, each in (given or {}).items():
        table[name] = pa.array(each).take(pa.array(cells.series))
    return as_typed(table, run.schema.column_types)


def completed_table(schema: Schema, store: RaggedStore, found: Completed) -> pa.Table:
    """Return windows that were completed, in the columns of the training data, and `draw`."""
    if schema.sampling is None:
        raise TypeError("windows are of a run on a grid")
    cells, windows = _Cells(schema, found.values), found.windows
    window, draw = np.divmod(cells.series, found.draws)
    series, steps = windows.series[window], windows.start[window] + cells.step
    columns: dict[str, Any] = {
        schema.columns.id: store.ids.take(pa.array(series)),
        schema.columns.time: times_of(
            schema, store, series, steps, None if cells.wide else cells.channel
        ),
    }
    columns |= cells.named(schema, schema.sampling)
    return as_typed(beside(columns, {"draw": draw}), store.column_types)


class _Cells:
    """Rows of a table: of windows (count, variables, time) the cells that are there."""

    def __init__(self, schema: Schema, values: NDArray[np.floating[Any]]) -> None:
        count, variables, time = values.shape
        size = len(schema.value_names)
        self.wide = size == variables and not schema.columns.channel
        channels = 1 if self.wide else len(schema.channels)
        # rows of the table: a series, a step, a channel; its cells: values
        cells = values.reshape(count, channels, size, time).transpose(0, 3, 1, 2).reshape(-1, size)
        there = np.isfinite(cells).any(1)
        self.values = cells[there]
        self.series, self.step, self.channel = (
            axis.ravel()[there] for axis in np.indices((count, time, channels), dtype=np.int32)
        )

    def named(self, schema: Schema, sampling: Sampling) -> dict[str, Any]:
        """Return the columns of channels, if the table has one, and of values."""
        table: dict[str, Any] = {}
        if not self.wide:
            known = pa.array(schema.channels)
            known = known.cast(pa.int64()) if sampling.numbered else known
            table[schema.columns.channel or "channel"] = known.take(pa.array(self.channel))
        for element, name in enumerate(schema.value_names):
            found = pa.array(self.values[:, element], from_pandas=True)  # NaN becomes null
            whole = all(sampling.whole[element :: len(schema.value_names)])
            table[name] = found.cast(pa.int64()) if whole else found
        return table


def _new_ids(count: int, sampling: Sampling) -> pa.Array:
    """Return ids that no series of the training data has, numbers where these have numbers."""
    if sampling.next_id is None:
        return pa.array([f"synthetic-{k}" for k in range(count)])
    return pa.array(np.arange(count) + sampling.next_id)


def _since_begin(cells: _Cells, sampling: Sampling, seed: int) -> NDArray[np.float64]:
    """Return the time of each row since the begin: within its step as the data's times are, the
    same for all channels there, and of the steps that all of those keep to. A series' first step
    is its begin."""
    length = 1 / sampling.rate_hz
    if not sampling.offsets:
        return np.asarray(cells.step / sampling.rate_hz)
    key, place = np.unique(np.stack([cells.series, cells.step]), axis=1, return_inverse=True)
    uniform = np.random.default_rng(seed).random(key.shape[1])
    drawn = np.interp(uniform, np.linspace(0, 1, len(sampling.offsets)), sampling.offsets)
    within = np.where(key[1] > 0, drawn, 0.0)
    since = (cells.step + within[place.ravel()]) * length
    kept = _kept_to(sampling)
    if not kept:
        return np.asarray(since)
    first, beyond = (np.ceil((cells.step + half) * length / kept) for half in (-0.5, 0.5))
    return np.asarray(kept * np.clip(np.round(since / kept), first, beyond - 1))


def _from_begin(since: NDArray[np.float64], sampling: Sampling, kind: TimeKind) -> pa.Array:
    """Return times, counted from the first of the training data, as these write theirs."""
    clock = Clock(kind, sampling.time_zone, sampling.time_form, sampling.tick_unit)
    first = np.array(sampling.begins)
    if kind == "timestamp":  # runs of old have it as a fraction
        first = first.astype(np.int64)
    grain = _kept_to(sampling) * clock.ticks
    return clock.later(np.broadcast_to(first, since.shape), since, sampling.calendar, grain)


def _kept_to(sampling: Sampling) -> float:
    """Return of what all times are multiples; 0 where the steps of the grid are finer."""
    kept = sampling.time_step
    return 0.0 if kept * sampling.rate_hz > _SAME else kept
