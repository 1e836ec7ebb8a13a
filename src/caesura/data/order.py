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
) -> tuple[Rows, Rows]:
    """Return the rows in the order (series, clock, channel, row), and where each series begins.

    series: numbers from 0, each present.
    """
    counts = np.bincount(series)
    starts: Rows = np.cumsum(counts) - counts
    several = len(channel) > 0 and bool((channel != channel[0]).any())
    first = _counting_sort(channel, int(channel.max()) + 1) if several else None
    by_channel = series if first is None else series[first]
    order = _counting_sort(by_channel, len(counts))
    if first is not None:
        order = first[order]
    _sort_within(order, clock[order], starts, counts)
    return order, starts


def _counting_sort(keys: NDArray[np.integer[Any]], count: int) -> Rows:
    """Return the stable order of small whole numbers.

    The transposition of a sparse matrix with one entry a row is this sort.
    """
    from scipy import sparse

    rows = len(keys)
    kind = np.int32 if rows < 2**31 - 1 and count < 2**31 - 1 else np.int64
    shape, bounds = (rows, count), np.arange(rows + 1, dtype=kind)
    matrix = sparse.csr_matrix(
        (np.zeros(rows, dtype=np.int8), keys.astype(kind, copy=False), bounds), shape, copy=False
    )
    index: Rows = matrix.tocsc().indices  # 32 bits where they suffice
    return index


def _sort_within(
    order: NDArray[Any], clock: NDArray[Any], starts: Rows, counts: NDArray[Any]
) -> None:
    """Sort each series' part of `order` by `clock` (given in that order), stably, in place."""
    disorder = np.flatnonzero(clock[1:] < clock[:-1]) + 1
    owner = np.searchsorted(starts, disorder, side="right") - 1
    wrong = np.unique(owner[disorder > starts[owner]])  # not between two series
    by_length = wrong[np.argsort(counts[wrong], kind="stable")]
    cuts = np.flatnonzero(np.diff(counts[by_length])) + 1
    for group in np.split(by_length, cuts):
        if not len(group):
            continue
        rows = starts[group][:, None] + np.arange(counts[group[0]])
        block = clock[rows]
        place = block.argsort(axis=1)
        sorted_block = np.take_along_axis(block, place, axis=1)
        tied = (sorted_block[:, 1:] == sorted_block[:, :-1]).any(axis=1)
        if tied.any():  # the fast sort mixes equal times; the order of channels must stay
            place[tied] = block[tied].argsort(axis=1, kind="stable")
        order[rows] = np.take_along_axis(order[rows], place, axis=1)


def is_strict(starts: Rows, clock: NDArray[Any], channel: NDArray[np.integer[Any]]) -> bool:
    """Say whether (clock, channel) rises from row to row within each series."""
    later = clock[1:] > clock[:-1]
    later[starts[1:] - 1] = True
    if later.all():
        return True
    same = np.flatnonzero(~later)
    return bool(((clock[same + 1] == clock[same]) & (channel[same + 1] > channel[same])).all())
