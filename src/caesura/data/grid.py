"""A store as a model of regular series sees it: windows of a grid, gathered into batches."""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from caesura.data.collate import conditions
from caesura.data.config import DataConfig
from caesura.data.lattice import are_whole, copied_from, reach_limits, value_step
from caesura.data.quality import is_usable, template_match
from caesura.data.regular import (
    Signal,
    band_passed,
    binning_rate,
    is_irregular,
    native_rate,
    padded,
    regular_signal,
    step_offsets,
    thinned,
)
from caesura.data.schema import Sampling, Schema
from caesura.data.store import RaggedStore
from caesura.data.window import Windows
from caesura.errors import DataError
from caesura.types import Batch, Grid

log = logging.getLogger("caesura")

_USUAL_S = 10.0
"""Seconds of a window where recordings are long and none is given: HiMAE's."""
_USUAL_STEPS = 64
"""Steps of one where the data's own rate is taken and series are long or unequal."""
_LEAST_USUAL = 16
"""Steps of the usual seconds below which the usual steps are taken."""
_FEW, _OF_FEW = 2, 8
"""So few recordings are split by time, and have so many windows at least where none is given."""
_BINNED_UP_TO = 256
"""Steps up to which irregular series of unequal length are windows as they are."""
_WHOLE_SHARE = 0.999
"""Share of measured samples from which on none counts as missing."""
_QUANTILES_OF = 10**6
"""Values of a variable, spread over the series, that its quartiles are taken of."""
_HASHED = 2**62
"""Ids from which on they are hashes of 64 bits, not counts."""
_WHOLE_UP_TO = 4096
"""Samples up to which series of one length are windows as they are."""


