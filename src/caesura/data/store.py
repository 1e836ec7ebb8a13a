"""The one inner form of series: ragged columns and offsets, never NaN padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.calendars import Calendar, elapsed
from caesura.data.clock import Clock, TickUnit, TimeKind, grain_of
from caesura.data.statics import Names, class_numbers

NO_VALUES = "{} series have no value; what results say of them is empty"


@dataclass(frozen=True)
class RaggedStore:
    """Observations of all series, sorted by (series, time, channel).

    values, observed, error: (observations, size); unobserved elements are 0. Float32, or float64
    where that would lose what varies (`data.narrow`).
    clock: time of each observation as the table has it: float64, int64 where the table has whole
    numbers, or int64 ticks since 1970 for dates, `tick_unit` each. texts: how the table writes it,
    where that follows no one form. origins: the time each series counts from, its first one.
    channels: names as text; `channels_are_numbers` where the table has whole numbers.
    offsets: (series + 1) bounds into the rows above. groups: number of each series' group.
    static_classes: of each static column its names (`data.statics`), none where it has numbers.
    calendar: what dates are counted by where steps are not of equal length (`data.calendars`).
    column_types: of the table that was read, where there was one (`data.column_types`).
    source_ids: of all series of the source, where some of them have no value and are not here.
    """

    values: NDArray[np.floating[Any]]
    observed: NDArray[np.bool_]
    clock: NDArray[Any]
    channel: NDArray[np.integer[Any]]
    offsets: NDArray[np.int64]
    origins: NDArray[Any]
    ids: pa.Array
    channels: tuple[str, ...]
    value_names: tuple[str, ...]
    time_kind: TimeKind = "number"
    time_zone: str = ""
    time_form: str = ""
    tick_unit: TickUnit = "us"
    calendar: Calendar = ""
    texts: pa.Array | None = None
    channels_are_numbers: bool = False
    error: NDArray[np.floating[Any]] | None = None
    groups: NDArray[np.int64] | None = None
    static: NDArray[np.float64] | None = None
    static_names: tuple[str, ...] = ()
    static_classes: tuple[Names, ...] = ()
    column_types: Mapping[str, str] = field(default_factory=dict)
    source_ids: pa.Array | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def all_ids(self) -> pa.Array:
        """Ids of all series of the source, those without values too."""
        return self.ids if self.source_ids is None else self.source_ids

    @property
    def source_rows(self) -> pa.Array:
        """Number of each series of the source among those here, null where it has no value."""
        return pc.index_in(self.all_ids, self.ids)

    def spread(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return a row for each series of the source, NaN where it has no value."""
        if self.source_ids is None:
            return rows
        there = self.source_rows.is_valid().to_numpy(zero_copy_only=False)
        out = np.full((len(there), *rows.shape[1:]), np.nan, dtype=rows.dtype)
        out[there] = rows[self.source_rows.drop_null().to_numpy()]
        return out

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of observations of each series."""
        return np.diff(self.offsets)

    @property
    def ticks(self) -> int:
        """Steps of the clock in the table's unit of time (seconds for dates)."""
        return self.teller.ticks

    @property
    def teller(self) -> Clock:
        """What writes times as the table has them."""
        return Clock(self.time_kind, self.time_zone, self.time_form, self.tick_unit)

    @property
    def grain(self) -> float:
        """Of what times are multiples, in the table's unit (`data.clock.grain_of`)."""
        origins = np.repeat(self.origins, self.lengths)
        return grain_of(self.clock, origins, self.teller.digits) / self.ticks

    @property
    def times(self) -> NDArray[np.float64]:
        """Time of each observation since its series' origin, in the table's unit."""
        return self.since(np.repeat(self.origins, self.lengths), self.clock)

    @property
    def spans(self) -> NDArray[np.float64]:
        """Time from each series' origin to its last observation, in the table's unit."""
        return self.since(self.origins, self.clock[self.offsets[1:] - 1])

    def since(self, first: NDArray[Any], later: NDArray[Any]) -> NDArray[np.float64]:
        """Return the time between two of the clock, in the table's unit."""
        if self.calendar:
            return elapsed(first, later, self.calendar, self.time_zone, self.ticks)
        between: NDArray[Any] = later - first  # integers before any float
        return np.asarray(between / self.ticks, dtype=np.float64)

    @property
    def series(self) -> NDArray[np.int64]:
        """Number of the series each observation belongs to."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def group_codes(self) -> NDArray[np.int64]:
        """Number of each series' group; every series its own where none is given."""
        return np.arange(len(self)) if self.groups is None else self.groups

    def static_numbers(self) -> NDArray[np.float64] | None:
        """Return the static columns with a number for each class (series, numbers), or None."""
        if self.static is None:
            return None
        blocks = [
            class_numbers(values, len(names)) if names else values[:, None]
            for values, names in zip(self.static.T, self.static_classes, strict=True)
        ]
        return np.concatenate(blocks, axis=1)

    def static_column(self, name: str) -> pa.Array:
        """Return a static column as a table has it: numbers, or classes by their names."""
        if self.static is None:
            raise KeyError(name)
        place = self.static_names.index(name)
        values, classes = self.static[:, place], self.static_classes[place]
        if not classes:
            return pa.array(values, from_pandas=True)
        return pa.array([classes[int(one)] if one >= 0 else None for one in values])

    def written(self, series: NDArray[np.int64], since: NDArray[np.floating[Any]]) -> pa.Array:
        """Return times since the origins of series, in the table's unit, as the table has them."""
        return self.teller.later(self.origins[series], since, self.calendar)

    def measured(self, rows: NDArray[np.int64]) -> pa.Array:
        """Return the times of some observations, as the table has them."""
        if self.texts is not None:
            return self.texts.take(pa.array(rows))
        return self.teller.written(self.clock[rows])

    def take(self, series: NDArray[np.int64]) -> RaggedStore:
        """Return the chosen series, in the given order."""
        rows, offsets = rows_of(self.offsets, series)
        return replace(
            self,
            values=self.values[rows],
            observed=self.observed[rows],
            clock=self.clock[rows],
            texts=None if self.texts is None else self.texts.take(pa.array(rows)),
            channel=self.channel[rows],
            offsets=offsets,
            origins=self.origins[series],
            ids=self.ids.take(pa.array(series)),
            source_ids=None,
            error=None if self.error is None else self.error[rows],
            groups=None if self.groups is None else self.groups[series],
            static=None if self.static is None else self.static[series],
        )

    def until(self, last: NDArray[np.float64]) -> RaggedStore:
        """Return what each series has up to a time since its origin; one of these per series."""
        return self.without(self.times > np.repeat(last, self.lengths))

    def without(self, dropped: NDArray[np.bool_]) -> RaggedStore:
        """Return the store without some observations; each series must keep one."""
        kept = ~dropped
        counts = np.add.reduceat(kept.astype(np.int64), self.offsets[:-1])
        return replace(
            self,
            values=self.values[kept],
            observed=self.observed[kept],
            clock=self.clock[kept],
            texts=None if self.texts is None else self.texts.filter(pa.array(kept)),
            channel=self.channel[kept],
            offsets=np.concatenate([[0], np.cumsum(counts)]),
            error=None if self.error is None else self.error[kept],
        )


