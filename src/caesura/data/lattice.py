"""What values keep to: steps, such as tens of watt-hours or cents; limits; being another's copy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_DECIMALS = 4
"""Most decimals that are looked for."""
_SURE = 0.05
"""Largest error of a float32 value, in steps, at which steps can still be told."""
_OFTEN = 1e-3
"""Share of the values that stand at an end of their range where that is a limit."""
_FEWEST = 10
"""Values that must, at least."""
_LOOKED_AT = 10_000
"""Values that are looked at before all of them are."""


def are_whole(values: NDArray[Any]) -> bool:
    """Say whether all values are whole numbers; floats from 2^53 on, which all are, say nothing."""
    if values.dtype.kind == "f" and np.abs(values).max(initial=0) >= 2**53:
        return False
    return bool((values == np.round(values)).all())


def value_step(values: NDArray[np.floating[Any]]) -> float:
    """Return the largest step of 10^-4 or more of which all values are multiples; 0: there is none.

    Values of a table keep to decimals or to whole steps as float32 does: where its rounding
    hides a step, there is none.
    """
    some = values[:: max(1, len(values) // _LOOKED_AT)]
    if len(some) < len(values) and np.nan_to_num(some).any() and not _step_of(some):
        return 0.0  # what all keep to, some do
    return _step_of(values)


def _step_of(values: NDArray[np.floating[Any]]) -> float:
    different = np.unique(values[np.isfinite(values)]).astype(np.float64)
    if not len(different) or not different.any():
        return 0.0
    rounding = np.abs(different).max() * float(np.finfo(values.dtype).eps)
    for decimals in range(_DECIMALS + 1):
        if rounding * 10**decimals > _SURE:
            break
        scaled = different * 10**decimals
        counts = np.round(scaled)
        if np.abs(scaled - counts).max() <= rounding * 10**decimals:
            step: float = np.gcd.reduce(counts.astype(np.int64)) / 10**decimals
            return step
    return 0.0


def reach_limits(values: NDArray[Any]) -> tuple[bool, bool]:
    """Say whether the least and the largest value are limits (a full scale, 100 %, a flag).

    Values come to a limit again and again, and to the end of a tail once.
    """
    if not len(values):
        return False, False
    often = max(_FEWEST, _OFTEN * len(values))
    least, most = (int((values == end).sum()) >= often for end in (values.min(), values.max()))
    return least, most


def on_steps(values: NDArray[Any], step: float) -> NDArray[np.float64]:
    """Return the multiples of a step nearest to values, without the digits that float64 adds."""
    return np.round(np.round(np.asarray(values, dtype=np.float64) / step) * step, _DECIMALS)


def as_measured(values: NDArray[np.floating[Any]], steps: tuple[float, ...]) -> NDArray[np.float64]:
    """Return values (..., variables, time) as float64, without the digits that float32 added to
    what keeps to the steps of its variable (0: to none)."""
    found = values.astype(np.float64)
    if values.dtype == np.float64:
        return found
    for variable, step in enumerate(steps):
        if step:
            own = found[..., variable, :]
            kept = on_steps(own, step)
            np.copyto(own, kept, where=kept.astype(np.float32) == own.astype(np.float32))
    return found


def copied_from(values: NDArray[np.floating[Any]], observed: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the number of the first variable that each of (variables, n) is equal to: its own, or
    that of which it is a copy, measured at the same samples."""
    found: list[int] = []
    for number, (row, seen) in enumerate(zip(values, observed, strict=True)):
        same = (
            other
            for other in sorted(set(found))
            if np.array_equal(observed[other], seen)
            and np.array_equal(values[other][seen], row[seen])
        )
        found.append(next(same, number))
    return tuple(found)


def shared_by_copies(
    windows: NDArray[np.floating[Any]], copies: tuple[int, ...]
) -> NDArray[np.floating[Any]]:
    """Return windows (rows, variables, time) where what is NaN of a variable and was measured of a
    copy is filled by that."""
    if all(first == number for number, first in enumerate(copies)):
        return windows
    found = windows.copy()
    for first in set(copies):
        same = [number for number, other in enumerate(copies) if other == first]
        for number in same:
            for other in same:
                lacks = np.isnan(found[:, number])
                found[:, number][lacks] = windows[:, other][lacks]
    return found
