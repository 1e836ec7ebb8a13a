"""Cuts long series into windows and gathers windows of like length into batches."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Runs of observations: rows start to stop of the store, within one series each."""

    series: Ints
    start: Ints
    stop: Ints

    def __len__(self) -> int:
        return len(self.series)

    @property
    def lengths(self) -> Ints:
        """Number of observations in each window."""
        return self.stop - self.start

    def take(self, index: Ints) -> Windows:
        """Return the chosen windows, in the given order."""
        return Windows(self.series[index], self.start[index], self.stop[index])


def random_windows(
    offsets: Ints, series: Ints, max_tokens: int, rng: np.random.Generator
) -> Windows:
    """Return one window of at most `max_tokens` a series, uniformly placed where it is longer."""
    lengths = offsets[series + 1] - offsets[series]
    kept = np.minimum(lengths, max_tokens)
    start = offsets[series] + np.floor(rng.random(len(series)) * (lengths - kept + 1)).astype(int)
    return Windows(series, start, start + kept)


def covering_windows(offsets: Ints, series: Ints, max_tokens: int) -> Windows:
    """Return windows that cover each series; neighbours of a long one overlap by half or more."""
    found: list[tuple[int, int, int]] = []
    for one in series:
        first, last = int(offsets[one]), int(offsets[one + 1])
        if last - first <= max_tokens:
            found.append((int(one), first, last))
            continue
        count = -(-2 * (last - first - max_tokens) // max_tokens) + 1
        for begin in np.linspace(first, last - max_tokens, count).round().astype(int):
            found.append((int(one), int(begin), int(begin) + max_tokens))
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Windows(table[:, 0], table[:, 1], table[:, 2])


def cut_by_tokens(lengths: NDArray[np.integer[Any]], batch_tokens: int) -> list[tuple[int, int]]:
    """Cut ascending lengths into runs whose padded size (rows x longest) is within the budget.

    A single series over the budget gets a run of its own.
    """
    runs: list[tuple[int, int]] = []
    begin, count = 0, len(lengths)
    while begin < count:
        size = partial(_padded_size, lengths, begin)
        end = bisect_right(range(begin + 1, count + 1), batch_tokens, key=size) + begin
        end = max(end, begin + 1)
        runs.append((begin, end))
        begin = end
    return runs


def _padded_size(lengths: NDArray[np.integer[Any]], begin: int, end: int) -> int:
    return (end - begin) * int(lengths[end - 1])