def rows_of(
    offsets: NDArray[np.int64], series: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the chosen series, one after the other, and their new offsets."""
    lengths = offsets[series + 1] - offsets[series]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(bounds[-1]) + np.repeat(offsets[series] - bounds[:-1], lengths)
    return rows, bounds


@dataclass
class DoorReport:
    """What the door saw, dropped and mended; nothing is changed without a line here."""

    rows: int = 0
    series: int = 0
    notices: list[str] = field(default_factory=list)
    markers: dict[float, int] = field(default_factory=dict)
    _counted: dict[str, tuple[list[int], str]] = field(default_factory=dict, compare=False)

    def add(self, notice: str, *counts: int, first: str = "") -> None:
        """Record one sentence for the user, counts for its braces; first: where it begins to hold.

        The same sentence with other counts, of another part of the data, is one with their sum.
        """
        if notice in self._counted:
            before, first = self._counted[notice]
            self.notices.remove(_sentence(notice, before, first))
            counts = tuple(map(sum, zip(before, counts, strict=True)))
        self._counted[notice] = (list(counts), first)
        self.notices.append(_sentence(notice, counts, first))

    def merge(self, part: DoorReport) -> None:
        """Add what was seen in another part of the data."""
        self.rows, self.series = self.rows + part.rows, self.series + part.series
        for notice, (counts, first) in part._counted.items():
            self.add(notice, *counts, first=first)
        for marker, count in part.markers.items():
            self.markers[marker] = self.markers.get(marker, 0) + count

    def say_unmatched(self) -> None:
        """Record the missing markers that nothing is equal to."""
        for marker, count in self.markers.items():
            if not count:
                self.add(f"no value is equal to the missing marker {marker:g}")


def _sentence(notice: str, counts: Sequence[int], first: str) -> str:
    return (notice.format(*counts) if counts else notice) + first
