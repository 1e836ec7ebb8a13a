"""The order of rows: by series, time, channel; found by counting, not by comparing.

A table that is sorted by series needs one look. One that is not is dealt out by a counting
sort on the series (two orders of magnitude more rows than series), then each series is sorted
by itself, those of equal length together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def sorting_index(
    series: NDArray[np.integer[Any]], clock: NDArray[Any], channel: NDArray[np.integer[Any]]
) -> tuple[Rows, Rows, NDArray[Any]]:
    """Return the rows in the order (series, clock, channel, row), series' starts, ordered clock.

    series: numbers from 0, each present.
    """
    counts = np.bincount(series)
    starts: Rows = np.cumsum(counts) - counts
    order, ordered = _dealt(series, clock, len(counts))
    _sort_within(order, ordered, channel, starts, counts)
    return order, starts, ordered


def _dealt(
    keys: NDArray[np.integer[Any]], clock: NDArray[Any], count: int
) -> tuple[Rows, NDArray[Any]]:
    """Return the stable order of small whole numbers, and the clock in it.

    The transposition of a sparse matrix with one entry a row is this sort.
    """
    from scipy import sparse

    rows = len(keys)
    kind = np.int32 if rows < 2**31 - 1 and count < 2**31 - 1 else np.int64
    shape, bounds = (rows, count), np.arange(rows + 1, dtype=kind)
    columns = keys.astype(kind, copy=False)
    dealt = sparse.csr_matrix((clock, columns, bounds), shape, copy=False).tocsc()
    order: Rows = dealt.indices  # 32 bits where they suffice
    return order, dealt.data


def _sort_within(
    order: Rows,
    clock: NDArray[Any],
    channel: NDArray[np.integer[Any]],
    starts: Rows,
    counts: NDArray[Any],
) -> None:
    """Sort each series' part of `order` and of `clock`, in place; those of one length at once."""
    wrong = np.zeros(len(clock), dtype=np.bool_)
    np.less_equal(clock[1:], clock[:-1], out=wrong[1:])  # equal times may have to change places
    wrong[starts] = False
    unsorted = np.flatnonzero(np.logical_or.reduceat(wrong, starts))
    by_length = unsorted[np.argsort(counts[unsorted], kind="stable")]
    cuts = np.flatnonzero(np.diff(counts[by_length])) + 1
    for group in np.split(by_length, cuts):
        if not len(group):
            continue
        rows = starts[group][:, None] + np.arange(counts[group[0]])
        block, own = clock[rows], order[rows]
        place = block.argsort(axis=1)
        ordered = np.take_along_axis(block, place, axis=1)
        tied = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if tied.any():  # the fast sort mixes equal times
            place[tied] = np.lexsort((channel[own[tied]], block[tied]), axis=1)
        clock[rows] = ordered
        order[rows] = np.take_along_axis(own, place, axis=1)


def is_rising(starts: Rows, clock: NDArray[Any]) -> bool:
    """Say whether the clock never falls from row to row within a series."""
    later = clock[1:] >= clock[:-1]
    later[starts[1:] - 1] = True
    return bool(later.all())


def is_strict(starts: Rows, clock: NDArray[Any], channel: NDArray[np.integer[Any]]) -> bool:
    """Say whether (clock, channel) rises from row to row within each series."""
    later = clock[1:] > clock[:-1]
    later[starts[1:] - 1] = True
    if later.all():
        return True
    same = np.flatnonzero(~later)
    return bool(((clock[same + 1] == clock[same]) & (channel[same + 1] > channel[same])).all())
