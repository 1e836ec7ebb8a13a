"""Holds out blocks of time all along a series, with gaps, so that no window straddles a bound."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError

BLOCKS = 20
_SHARE = 0.25
"""Share of each period, less its gaps, that is held out."""


class Blocks(NamedTuple):
    """Bounds (first, last + 1) of the parts that train and of those that are held out."""

    train: list[tuple[int, int]]
    held: list[tuple[int, int]]


def interleaved_blocks(steps: int, window: int, blocks: int = BLOCKS) -> Blocks:
    """Cut a series into `blocks` periods: a part that trains, a gap, a held-out part, a gap.

    A gap is a window long. A series too short for a window in each part is a DataError.
    """
    bounds = np.linspace(0, steps, blocks + 1).round().astype(int)
    train, held = [], []
    for first, last in itertools.pairwise(bounds):
        cut = last - 2 * window - _own(last - first, window)
        if cut - first < window:
            raise DataError(
                f"{steps} steps in {blocks} blocks leave {last - first} each, too few for windows "
                f"of {window} on both sides of gaps; give at least {4 * window * blocks} steps, or "
                "fewer blocks"
            )
        train.append((int(first), int(cut)))
        held.append((int(cut + window), int(last - window)))
    return Blocks(train, held)


def most_blocks(steps: int, window: int, held: int = 1) -> int:
    """Return how many blocks a series can be cut into, 20 at most, so that so many windows are
    held out in all; one at least."""
    for blocks in range(min(BLOCKS, steps // (4 * window + 1)), 1, -1):
        if blocks * (_own(steps // blocks, window) - window + 1) >= held:
            return blocks
    return 1


def _own(period: int, window: int) -> int:
    """Return how many steps of a period are held out."""
    return max(window, round(_SHARE * (period - 2 * window)))


def windows_within(
    series: NDArray[np.floating], parts: list[tuple[int, int]], window: int, hop: int = 1
) -> NDArray[np.floating]:
    """Return the windows (count, channels, window) that lie within parts of (channels, time)."""
    found = []
    for first, last in parts:
        if last - first >= window:
            views = np.lib.stride_tricks.sliding_window_view(series[:, first:last], window, axis=1)
            found.append(views[:, ::hop].transpose(1, 0, 2))
    return np.concatenate(found)
