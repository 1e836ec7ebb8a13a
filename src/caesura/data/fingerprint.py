"""Finds series that two collections share, also rescaled, shifted, resampled, or cut.

A test set that was pre-trained on measures memory. Hashes of the values know exact copies only;
here, as in recognising music (Wang 2003), a series is named by its landmarks: local extrema at
several scales. The ratios of neighbouring swings and durations stay under affine maps and
resampling; two series overlap where many landmarks agree on one change of time scale and
shift.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BIN = 0.75
"""Width of a bin of a logarithm (base 2) of a ratio."""
_SWINGS = 4
"""Swings of a landmark: three ratios of heights, three of durations."""
_FINEST = 2.0
"""Samples of the narrowest of the Gaussians, half octaves apart, that a series is smoothed by:
what is finer is lost when it is resampled."""
_COMMON = 100
"""Entries of a landmark beyond which it tells nothing: the waves of every sine are alike."""
_LEAST_VOTES = 6
_LEAST_SHARE = 0.15


@dataclass(frozen=True)
class Overlap:
    """A pair that agrees: numbers of the series, landmarks that do, and their share."""

    series: int
    known: int
    votes: int
    share: float


class Register:
    """The landmarks of a collection of series, to be asked about others."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, ...], list[tuple[int, float, float]]] = defaultdict(list)
        self.size = 0

    def add(self, series: Sequence[NDArray[Any]]) -> None:
        """Register more series, numbered on from those that are there; NaN is left out."""
        for values in series:
            for key, at, span in _landmarks(values, spread=False):
                self._found[key].append((self.size, at, span))
            self.size += 1

    def overlaps(self, series: Sequence[NDArray[Any]]) -> list[Overlap]:
        """Return the known series that each of these overlaps with, best first.

        A pair counts where landmarks, 6 and 15 % at least, place one in the other at one scale
        and shift. A series of less than 6 landmarks (nearly a line) cannot be found.
        """
        result = []
        for number, values in enumerate(series):
            groups: dict[tuple[int, int], list[tuple[float, ...]]] = defaultdict(list)
            marks = _landmarks(values, spread=True)
            shapes = {key: place for place, key in enumerate({key for key, _, _ in marks})}
            moments = {at for _, at, _ in marks}
            for key, at, span in marks:
                entries = self._found.get(key, ())
                for known, there, their in entries if len(entries) <= _COMMON else ():
                    scale = 8 * float(np.log2(their / span))
                    for s in {int(np.floor(scale)), int(np.ceil(scale))}:
                        groups[known, s].append((at, there, their / span, shapes[key]))
            best: dict[int, int] = defaultdict(int)
            for (known, _), pairs in groups.items():
                if len(pairs) >= _LEAST_VOTES:
                    best[known] = max(best[known], _on_a_line(np.array(pairs), len(values)))
            for known, count in best.items():
                share = count / max(len(moments), 1)
                if count >= _LEAST_VOTES and share >= _LEAST_SHARE:
                    result.append(Overlap(number, known, count, share))
        return sorted(result, key=lambda one: (one.series, -one.votes))


def _on_a_line(pairs: Floats, length: int) -> int:
    """Return how many landmarks lie on the best line: there = scale x moment + shift.

    Of different kinds: the waves of any two sines agree, and say nothing.
    """
    at, there, ratio, shape = pairs.T
    scale = float(np.median(ratio))
    shift = there - scale * at
    width = 0.05 * scale * length
    order = np.sort(shift)
    inside = np.searchsorted(order, order + 2 * width, side="right") - np.arange(len(order))
    first = order[int(inside.argmax())]
    near = (shift >= first) & (shift <= first + 2 * width)
    for _ in range(3):
        if len(np.unique(at[near])) < 2:
            return 0
        slope, level = np.polyfit(at[near], there[near], 1)
        near = np.abs(there - slope * at - level) <= max(0.01 * abs(slope) * length, 3)
    return min(len(np.unique(at[near])), len(np.unique(shape[near])))


def _landmarks(values: NDArray[Any], *, spread: bool) -> list[tuple[tuple[int, ...], float, float]]:
    """Return (key, moment, duration) of each landmark at each scale.

    spread: also the keys next to it, where a ratio lies near the edge of its bin.
    """
    from scipy.ndimage import gaussian_filter1d

    x = np.asarray(values, dtype=np.float64)
    x = x[np.isfinite(x)]
    found: list[tuple[tuple[int, ...], float, float]] = []
    width = _FINEST
    while len(x) > 16 * width:
        found += _keys(*_extrema(gaussian_filter1d(x, width, mode="nearest")), spread)
        width *= 2**0.5
    return found


def _extrema(x: Floats) -> tuple[Floats, Floats]:
    """Return times and heights of the local extrema, alternating; plateaus by their middle."""
    if len(x) < 3:
        return np.zeros(0), np.zeros(0)
    change = np.flatnonzero(np.diff(x) != 0)
    if not len(change):
        return np.zeros(0), np.zeros(0)
    starts = np.concatenate([[0], change + 1])
    stops = np.concatenate([change, [len(x) - 1]])
    level, middle = x[starts], (starts + stops) / 2
    rise = np.sign(np.diff(level))
    turn = np.flatnonzero(rise[1:] != rise[:-1]) + 1
    return middle[turn], level[turn]


def _keys(
    times: Floats, heights: Floats, spread: bool
) -> list[tuple[tuple[int, ...], float, float]]:
    swing, gap = np.abs(np.diff(heights)), np.diff(times)
    good = (swing > 0) & (gap > 0)
    logs = np.log2(np.where(good, swing, 1)), np.log2(np.where(good, gap, 1))
    found = []
    for first in range(len(swing) - _SWINGS + 1):
        part = slice(first, first + _SWINGS)
        if not good[part].all():
            continue
        ratios = np.concatenate([np.diff(one[part]) for one in logs]) / _BIN
        base = np.floor(ratios).astype(int)
        rest = ratios - base
        span = float(times[first + _SWINGS] - times[first])
        keys = [base]
        if spread:
            near = np.argsort(np.minimum(rest, 1 - rest))[:3]
            for place in near:
                step = -1 if rest[place] < 0.5 else 1
                moved = [key.copy() for key in keys]
                for key in moved:
                    key[place] += step
                keys += moved
        found += [(tuple(int(v) for v in key), float(times[first]), span) for key in keys]
    return found