@dataclass(frozen=True)
class GridStore:
    """Series on a regular grid, in their own units; variables in rows, samples in columns.

    offsets: bounds of the series in the columns. window: samples of a window. sparse: whether most
    samples may be missing, as where irregular times were binned.
    """

    store: RaggedStore
    signal: Signal
    rate_hz: float
    window: int
    condition: NDArray[np.float32] | None
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

    def series(self) -> list[NDArray[np.float32]]:
        """Return each series as (variables, samples), NaN where it was not measured."""
        whole = np.where(self.signal.observed, self.signal.values, np.float32(np.nan))
        return [whole[:, a:b] for a, b in itertools.pairwise(self.offsets)]

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
            part = values[:, start:stop]
            good[i] = is_usable(part, observed[:, start:stop], constant, self.sparse) and (
                not quality or template_match(part[0], self.rate_hz) >= quality
            )
        if not len(windows):
            raise DataError(
                f"no window of {self.window} steps fits into a part that trains or validates "
                f"(longest series {int(self.lengths.max())} steps); pass a shorter --window"
            )
        if not good.any():
            raise DataError(
                f"none of {len(windows)} windows can be learned from: each is constant, has under "
                "half of its samples, or beats too irregularly (data.quality "
                f"{quality:g}); look at it with `caesura data stats`"
            )
        if not good.all():
            log.warning(
                "%d of %d windows left out of the training: constant, under half measured%s",
                int((~good).sum()),
                len(windows),
                f", or of quality below {quality:g}" if quality else "",
            )
        return windows.take(np.flatnonzero(good))

    def collate(self, windows: Windows, target: torch.Tensor | None = None) -> Batch:
        """Gather windows into a batch; `target` has a row for each series of the store."""
        longest = int(windows.lengths.max())
        place = np.arange(longest)
        real = place < windows.lengths[:, None]
        columns = windows.start[:, None] + np.minimum(place, windows.lengths[:, None] - 1)
        values = self.signal.values[:, columns].transpose(1, 0, 2)
        observed = self.signal.observed[:, columns].transpose(1, 0, 2) & real[:, None]
        series = torch.from_numpy(windows.series)
        return Batch(
            inputs=Grid(
                values=torch.from_numpy(np.ascontiguousarray(values * observed)),
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
    store: RaggedStore, schema: Schema, *, silent: bool = False, partial: bool = False
) -> GridStore:
    """See a store by a schema with a sampling; one that cannot be read so is a DataError.

    A rate that differs from the data's is a warning, unless `silent`. partial: channels may lack.
    """
    sampling = schema.sampling
    if sampling is None:
        raise DataError("this model has no rate: it was not trained on a grid")
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
    if sampling.binned:
        signal = padded(signal, sampling.window)
    empty = _without_sample(signal)
    if len(empty):
        raise DataError(
            f"series {store.ids[int(empty[0])].as_py()!r} has no measured sample; drop it"
        )
    seen = conditions(store, schema)
    return GridStore(store, signal, sampling.rate_hz, sampling.window, seen, sampling.binned)


def _without_sample(signal: Signal) -> NDArray[np.int64]:
    seen = np.add.reduceat(signal.observed.any(0).astype(np.int64), signal.offsets[:-1])
    return np.flatnonzero(seen == 0)


def fit_sampling(
    store: RaggedStore,
    train: NDArray[np.int64],
    schema: Schema,
    config: DataConfig,
    silent: bool = False,
) -> Schema:
    """Return the schema with rate, window and the means of its training series on the grid.

    silent: say nothing of what was chosen.
    """
    binned = config.binned and is_irregular(store)
    own, usual = (binning_rate if binned else native_rate)(store) / config.every, _USUAL_S
    counts = bool(not config.rate and config.own_rate and own)
    if counts:
        usual = _USUAL_STEPS / own
        config = config.model_copy(update={"rate": own, "window": config.window / own})
    if not config.rate:
        found = f"; the data's median gap means {own:.4g} Hz" if own else ""
        raise DataError(f"a grid needs a rate: pass --rate HZ{found}")
    sampling = Sampling(
        rate_hz=config.rate, window=1, band=config.band, every=config.every, binned=binned
    )
    grid = sample_store(store, schema.model_copy(update={"sampling": sampling}), silent=True)
    window = _window(grid.lengths, config, usual, binned)
    if not config.window and not silent and (counts or window < grid.lengths.max()):
        unit = "STEPS" if counts else "SECONDS"
        log.warning("windows of %d steps; --window %s changes it", window, unit)
    if not binned:
        _require_a_window(grid, window, config.rate)
    columns = np.concatenate([np.arange(*grid.offsets[one : one + 2]) for one in train])
    values, observed = grid.signal.values[:, columns], grid.signal.observed[:, columns]
    if binned and not silent:
        log.warning(
            "irregular times are laid on steps of %.4g%s, %.0f %% of which are measured; series "
            "of up to %d steps are made, with sampling times of their own. --rate changes the step",
            1 / config.rate, " s" if store.time_kind == "timestamp" else "",
            100 * observed.mean(), window,
        )  # fmt: skip
    sampling = sampling.model_copy(
        update={
            "window": window,
            "gaps": binned or bool(observed.mean() < _WHOLE_SHARE),
            "offsets": _offsets(store, config.rate) if binned else (),
            "begins": float(store.origins.min()),
            "time_zone": store.time_zone,
            "time_form": store.time_form,
            "time_step": _time_step(store),
            "numbered": store.channels_are_numbers,
            "next_id": _next_id(store.ids),
        }
        | _statistics(values, observed)
        | _value_steps(
            [row[seen] for row, seen in zip(values, observed, strict=True)]
            if config.band
            else _measured(store.take(train), schema)
        )
    )
    return schema.model_copy(update={"sampling": sampling})


def _next_id(ids: pa.Array) -> int | None:
    """Return the first whole number after ids.

    None where they are text, or hashes of 64 bits, which leave no room above them.
    """
    if not pa.types.is_integer(ids.type):
        return None
    most = int(pc.max(ids).as_py())
    return most + 1 if most < _HASHED else None


def _require_a_window(grid: GridStore, window: int, rate: float) -> None:
    """Raise where every series is shorter than a window, and warn of those that are."""
    short = np.flatnonzero(grid.lengths < window)
    if len(short) == len(grid.lengths):
        longest = int(grid.lengths.max())
        raise DataError(
            f"a window of {window / rate:g} s ({window} steps) is longer than every "
            f"recording (longest {longest / rate:.4g} s, {longest} steps); pass a shorter "
            "--window"
        )
    if len(short):
        log.warning(
            "%d of %d series are shorter than a window of %g s, first %r: left out of the training",
            len(short), len(grid.lengths), window / rate, grid.store.ids[int(short[0])].as_py(),
        )  # fmt: skip


def _offsets(store: RaggedStore, rate: float) -> tuple[float, ...]:
    """Return quantiles of where within its step of 1 / rate a time lies."""
    within = np.quantile(step_offsets(store, rate), np.linspace(0, 1, 21))
    return tuple(float(f"{one:.3g}") for one in within)


def _statistics(
    values: NDArray[np.float32], observed: NDArray[np.bool_]
) -> dict[str, tuple[Any, ...]]:
    """Return means, deviations, ranges and limits of variables, and who is whose copy."""
    count = np.maximum(observed.sum(1), 1)
    mean = values.sum(1, dtype=np.float64) / count
    square = (np.square(values - mean[:, None], dtype=np.float64) * observed).sum(1) / count
    quarters = np.array([_quarters(row[seen]) for row, seen in zip(values, observed, strict=True)])
    return {
        "means": tuple(float(f"{m:.6g}") for m in mean),
        "deviations": tuple(float(f"{d:.6g}") or 1.0 for d in np.sqrt(square)),
        "medians": tuple(float(f"{m:.6g}") for m in quarters[:, 1]),
        "quartile_ranges": tuple(
            float(f"{high - low:.6g}") or float(f"{d:.6g}") or 1.0
            for (low, _, high), d in zip(quarters, np.sqrt(square), strict=True)
        ),
        "least": tuple(float(v) for v in np.where(observed, values, np.inf).min(1)),
        "most": tuple(float(v) for v in np.where(observed, values, -np.inf).max(1)),
        "limits": tuple(
            reach_limits(row[seen]) for row, seen in zip(values, observed, strict=True)
        ),
        "copies": copied_from(values, observed),
    }


def _measured(store: RaggedStore, schema: Schema) -> list[NDArray[np.float32]]:
    """Return what was measured of each variable: means of a step and samples of another rate keep
    to nothing."""
    channel = schema.channel_codes(store)
    return [
        values[(channel == code) & seen]
        for code in range(len(schema.channels))
        for values, seen in zip(store.values.T, store.observed.T, strict=True)
    ]


def _value_steps(variables: list[NDArray[np.float32]]) -> dict[str, tuple[float, ...]]:
    """Return whether values of each variable are whole, and of what they are multiples."""
    return {
        "whole": tuple(are_whole(values) for values in variables),
        "value_steps": tuple(value_step(values) for values in variables),
    }


def _time_step(store: RaggedStore) -> float:
    """Return the step of which all times since the first are multiples; 0 where times are numbers
    and not all whole."""
    if not are_whole(store.clock):
        return 0.0
    since = np.unique(store.clock - store.clock.min()).astype(np.int64)
    return float(np.gcd.reduce(since) / store.ticks)


def _quarters(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the quartiles of a part of the values that is large enough."""
    some = values[:: max(1, len(values) // _QUANTILES_OF)]
    return np.quantile(some.astype(np.float64), (0.25, 0.5, 0.75)) if len(some) else np.zeros(3)


def _window(
    lengths: NDArray[np.int64], config: DataConfig, usual_s: float, binned: bool = False
) -> int:
    """Return the window's steps: those asked for, whole series of one length, or the usual ones.

    Of one or two recordings, which train and validate by time, eight windows at least.
    """
    if config.window:
        return max(1, round(config.window * config.rate))
    if binned and lengths.max() <= _BINNED_UP_TO:
        return int(lengths.max())
    few = len(lengths) <= _FEW
    if len(np.unique(lengths)) == 1 and lengths[0] <= _WHOLE_UP_TO and not few:
        return int(lengths[0])
    usual = round(usual_s * config.rate)
    if usual < _LEAST_USUAL:  # seconds say nothing of series by the hour or the day
        usual = _USUAL_STEPS
    return max(1, min(usual, int(lengths.max()) // _OF_FEW)) if few else usual
