"""The short way into a store, for rows with nothing to mend.

No empty cell, no infinite or marked value, no duplicate: then rows are copied once, a row
group at a time, in blocks that stay in the processor's cache while they are checked. Whatever
is not so goes the long way (`data.table`), which mends and reports.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.clock import clock_of, date_ticks, time_kind
from caesura.data.config import Columns
from caesura.data.narrow import LARGEST, narrowed, narrowed_error
from caesura.data.order import is_rising, is_strict, sorting_index
from caesura.data.rows import Rows
from caesura.data.spelling import distinct, spelled
from caesura.data.store import DoorReport, RaggedStore
from caesura.data.table import are_numbers

_BLOCK = 32_768
"""Rows whose columns fit into a core's second cache together."""


def clean_store(
    rows: Rows, columns: Columns, report: DoorReport, exact: bool = False
) -> RaggedStore | None:
    """Return the store of rows that need no mending, else None and an untouched report.

    exact: values keep all digits (`data.narrow`).
    """
    if columns.group or columns.constant or columns.missing or len(columns.value) > 1:
        return None
    wanted = [columns.id, columns.time, columns.value[0], columns.error, columns.channel]
    if any(name and name not in rows.schema.names for name in wanted):
        return None
    if not rows.num_rows or not _readable(rows, columns):
        return None
    copy = _Copy(rows, columns)
    for batch in rows.batches([name for name in wanted if name]):
        if not copy.add(batch):
            return None
    firsts = pa.concat_arrays(copy.firsts)
    distinct = firsts.unique()
    names, channel = copy.channels.finished()
    starts = np.concatenate(copy.starts)
    grouped = len(distinct) == len(firsts)
    if not (grouped and (copy.rising or is_strict(starts, copy.clock, channel))):
        in_order = grouped and is_rising(starts, copy.clock)  # but for channels of one time
        codes = _codes(rows, columns.id, distinct)
        order, starts, copy.clock = sorting_index(codes, copy.clock, channel)
        channel = channel[order]
        if not is_strict(starts, copy.clock, channel):
            return None
        copy.reorder(order)
        if not in_order:
            report.add("rows were not sorted by id and time; sorted (sorted input loads faster)")
    report.series = len(distinct)
    offsets = np.append(starts, rows.num_rows).astype(np.int64)
    observed = np.broadcast_to(np.True_, (rows.num_rows, 1))
    return RaggedStore(
        values=narrowed(copy.values, observed, offsets, channel, exact=exact),
        observed=observed,
        clock=copy.clock,
        channel=channel,
        offsets=offsets,
        origins=copy.clock[starts],
        ids=distinct,
        channels=names,
        value_names=columns.value,
        time_kind=copy.told.kind,
        time_zone=copy.told.zone,
        time_form=copy.told.form,
        tick_unit=copy.told.unit,
        channels_are_numbers=bool(columns.channel) and are_numbers(rows.schema, columns, names),
        error=None if copy.error is None else narrowed_error(copy.error),
    )


def _readable(rows: Rows, columns: Columns) -> bool:
    """Say whether the types are those that need no conversion by way of text or decimals."""
    kinds = {name: rows.schema.field(name).type for name in rows.schema.names}
    id_type = kinds[columns.id]
    text = pa.types.is_string(id_type) or pa.types.is_large_string(id_type)
    floats = [kinds[name] for name in (columns.value[0], columns.error) if name]
    return (
        (text or pa.types.is_integer(id_type))
        and time_kind(kinds[columns.time]) is not None
        and not pa.types.is_uint64(kinds[columns.time])  # may be beyond int64
        and all(pa.types.is_floating(one) for one in floats)
    )


