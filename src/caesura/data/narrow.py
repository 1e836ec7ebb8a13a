"""Values as float32 where that holds all that varies, else as float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.units import ROUNDING

LARGEST = float(np.finfo(np.float32).max)
"""Beyond it values are left out, as infinite ones are, and said."""
BEYOND = "{} values beyond 3.4e+38 left out; if they are measured, give them in a larger unit"
_SMALLEST = float(np.finfo(np.float32).tiny)
_LOST = 2.0**-13
"""Error of rounding, in deviations of a series and channel, from which on it is lost there."""
_SHARE = 0.01
"""Part of a channel's observations that must be lost: two readings that are nearly equal are of no
account."""

_RUNS, _RUN = 64, 2048
"""Runs of rows, and rows of a run, that say whether rounding loses anything."""

Floats = NDArray[np.floating[Any]]


def narrowed(
    values: Floats,
    observed: NDArray[np.bool_],
    offsets: NDArray[np.int64],
    channel: NDArray[np.integer[Any]],
    exact: bool = False,
) -> Floats:
    """Return values (observations, size) of series as float32, or as they are where those lose.

    A counter at 1e8 that moves by ones keeps 64 bits, and so does all else beside it. exact: they
    keep them unless all values are float32's own.
    """
    if values.dtype == np.float32:
        return values
    if exact:
        narrow = values.astype(np.float32)
        return narrow if np.array_equal(narrow, values) else values
    rows = _some_rows(len(values))
    error = values[rows] - values[rows].astype(np.float32)
    if not error.any():
        return values.astype(np.float32)
    count = int(channel[rows].max()) + 1
    series = np.searchsorted(offsets, rows, side="right") - 1
    names, key = np.unique(series * count + channel[rows], return_inverse=True)
    lost = any(
        _is_lost(values[rows[seen], element], error[seen, element], key[seen], names % count)
        for element, seen in enumerate(observed[rows].T)
    )
    return values if lost else values.astype(np.float32)


def _some_rows(count: int) -> NDArray[np.int64]:
    """Return rows in runs, all along the data: what is lost of a channel is lost in many of them,
    and a whole table would take as long again to look through as to read."""
    if count <= _RUNS * _RUN:
        return np.arange(count)
    starts = np.linspace(0, count - _RUN, _RUNS).astype(np.int64)
    return np.asarray((starts[:, None] + np.arange(_RUN)).ravel())


def _is_lost(
    values: Floats, error: Floats, key: NDArray[np.int64], owner: NDArray[np.int64]
) -> bool:
    """Say whether rounding loses what varies within series, for one channel at least."""
    size = np.bincount(key, minlength=len(owner))
    some = np.maximum(size, 1)

    def mean(x: Floats) -> NDArray[np.float64]:
        return np.asarray(np.bincount(key, weights=x, minlength=len(owner)) / some)

    center = mean(values)
    deviation = np.sqrt(mean(np.square(values - center[key])))
    rounding = np.sqrt(mean(np.square(error)))
    lost = (rounding > _LOST * deviation) & (deviation > ROUNDING * np.abs(center))
    of_channel = np.bincount(owner, weights=size)
    return bool((np.bincount(owner, weights=size * lost) > _SHARE * of_channel).any())


def narrowed_error(error: Floats) -> Floats:
    """Return errors of observations as float32, or as they are where those are too small for it."""
    small = (error > 0) & (error < _SMALLEST)
    return error if small.any() else error.astype(np.float32)
