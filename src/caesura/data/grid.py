"""A store as a model of regular series sees it: windows of a grid, gathered into batches."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.collate import conditions
from caesura.data.quality import is_usable, template_match
from caesura.data.regular import (
    Signal,
    band_passed,
    native_rate,
    padded,
    regular_signal,
    thinned,
)
from caesura.data.schema import Schema
from caesura.data.step_times import StepTimes
from caesura.data.store import RaggedStore
from caesura.data.units import Units
from caesura.data.window import Windows
from caesura.errors import DataError
from caesura.types import Batch, Grid

log = logging.getLogger("caesura")
FURTHEST = 1000.0
"""Spreads from the centre beyond which float32 leaves less than 1 in 10,000 of a spread."""


@dataclass(frozen=True)
class GridStore:
    """Series on a regular grid, in their own units; variables in rows, samples in columns.

    offsets: bounds of the series in the columns. window: samples of a window. units: what a model
    is given (`data.units`), which `collate` and `model_series` return. sparse: whether most samples
    may be missing, as where irregular times were binned.
    """

    store: RaggedStore
    signal: Signal
    rate_hz: float
    window: int
    condition: NDArray[np.float32] | None
    schema: Schema
    sparse: bool = False

    def __len__(self) -> int:
        return len(self.store)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Bounds of the series in the samples."""
        return self.signal.offsets

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of samples of each series."""
        return np.diff(self.signal.offsets)

    def steps_at(self, series: NDArray[np.int64], clock: NDArray[Any]) -> NDArray[np.int64]:
        """Return the steps of some series that are nearest to times of the store's clock."""
        return StepTimes(self.store, self.schema).nearest(series, clock)

    @cached_property
    def units(self) -> Units:
        """What a model is given of the table's values (`data.units`)."""
        sampling = self.schema.sampling
        known = ((), ()) if sampling is None else (sampling.centers, sampling.spreads)
        return Units.of(*known, len(self.signal.values))

    @cached_property
    def kind(self) -> type[np.float32] | type[np.float64]:
        """The type of what a model is given: float64 where float32 would lose what windows hold."""
        values = self.signal.values
        if values.dtype == np.float32 or not values.size:
            return np.float32
        furthest = np.abs(np.where(self.signal.observed, self.units.model(values), 0.0)).max()
        return np.float64 if furthest > FURTHEST else np.float32

    def series(self) -> list[NDArray[np.floating[Any]]]:
        """Return each series as (variables, samples), NaN where it was not measured."""
        nan = self.signal.values.dtype.type(np.nan)
        whole = np.where(self.signal.observed, self.signal.values, nan)
        return [whole[:, a:b] for a, b in itertools.pairwise(self.offsets)]

    def model_series(self) -> list[NDArray[np.float64]]:
        """Return each series as `series` does, in the model's units."""
        return [self.units.model(one) for one in self.series()]

    def tiles(self, series: NDArray[np.int64], overlap: float = 0.0) -> Windows:
        """Return whole windows from the start of each series, none of those that are shorter."""
        hop = max(1, round(self.window * (1 - overlap)))
        starts = [
            np.arange(self.offsets[one], self.offsets[one + 1] - self.window + 1, hop)
            for one in series
        ]
        which = np.repeat(series, [len(some) for some in starts])
        start = np.concatenate([*starts, np.zeros(0, np.int64)]).astype(np.int64)
        return Windows(which, start, start + self.window)

    def covering(self, series: NDArray[np.int64]) -> Windows:
        """Return windows that cover each series; the last one overlaps where they do not fit."""
        found: list[tuple[int, int, int]] = []
        for one in series:
            first, last = int(self.offsets[one]), int(self.offsets[one + 1])
            for start in range(first, max(last - self.window, first) + 1, self.window):
                found.append((int(one), start, min(start + self.window, last)))
            if found[-1][2] < last:
                found.append((int(one), last - self.window, last))
        table = np.array(found, dtype=np.int64).reshape(-1, 3)
        return Windows(table[:, 0], table[:, 1], table[:, 2])

    def worth_learning(self, windows: Windows, quality: float, constant: bool = False) -> Windows:
        """Return the windows that are there, not flat, and whose beats match a template.

        quality: least `template_match` of the first variable; 0: not asked. constant: take flat
        ones too. Those left out are counted in a warning; none left is a DataError.
        """
        values, observed = self.signal.values, self.signal.observed
        good = np.zeros(len(windows), dtype=np.bool_)
        for i, (start, stop) in enumerate(zip(windows.start, windows.stop, strict=True)):
            part = self.units.model(values[:, start:stop])
            good[i] = is_usable(part, observed[:, start:stop], constant, self.sparse) and (
                not quality or template_match(part[0], self.rate_hz) >= quality
            )
        if not len(windows):
            raise DataError(
                f"no window of {self.window} steps fits into a part that trains or validates "
                f"(longest series {int(self.lengths.max())} steps); pass a shorter --window"
            )
        faults = ["under two samples"] if self.sparse else ["under half of the samples"]
        if not (constant or self.sparse):
            faults.insert(0, "constant")
        if quality:
            faults.append(f"a quality below {quality:g}")
        why = " or ".join(faults)
        if not good.any():
            raise DataError(
                f"none of {len(windows)} windows can be learned from ({why}); look at the data "
                "with `caesura data stats`"
            )
        if not good.all():
            left_out = int((~good).sum())
            log.warning("%d of %d windows are not learned from: %s", left_out, len(windows), why)
        return windows.take(np.flatnonzero(good))

    def collate(self, windows: Windows, target: torch.Tensor | None = None) -> Batch:
        """Gather windows into a batch; `target` has a row for each series of the store."""
        longest = int(windows.lengths.max())
        place = np.arange(longest)
        real = place < windows.lengths[:, None]
        columns = windows.start[:, None] + np.minimum(place, windows.lengths[:, None] - 1)
        values = self.units.model(self.signal.values[:, columns].transpose(1, 0, 2))
        observed = self.signal.observed[:, columns].transpose(1, 0, 2) & real[:, None]
        series = torch.from_numpy(windows.series)
        return Batch(
            inputs=Grid(
                values=torch.from_numpy(np.ascontiguousarray(values * observed, dtype=self.kind)),
                observed=torch.from_numpy(np.ascontiguousarray(observed)),
                rate_hz=self.rate_hz,
                valid=None if real.all() else torch.from_numpy(real),
            ),
            index=torch.from_numpy(windows.start),
            target=None if target is None else target[series],
            condition=None
            if self.condition is None
            else torch.from_numpy(self.condition[windows.series]),
        )


