"""Windows of regular series with what follows them, in order of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError
from caesura.tasks.window_features import bridged_rows, held_windows, windows_of

Floats = NDArray[np.floating[Any]]

_MOST_WINDOWS = 6000
"""Windows a head is fitted to, over all series: more changed no score and cost time."""


@dataclass(frozen=True)
class Examples:
    """Windows (rows, channels, lookback), what follows (rows, channels, horizon), role of each.

    measured: (rows, channels, lookback + horizon), not bridged. role: 0 fits the head, 1 chooses
    its strength, 2 scores it. series: where a row is from; begin: the step at which its future
    begins.
    """

    past: Floats
    future: Floats
    measured: NDArray[np.bool_]
    role: NDArray[np.int64]
    series: NDArray[np.int64]
    begin: NDArray[np.int64]

    def of(self, role: int) -> tuple[Floats, Floats]:
        """Return pasts and futures of one role."""
        mine = self.role == role
        return self.past[mine], self.future[mine]

    def measured_of(self, role: int) -> tuple[Floats, Floats]:
        """Return pasts and futures of one role, NaN where nothing was measured."""
        mine = self.role == role
        lookback = self.past.shape[-1]
        then, later = np.split(self.measured[mine], [lookback], -1)
        past, future = self.of(role)
        return np.where(then, past, np.nan), np.where(later, future, np.nan)

    def thinned(self, most: int) -> Examples:
        """Return fewer examples that choose and that score, `most` of each, all along the time."""
        fits, *others = (np.flatnonzero(self.role == role) for role in range(3))
        some = [
            one[np.linspace(0, len(one) - 1, min(most, len(one))).astype(int)] for one in others
        ]
        kept = np.sort(np.concatenate([fits, *some]))
        arrays = (self.past, self.future, self.measured, self.role, self.series, self.begin)
        return Examples(*(one[kept] for one in arrays))


def examples_of(
    series: list[Floats],
    lookback: int,
    horizon: int,
    bounds: list[tuple[int, int]] | None = None,
    most: int = _MOST_WINDOWS,
    scored: bool = True,
) -> Examples:
    """Cut series (channels, time), NaN where nothing was measured, into windows and futures.

    Roles go by time. Gaps are bridged, those at the end of a window by its last value: a line to
    the next one would tell of the future.

    bounds: for each series the steps from which futures choose the strength and score; by
    default after 60 % and 80 % of the futures. A future belongs to one role whole: those that
    straddle a bound are left out. Series shorter than lookback + horizon give none; where all
    are, it is a DataError. most: windows over all series, about. scored: whether some must score.
    """
    whole = lookback + horizon
    total = sum(max(one.shape[1] - whole + 1, 0) for one in series)
    if not total:
        longest = max((one.shape[1] for one in series), default=0)
        choice = "a run with a shorter window"
        if longest > lookback:
            choice = f"a shorter --horizon, or {choice}"
        raise DataError(
            f"a horizon of {horizon} steps after a window of {lookback} needs series of {whole}; "
            f"the longest has {longest}. Choose {choice}"
        )
    hop = max(1, total // most)
    pasts, futures, there, roles, which, begins = [], [], [], [], [], []
    for number, one in enumerate(series):
        cut, starts = windows_of(bridged_rows(one), whole, hop)
        if not len(starts):
            continue
        past = held_windows(cut[..., :lookback], one, starts)
        begin = starts + lookback
        if bounds is None:
            span = one.shape[1] - lookback
            first, second = (lookback + int(span * share) for share in (0.6, 0.8))
        else:
            first, second = bounds[number]
        role = np.where(begin >= second, 2, np.where(begin >= first, 1, 0))
        end = begin + horizon
        straddles = ((role == 0) & (end > first)) | ((role == 1) & (end > second))
        keep = ~straddles
        pasts.append(past[keep])
        futures.append(cut[keep][..., lookback:])
        there.append(windows_of(np.isfinite(one), whole, hop)[0][keep])
        roles.append(role[keep])
        which.append(np.full(int(keep.sum()), number))
        begins.append(begin[keep])
    parts = (pasts, futures, there, roles, which, begins)
    found = Examples(*(np.concatenate(x) for x in parts))
    for number, need_for in enumerate(("to fit", "to choose", "to score")[: 2 + scored]):
        if not (found.role == number).any():
            raise DataError(
                f"series too short: no window is left {need_for} a forecast of {horizon} steps "
                f"after {lookback}; give longer series or a shorter --horizon"
            )
    return found
