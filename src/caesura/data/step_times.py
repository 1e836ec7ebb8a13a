"""Times of the steps of a grid: the table's own where a step was measured, else of its line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.lines import Line
from caesura.data.regular import laid_out
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.errors import DataError

_SAME = 1.01
"""How much longer than a step of the grid what times are multiples of may be."""
Ints = NDArray[np.integer[Any]]


class StepTimes:
    """The times of a store's steps, as a schema with a sampling lays them.

    The first row of a step, in the order of its channels, says when it was; what was resampled has
    the times of the grid. Steps beside those that were measured follow the calendar.
    """

    def __init__(self, store: RaggedStore, schema: Schema) -> None:
        sampling = schema.sampling
        if sampling is None:
            raise DataError("this model has no rate: its series have no steps")
        self.store = replace(store, calendar=sampling.calendar)
        self.every, rate = sampling.every, sampling.rate_hz * sampling.every
        self.channel = schema.channel_codes(store)
        self.number = np.full(len(store.clock), -1, dtype=np.int64)
        lines: list[Line] = []
        for plans, line in laid_out(self.store, self.channel, rate, sampling.binned):
            lines.append(line)
            for plan in plans:
                if plan.ratio == 1:
                    self.number[plan.rows] = plan.step
        self.lines = np.array(lines)
        self.last = np.maximum.reduceat(self.number, store.offsets[:-1])
        grain = store.grain
        coarse = grain * rate > _SAME or (self.number < 0).any() or sampling.binned
        self.grain = 0.0 if coarse else grain * store.ticks

    def written(self, series: Ints, steps: Ints, channel: Ints | None = None) -> pa.Array:
        """Return the times of some steps of some series as the table writes them.

        channel: of each, the model's number of it, where channels may have times of their own.
        """
        number = np.asarray(steps, dtype=np.int64) * self.every
        row = self._row(series, number, None)
        if channel is not None:
            by_channel = self._row(series, number, channel)
            row = np.where(by_channel >= 0, by_channel, row)
        there = row >= 0
        other = series[~there]
        since = self.lines_of(other).times(number[~there], self.last[other])
        clock, calendar = self.store.teller, self.store.calendar
        computed = clock.later(self.store.origins[other], since, calendar, self.grain)
        measured = self.store.measured(row[there])
        place = np.where(there, np.cumsum(there) - 1, there.sum() + np.cumsum(~there) - 1)
        if not len(other):
            computed = computed.cast(measured.type)
        elif not there.any() or computed.type != measured.type:
            measured = measured.cast(computed.type)
        return pa.concat_arrays([measured, computed]).take(pa.array(place))

    def lines_of(self, series: Ints) -> Line:
        """Return the lines of some series, as one of arrays."""
        return Line(*self.lines[series].T)

    def nearest(self, series: Ints, clock: NDArray[Any]) -> NDArray[np.int64]:
        """Return the steps of some series that are nearest to times of their clock."""
        since = self.store.since(self.store.origins[series], clock)
        return np.asarray(self.lines_of(series).numbers(since) // self.every)

    def _row(self, series: Ints, number: Ints, channel: Ints | None) -> NDArray[np.int64]:
        """Return the first observation at each of some steps, -1 where nothing was measured."""
        whose = self.store.series
        if channel is not None:
            size = int(self.channel.max()) + 1
            whose = whose * size + self.channel
            series = np.where(channel < size, series * size + channel, -1)
        length = max(int(self.number.max()), int(number.max(initial=0))) + 2
        known = np.flatnonzero(self.number >= 0)
        keys = whose[known] * length + self.number[known]
        order = np.argsort(keys, kind="stable")
        wanted = series * length + number
        place = np.searchsorted(keys[order], wanted)
        row = known[order][np.minimum(place, len(known) - 1)] if len(known) else place * 0
        same = (whose[row] == series) & (self.number[row] == number) & (number >= 0)
        return np.where(same & (len(known) > 0), row, -1)
