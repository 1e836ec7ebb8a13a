"""How a store is to be sampled: rate and window of a grid, and what its values keep to."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.calendars import Calendar, find_calendar
from caesura.data.clock import grain_of
from caesura.data.config import DataConfig
from caesura.data.grid import GridStore, sample_store
from caesura.data.lattice import are_whole, copied_from, reach_limits, value_step
from caesura.data.quality import FEWEST_OBSERVED
from caesura.data.regular import binning_rate, is_irregular, native_rate, step_offsets
from caesura.data.schema import Sampling, Schema
from caesura.data.store import RaggedStore
from caesura.data.units import fit_units
from caesura.errors import DataError

log = logging.getLogger("caesura")

_USUAL_S = 10.0
"""Seconds of a window where recordings are long and none is given: HiMAE's."""
_USUAL_STEPS = 64
"""Steps of one where the data's own rate is taken and series are long or unequal."""
_LEAST_USUAL = 16
"""Steps of the usual seconds below which the usual steps are taken."""
_FEW, _OF_FEW = 2, 8
"""So few recordings are split by time, and have so many windows at least where none is given."""
_OF_ASKED = 3
"""Windows that few recordings hold at least where one that was asked for is too long."""
_SHORTEST = 8
"""Steps of a window of series that are too short for the usual ones, where they have as many."""
_SHORTER_SHARE = 0.25
"""Share of the series that may be shorter than a window where none is given."""
_BINNED_UP_TO = 256
"""Steps up to which irregular series of unequal length are windows as they are."""
_WHOLE_SHARE = 0.999
"""Share of measured samples from which on none counts as missing."""
_NOTABLE = 0.05
"""Share of steps without any sample from which on that is said."""
_QUANTILES_OF = 10**6
"""Values of a variable, spread over the series, that its quartiles are taken of."""
_HASHED = 2**62
"""Ids from which on they are hashes of 64 bits, not counts."""
_WHOLE_UP_TO = 4096
"""Samples up to which series of one length are windows as they are."""


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
    store = replace(store, calendar=calendar_of_store(store))
    irregular = config.binned and is_irregular(store)
    own, usual = (binning_rate if irregular else native_rate)(store) / config.every, _USUAL_S
    counts = bool(not config.rate and config.own_rate and own)
    if counts:
        usual = _USUAL_STEPS / own
        config = config.model_copy(update={"rate": own, "window": config.window / own})
    if not config.rate:
        found = f"; the data's median gap means {own:.4g} Hz" if own else ""
        raise DataError(f"a grid needs a rate: pass --rate HZ{found}")
    grid, sampling = _laid_out(store, train, schema, config, irregular)
    binned = sampling.binned
    window = _window(grid.lengths, config, usual, binned)
    if config.window and not silent and window < (asked := round(config.window * config.rate)):
        log.warning(
            "a window of %d steps is too long for these series, of %d steps at most: windows of %d",
            asked,
            grid.lengths.max(),
            window,
        )
    if not config.window and not silent and (counts or window < grid.lengths.max()):
        unit = "STEPS" if counts else "SECONDS"
        log.warning("windows of %d steps; --window %s changes it", window, unit)
    if not binned:
        _note_short(grid, window, config.rate)
    columns = np.concatenate([np.arange(*grid.offsets[one : one + 2]) for one in train])
    values, observed = grid.signal.values[:, columns], grid.signal.observed[:, columns]
    if config.binned and not silent:
        _note_missing(store, observed, sampling, window, irregular)
    centers, spreads = fit_units(values, observed, grid.lengths[train], window)
    sampling = sampling.model_copy(
        update={
            "window": window,
            "centers": centers,
            "spreads": spreads,
            "gaps": binned or bool(observed.mean() < _WHOLE_SHARE),
            "offsets": _offsets(store, config.rate) if binned else (),
            "begins": store.origins.min().item(),
            "time_zone": store.time_zone,
            "time_form": store.time_form,
            "tick_unit": store.tick_unit,
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


def _laid_out(
    store: RaggedStore,
    train: NDArray[np.int64],
    schema: Schema,
    config: DataConfig,
    irregular: bool,
) -> tuple[GridStore, Sampling]:
    """Return the grid: of irregular times, and of those of which most are missing, in bins."""
    sampling = Sampling(
        rate_hz=config.rate,
        window=1,
        band=config.band,
        every=config.every,
        binned=irregular,
        calendar=store.calendar,
    )
    grid = sample_store(store, schema.model_copy(update={"sampling": sampling}), silent=True)
    if config.binned and not irregular and _is_sparse(grid, train):
        sampling = sampling.model_copy(update={"binned": True})
        grid = sample_store(store, schema.model_copy(update={"sampling": sampling}), silent=True)
    return grid, sampling


def _note_missing(
    store: RaggedStore,
    observed: NDArray[np.bool_],
    sampling: Sampling,
    window: int,
    irregular: bool,
) -> None:
    """Say how times are laid on a grid, or what is missing of one."""
    step = f"{1 / sampling.rate_hz:.5g}" + " s" * (store.time_kind == "timestamp")
    empty = 1 - observed.any(0).mean()
    if sampling.binned:
        log.warning(
            "%s times are laid on steps of %s, %.0f %% of which are measured; series of up to %d "
            "steps are made, with sampling times of their own. --rate changes the step",
            "irregular" if irregular else "sparse", step, 100 * observed.mean(), window,
        )  # fmt: skip
    elif empty > _NOTABLE:
        log.warning(
            "%.0f %% of the steps of %s have no sample: series are made whole, or with `generate "
            "--gaps` as they are. If these are weekends, numbers of rows as times leave them out",
            100 * empty, step,
        )  # fmt: skip


def _is_sparse(grid: GridStore, train: NDArray[np.int64]) -> bool:
    """Say whether most samples are missing, so that most windows would be left out."""
    counts, there = np.zeros((2, len(train)))
    for place, one in enumerate(train):
        own = grid.signal.observed[:, slice(*grid.offsets[one : one + 2])]
        counts[place], there[place] = own.size, own.sum()
    return bool(there.sum() < FEWEST_OBSERVED * counts.sum())


def _next_id(ids: pa.Array) -> int | None:
    """Return the first whole number after ids.

    None where they are text, or hashes of 64 bits, which leave no room above them.
    """
    if not pa.types.is_integer(ids.type):
        return None
    most = int(pc.max(ids).as_py())
    return most + 1 if most < _HASHED else None


def _note_short(grid: GridStore, window: int, rate: float) -> None:
    """Say which series are shorter than a window."""
    short = np.flatnonzero(grid.lengths < window)
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
    values: NDArray[np.floating[Any]], observed: NDArray[np.bool_]
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


def _measured(store: RaggedStore, schema: Schema) -> list[NDArray[np.floating[Any]]]:
    """Return what was measured of each variable: means of a step and samples of another rate keep
    to nothing."""
    channel = schema.channel_codes(store)
    return [
        values[(channel == code) & seen]
        for code in range(len(schema.channels))
        for values, seen in zip(store.values.T, store.observed.T, strict=True)
    ]


def _value_steps(variables: list[NDArray[np.floating[Any]]]) -> dict[str, tuple[float, ...]]:
    """Return whether values of each variable are whole, and of what they are multiples."""
    return {
        "whole": tuple(are_whole(values) for values in variables),
        "value_steps": tuple(value_step(values) for values in variables),
    }


def _time_step(store: RaggedStore) -> float:
    """Return the step of which all times since the first are multiples, or the last decimal of
    fractions; 0 where they are multiples of nothing."""
    first = np.broadcast_to(store.origins.min(), store.clock.shape)
    return grain_of(store.clock, first, store.teller.digits) / store.ticks


def calendar_of_store(store: RaggedStore) -> Calendar:
    """Return what the dates of a store are counted by (`data.calendars`)."""
    if store.time_kind != "timestamp":
        return ""
    new_series = np.zeros(len(store.clock), dtype=np.bool_)
    new_series[store.offsets[:-1]] = True
    return find_calendar(store.clock, store.time_zone, store.ticks, new_series)


def _quarters(values: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the quartiles of a part of the values that is large enough."""
    some = values[:: max(1, len(values) // _QUANTILES_OF)]
    return np.quantile(some.astype(np.float64), (0.25, 0.5, 0.75)) if len(some) else np.zeros(3)


def _window(
    lengths: NDArray[np.int64], config: DataConfig, usual_s: float, binned: bool = False
) -> int:
    """Return the window's steps: those asked for, whole series of one length, or the usual ones.

    Three quarters of the series hold a window of the usual steps, and two in place of one that is
    asked for and longer than all. One or two recordings train and validate by time: they hold eight
    windows at least, or two of eight steps where they are short; three in place of one that is
    asked for and more than half of them.
    """
    longest, few = int(lengths.max()), len(lengths) <= _FEW
    most = int(np.quantile(lengths, _SHORTER_SHARE, method="lower"))
    if config.window:
        steps = max(1, round(config.window * config.rate))
        if binned:  # which makes series as long as a window
            return steps
        if few:
            return steps if 2 * steps <= longest else max(1, longest // _OF_ASKED)
        return steps if steps <= longest else max(most // 2, min(_SHORTEST, longest))
    if binned and longest <= _BINNED_UP_TO:
        return longest
    if len(np.unique(lengths)) == 1 and lengths[0] <= _WHOLE_UP_TO and not few:
        return int(lengths[0])
    usual = round(usual_s * config.rate)
    if usual < _LEAST_USUAL:  # seconds say nothing of series by the hour or the day
        usual = _USUAL_STEPS
    if few:
        return max(1, min(usual, max(longest // _OF_FEW, min(_SHORTEST, longest // 2))))
    return min(usual, max(most, min(_SHORTEST, longest)))