def sample_store(
    store: RaggedStore,
    schema: Schema,
    *,
    silent: bool = False,
    partial: bool = False,
    extended: bool = True,
) -> GridStore:
    """See a store by a schema with a sampling; one that cannot be read so is a DataError.

    A rate that differs from the data's is a warning, unless `silent`. partial: channels may lack.
    extended: where times were laid in bins, series shorter than a window are as long as one.
    """
    sampling = schema.sampling
    if sampling is None:
        raise DataError("this model has no rate: it was not trained on a grid")
    store = replace(store, calendar=sampling.calendar)
    channel = schema.channel_codes(store)
    absent = np.setdiff1d(np.arange(len(schema.channels)), channel)
    if len(absent) and not partial:
        missing = ", ".join(repr(schema.channels[i]) for i in absent)
        raise DataError(
            f"channels {missing} have no sample in the data; the model was trained on "
            f"{', '.join(map(repr, schema.channels))}"
        )
    rate = sampling.rate_hz * sampling.every
    signal = regular_signal(store, channel, len(schema.channels), rate, sampling.binned)
    if sampling.band:
        signal = band_passed(signal, rate, sampling.band)
    own = native_rate(store)
    if own and abs(own / rate - 1) > 0.02 and not silent and not sampling.binned:
        log.warning("samples of %.4g Hz are resampled to %.4g Hz", own, rate)
    if sampling.every > 1:
        signal = thinned(signal, sampling.every)
    if sampling.binned and extended:
        signal = padded(signal, sampling.window)
    empty = _without_sample(signal)
    if len(empty):
        raise DataError(
            f"series {store.ids[int(empty[0])].as_py()!r} has no measured sample; drop it"
        )
    seen = conditions(store, schema)
    return GridStore(
        store, signal, sampling.rate_hz, sampling.window, seen, schema, sparse=sampling.binned
    )


def _without_sample(signal: Signal) -> NDArray[np.int64]:
    seen = np.add.reduceat(signal.observed.any(0).astype(np.int64), signal.offsets[:-1])
    return np.flatnonzero(seen == 0)
