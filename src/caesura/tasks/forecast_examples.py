"""Windows of regular series with what follows them, in order of time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError
from caesura.tasks.window_features import bridged_rows, held_windows

Floats = NDArray[np.floating[Any]]

_MOST_WINDOWS = 6000
"""Windows a head is fitted to, over all series: more changed no score and cost time."""
ALL_ROLES = (0, 1, 2)
_PURPOSES = ("to fit", "to choose", "to score")


@dataclass(frozen=True)
class Examples:
    """Windows (rows, channels, lookback), what follows (rows, channels, horizon), role of each.

    measured: (rows, channels, lookback + horizon), not bridged. role: 0 fits the heads, 1 chooses
    their strength and a way, 2 scores. series: where a row is from; begin: the step at which its
    future begins.
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

    def taken(self, rows: NDArray[Any]) -> Examples:
        """Return some of the rows, by number or where True."""
        return Examples(*(getattr(self, part.name)[rows] for part in fields(self)))

    def after_a_season(self, season: int) -> Examples:
        """Leave out windows that fit whose past is shorter than a season, where others are left."""
        late = (self.role != 0) | (self.begin >= season)
        return self.taken(late) if (self.role[late] == 0).any() else self

    def thinned(self, most: int) -> Examples:
        """Return fewer examples that choose and that score, `most` of each, all along the time."""
        fits, *others = (np.flatnonzero(self.role == role) for role in range(3))
        some = [
            one[np.linspace(0, len(one) - 1, min(most, len(one))).astype(int)] for one in others
        ]
        return self.taken(np.sort(np.concatenate([fits, *some])))


class Plan(NamedTuple):
    """Steps that a forecast looks back, and the roles that windows are cut for."""

    lookback: int
    roles: tuple[int, ...]


def plan_of(lengths: NDArray[np.int64], window: int, horizon: int) -> Plan:
    """Return how far to look back, `window` steps at most, so that half of the series have windows
    for each role.

    All three roles need series of three horizons and a window; they get a window of half of what
    is left of two horizons where `window` leaves less than five horizons. Shorter series fit
    nothing: with two horizons one window chooses and one scores, with one it scores.
    """
    usual = int(np.median(lengths))
    for roles, room in (
        (ALL_ROLES, max(usual - 5 * horizon, min((usual - 2 * horizon) // 2, usual - 3 * horizon))),
        (ALL_ROLES[1:], usual - 2 * horizon),
        (ALL_ROLES[2:], usual - horizon),
    ):
        if room >= 1:
            return Plan(min(window, room), roles)
    return Plan(max(1, min(window, usual)), ())


def role_bounds(length: int, lookback: int, horizon: int) -> tuple[int, int]:
    """Return the steps of a series from which futures choose, and from which they score.

    After 60 % and 80 % of the futures, or the last two horizons where these are longer.
    """
    span = length - lookback
    second = min(lookback + int(span * 0.8), length - horizon)
    return min(lookback + int(span * 0.6), second - horizon), second


def examples_of(
    series: list[Floats],
    lookback: int,
    horizon: int,
    bounds: list[tuple[int, int]] | None = None,
    most: int = _MOST_WINDOWS,
    needed: tuple[int, ...] = ALL_ROLES,
) -> Examples:
    """Cut series (channels, time), NaN where nothing was measured, into windows and futures.

    Roles go by time. Gaps are bridged, those at the end of a window by its last value: a line to
    the next one would tell of the future.

    bounds: for each series the steps from which futures choose and score (`role_bounds`). A future
    belongs to one role whole: those that straddle a bound are left out. Series shorter than
    lookback + horizon give none; where all are, it is a DataError. most: windows over all series,
    about. needed: roles of which some windows must be.
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
        if one.shape[1] < whole:
            continue
        first, second = bounds[number] if bounds else role_bounds(one.shape[1], lookback, horizon)
        starts = np.append(np.arange(0, one.shape[1] - whole, hop), one.shape[1] - whole)
        if bounds is None and first >= lookback:  # in a short series the only one that chooses
            starts = np.union1d(starts, first - lookback)
        begin = starts + lookback
        role = np.where(begin >= second, 2, np.where(begin >= first, 1, 0))
        end = begin + horizon
        keep = ~(((role == 0) & (end > first)) | ((role == 1) & (end > second)))
        starts = starts[keep]
        cut = _windows_at(bridged_rows(one), whole, starts)
        pasts.append(held_windows(cut[..., :lookback], one, starts))
        futures.append(cut[..., lookback:])
        there.append(_windows_at(np.isfinite(one), whole, starts))
        roles.append(role[keep])
        which.append(np.full(len(starts), number))
        begins.append(begin[keep])
    parts = (pasts, futures, there, roles, which, begins)
    found = Examples(*(np.concatenate(x) for x in parts))
    for number in needed:
        if not (found.role == number).any():
            raise DataError(
                f"series too short: no window is left {_PURPOSES[number]} a forecast of {horizon} "
                f"steps after {lookback}; give longer series or a shorter --horizon"
            )
    return found


def _windows_at(values: NDArray[Any], length: int, starts: NDArray[np.int64]) -> NDArray[Any]:
    """Return the windows (rows, channels, length) of one series that begin at `starts`."""
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=-1)
    return np.ascontiguousarray(view[:, starts].transpose(1, 0, 2))