class _Copy:
    """Columns as they are filled; `starts` and `firsts` are the rows and ids of new runs."""

    def __init__(self, rows: Rows, columns: Columns) -> None:
        self.columns = columns
        type_ = rows.schema.field(columns.time).type
        self.told = clock_of(type_)
        self.clock: NDArray[Any] = np.empty(
            rows.num_rows, dtype=np.float64 if pa.types.is_floating(type_) else np.int64
        )
        wide = any(
            rows.schema.field(name).type == pa.float64()
            for name in (columns.value[0], columns.error)
            if name
        )
        kind = np.float64 if wide else np.float32
        self._together = np.empty((rows.num_rows, 2 if columns.error else 1), dtype=kind)
        self.channels = _Channels(rows, columns.channel)
        self.starts: list[NDArray[np.int64]] = []
        self.firsts: list[pa.Array] = []
        self.rising = True
        self._last: Any = None
        self._done = 0

    @property
    def values(self) -> NDArray[np.floating[Any]]:
        """Return the values (rows, 1)."""
        return self._together[:, :1]

    @property
    def error(self) -> NDArray[np.floating[Any]] | None:
        """Return the errors (rows, 1), if there are any."""
        return self._together[:, 1:] if self.columns.error else None

    def reorder(self, order: NDArray[np.int64]) -> None:
        """Put values and errors into another order, both in one go."""
        kind = self._together.dtype
        whole = self._together.view(np.dtype((np.void, kind.itemsize * self._together.shape[1])))
        self._together = whole[order].view(kind)

    def add(self, batch: pa.RecordBatch) -> bool:
        """Copy a batch; False at the first value that needs mending."""
        if not batch.num_rows:
            return True
        if any(column.null_count for column in batch.columns):
            return False
        columns, done, size = self.columns, self._done, batch.num_rows
        dated = self.told.kind == "timestamp"
        ids, times = _run_keys(batch[columns.id]), batch[columns.time]
        times = _numbers(date_ticks(times, self.told.unit) if dated else times)
        measured = _numbers(batch[columns.value[0]])
        trust = _numbers(batch[columns.error]) if columns.error else None
        new = np.ones(size, dtype=np.bool_)
        for begin in range(0, size, _BLOCK):
            end = min(begin + _BLOCK, size)
            here, there = slice(begin, end), slice(done + begin, done + end)
            self._together[there, 0], self.clock[there] = measured[here], times[here]
            if not (np.isfinite(times[here]).all() and (np.abs(measured[here]) <= LARGEST).all()):
                return False
            if trust is not None:
                self._together[there, 1] = trust[here]
                if not ((trust[here] > 0) & (trust[here] <= LARGEST)).all():
                    return False
            late, early = slice(max(begin, 1), end), slice(max(begin, 1) - 1, end - 1)
            np.not_equal(ids[late], ids[early], out=new[late])
            self.rising = self.rising and bool(((times[late] > times[early]) | new[late]).all())
        first = batch[columns.id][0].as_py()
        new[0] = self._done == 0 or first != self._last
        self.rising = self.rising and bool(new[0] or times[0] > self.clock[done - 1])
        self._last = batch[columns.id][-1].as_py()
        begins = np.flatnonzero(new)
        self.starts.append(begins + done)
        self.firsts.append(batch[columns.id].take(pa.array(begins)))
        self._done += size
        return not columns.channel or self.channels.add(
            batch[columns.channel], slice(done, done + size)
        )


class _Channels:
    """Channel numbers by first appearance, put into the order of the names at the end."""

    def __init__(self, rows: Rows, name: str) -> None:
        type_ = rows.schema.field(name).type if name else None
        self._bytes = type_ in (pa.int8(), pa.uint8())
        self._number: dict[Any, int] = {}
        self._raw: NDArray[np.integer[Any]] = (
            np.empty(rows.num_rows, dtype=np.int16 if self._bytes else np.int32)
            if name
            else np.broadcast_to(np.int16(0), rows.num_rows)
        )
        self._any = bool(name)

    def add(self, column: pa.Array, place: slice) -> bool:
        """Number one batch; False where a cell is NaN."""
        if self._bytes:
            raw = _numbers(column)
            for value in _present(raw):
                self._number.setdefault(int(value), int(value))
            self._raw[place] = raw
            return True
        if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
            return False
        cells, codes = distinct(column)
        known = self._number
        own = [known.setdefault(name, len(known)) for name in spelled(cells).to_pylist()]
        self._raw[place] = np.array(own, dtype=np.int32)[codes]
        return True

    def finished(self) -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
        """Return the names, sorted as text, and each row's number among them."""
        if not self._any:
            return ("",), self._raw
        found = sorted((str(name), number) for name, number in self._number.items())
        names, numbers = tuple(name for name, _ in found), [number for _, number in found]
        if numbers == list(range(len(numbers))):
            return names, self._raw
        low = min(numbers)
        place = np.zeros(max(numbers) - low + 1, dtype=self._raw.dtype)
        place[np.array(numbers) - low] = np.arange(len(numbers))
        return names, place[self._raw - low]


def _codes(rows: Rows, name: str, distinct: pa.Array) -> NDArray[np.int32]:
    """Return the number of each row's id among the distinct ones."""
    codes = np.empty(rows.num_rows, dtype=np.int32)
    number, low = None, 0
    if pa.types.is_integer(distinct.type):
        known = distinct.to_numpy()
        low, span = int(known.min()), int(known.max()) - int(known.min()) + 1
        if span <= 4 * rows.num_rows:
            number = np.zeros(span, dtype=np.int32)
            number[known - low] = np.arange(len(known), dtype=np.int32)
    done = 0
    for batch in rows.batches([name]):
        there = slice(done, done + batch.num_rows)
        if number is None:
            codes[there] = pc.index_in(batch[name], distinct).to_numpy()
        else:
            codes[there] = number[_numbers(batch[name]) - low]
        done += batch.num_rows
    return codes


def _run_keys(column: pa.Array) -> NDArray[Any]:
    """Return something that differs where neighbouring ids differ."""
    if pa.types.is_integer(column.type):
        return _numbers(column)
    return np.asarray(column.dictionary_encode().indices.to_numpy())


def _numbers(column: pa.Array) -> NDArray[Any]:
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _present(raw: NDArray[Any]) -> NDArray[Any]:
    """Return the distinct values of bytes; a few comparisons cost less than a count."""
    low, high = int(raw.min()), int(raw.max())
    if high - low < 16:
        return np.array([v for v in range(low, high + 1) if (raw == v).any()], dtype=raw.dtype)
    seen = np.flatnonzero(np.bincount(raw.view(np.uint8), minlength=256))
    return seen.astype(np.uint8).view(raw.dtype)
