"""Forecasts by a linear head on a frozen encoder, beside the forecasts it must beat.

The head reads the features of a window and predicts what follows, less the window's mean, over
its deviation. Everything is in order of time: the head is fitted first, its strength chosen
next, intervals and scores come from what is later still.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.grid import GridStore, sample_store
from caesura.data.store import RaggedStore
from caesura.errors import CheckpointError, DataError
from caesura.metrics.forecast import (
    mae,
    mse,
    seasonal_error,
    seasonal_naive,
    weighted_quantile_loss,
)
from caesura.tasks.forecast_draws import Drawn
from caesura.tasks.needs import Trained, check_regular, need
from caesura.tasks.ridge import Ridge, fit_ridge
from caesura.tasks.window_features import (
    bridged_rows,
    held_windows,
    sequence_features,
    windows_of,
)

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]
Read = Callable[[Floats], Floats]
"""Windows to features."""
Way = Callable[[Floats], Floats]
"""Windows to what follows them."""

_MOST_WINDOWS = 6000
"""Windows a head is fitted to, over all series: more changed no score and cost time."""
_HEAD = "linear head on this run"
_NOTABLE = 0.1
"""Share of missing samples from which on it is said that they are bridged."""
_DRAWN = 100
"""Windows that choose, and that score, where each needs draws from a generator."""
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Quantiles of the weighted quantile loss, those of the usual benchmarks."""


@dataclass(frozen=True)
class Examples:
    """Windows (rows, channels, lookback), what follows (rows, channels, horizon), role of each.

    role: 0 fits the head, 1 chooses its strength, 2 scores it. series: where a row is from;
    begin: the step at which its future begins.
    """

    past: Floats
    future: Floats
    role: NDArray[np.int64]
    series: NDArray[np.int64]
    begin: NDArray[np.int64]

    def of(self, role: int) -> tuple[Floats, Floats]:
        """Return pasts and futures of one role."""
        mine = self.role == role
        return self.past[mine], self.future[mine]

    def thinned(self, most: int) -> Examples:
        """Return fewer examples that choose and that score, `most` of each, all along the time."""
        fits, *others = (np.flatnonzero(self.role == role) for role in range(3))
        some = [
            one[np.linspace(0, len(one) - 1, min(most, len(one))).astype(int)] for one in others
        ]
        kept = np.sort(np.concatenate([fits, *some]))
        arrays = (self.past, self.future, self.role, self.series, self.begin)
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
    pasts, futures, roles, which, begins = [], [], [], [], []
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
        roles.append(role[keep])
        which.append(np.full(int(keep.sum()), number))
        begins.append(begin[keep])
    found = Examples(*(np.concatenate(x) for x in (pasts, futures, roles, which, begins)))
    for number, need_for in enumerate(("to fit", "to choose", "to score")[: 2 + scored]):
        if not (found.role == number).any():
            raise DataError(
                f"series too short: no window is left {need_for} a forecast of {horizon} steps "
                f"after {lookback}; give longer series or a shorter --horizon"
            )
    return found


@dataclass(frozen=True)
class Head:
    """A ridge on the features of windows, in units of each window's size (`window_size`)."""

    ridge: Ridge
    floor: Floats

    def scaled(self, past: Floats, values: Floats) -> Floats:
        """Return values less the mean of their window, over its size."""
        center, spread = window_size(past, self.floor)
        return np.asarray((values - center) / spread)

    def predict(self, features: Floats, past: Floats, horizon: int) -> Floats:
        """Return forecasts (rows, channels, horizon) in the windows' units."""
        center, spread = window_size(past, self.floor)
        out = self.ridge.predict(features).reshape(*past.shape[:2], horizon)
        return np.asarray(out * spread + center)


def window_floor(past: Floats) -> Floats:
    """Return a tenth of the median deviation of windows, for each channel: (1, channels, 1).

    Where more than half of them are constant (a flag, a valve), the deviation of all values; of a
    channel that never changed, 1.
    """
    own = np.median(past.std(-1), axis=0)
    whole = past.std((0, -1))
    rarely = own <= 1e-6 * whole
    floor = np.where(rarely, np.where(whole > 0, whole, 1.0), 0.1 * own + 1e-9)
    return np.asarray(floor[None, :, None])


def window_size(past: Floats, floor: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation of each window and channel, the latter of `floor` at least.

    In its own deviations a window that is nearly constant would be worth more than all others.
    """
    return past.mean(-1, keepdims=True), np.sqrt(past.var(-1, keepdims=True) + floor**2)


def fit_head(examples: Examples, read: Read) -> Head:
    """Fit a linear head on features of windows."""
    floor = window_floor(examples.of(0)[0])

    def rows(role: int) -> tuple[Floats, Floats]:
        past, future = examples.of(role)
        center, spread = window_size(past, floor)
        return read(past), np.asarray((future - center) / spread).reshape(len(past), -1)

    return Head(fit_ridge(*rows(0), *rows(1)), floor)


def predict_with(head: Head, read: Read, past: Floats, horizon: int) -> Floats:
    """Return forecasts (rows, channels, horizon) in the windows' units."""
    return head.predict(read(past), past, horizon)


def dlinear_features(past: Floats, width: int = 25) -> Floats:
    """Return trend (moving average) and remainder of each window, what DLinear is linear in.

    Zeng et al. 2023, arXiv 2205.13504; here its two maps are fitted as one ridge.
    """
    half = width // 2
    padded = np.pad(past, [(0, 0), (0, 0), (half, half)], mode="edge")
    summed = np.cumsum(np.pad(padded, [(0, 0), (0, 0), (1, 0)]), axis=-1)
    trend = (summed[..., width:] - summed[..., :-width]) / width
    center, spread = past.mean(-1, keepdims=True), past.std(-1, keepdims=True) + 1e-9
    parts = [(trend - center) / spread, (past - trend) / spread]
    return np.concatenate([p.reshape(len(past), -1) for p in parts], axis=1)


def season_of(series: list[Floats], most: int) -> int:
    """Return the lag, `most` at most, of the highest autocorrelation of differences; 1 where none
    reaches 0.2."""
    total = np.zeros(most + 2)
    for one in series:
        for row in one:
            change = np.diff(row[-20_000:])
            change = change - change.mean()
            size = float(change @ change)
            if size <= 0 or len(change) < 2 * most:
                continue
            spectrum = np.abs(np.fft.rfft(change, 2 * len(change))) ** 2
            total += np.fft.irfft(spectrum)[: most + 2] / size
    if most < 2 or not total[0]:
        return 1
    found = total / total[0]
    peaks = 2 + np.flatnonzero((found[2:-1] > found[1:-2]) & (found[2:-1] >= found[3:]))
    high = peaks[found[peaks] >= 0.2]
    if not len(high):
        return 1
    # of a season and its multiples, nearly as high, the season
    return int(high[found[high] >= 0.9 * found[high].max()][0])


@dataclass(frozen=True)
class Forecasts:
    """What follows each series: (series, channels, horizon), its interval, and a backtest."""

    value: Floats
    lower: Floats
    upper: Floats
    backtest: list[dict[str, Any]]
    season: int


def forecast(
    run: Trained, store: RaggedStore, horizon: int, season: int = 0, draws: int = 0, seed: int = 0
) -> Forecasts:
    """Forecast `horizon` steps beyond the end of each series of a store, with 90 % intervals.

    The head is fitted to the earlier parts of these series; the intervals hold the share of
    errors of the latest 20 % of the steps (of one step ahead and channel each). season: steps;
    0: found by autocorrelation. draws: of a run that generates, whose median is the forecast and
    whose bounds are stretched until they held 90 % before the latest 20 %; 0: the head.
    """
    if horizon < 1:
        raise DataError(f"a horizon of {horizon} steps; give 1 or more")
    encoder, view = need(run, "encoder"), regular_view(run, store)
    series = _long_enough(view, store)
    lookback = view.window
    drawn = Drawn(run, horizon, draws, seed) if draws else None
    examples = examples_of(series, lookback, horizon)
    if drawn is not None:
        examples = examples.thinned(_DRAWN)
    series = [bridged_rows(one) for one in series]
    season = season or season_of(series, lookback)

    def read(past: Floats) -> Floats:
        return sequence_features(encoder, past, view.rate_hz)

    head, linear = fit_head(examples, read), fit_head(examples, dlinear_features)
    ways: dict[str, Way] = {
        _HEAD: partial(predict_with, head, read, horizon=horizon),
        "DLinear": partial(predict_with, linear, dlinear_features, horizon=horizon),
        "seasonal naive": partial(seasonal_naive, horizon=horizon, season=min(season, lookback)),
    }
    if drawn is not None:
        ways = {"draws of this run": drawn.median} | ways
    rows = backtest(examples, ways, head, [_scale(one, season) for one in series])
    last = np.stack([one[:, -lookback:] for one in series])
    if drawn is not None:
        lower, value, upper = drawn.interval(last, *examples.of(1))
        return Forecasts(value, lower, upper, rows, season)
    past, future = examples.of(2)
    errors = head.scaled(past, future) - head.scaled(past, ways[_HEAD](past))
    reach = np.quantile(np.abs(errors), 0.9, axis=0)
    value = ways[_HEAD](last)
    width = reach * window_size(last, head.floor)[1]
    return Forecasts(value, value - width, value + width, rows, season)


def _long_enough(view: GridStore, store: RaggedStore) -> list[Floats]:
    """Return the series, NaN in gaps; one shorter than a window is a DataError."""
    series: list[Floats] = list(view.series())
    missing = 1 - float(view.signal.observed.mean())
    if missing > _NOTABLE:
        log.warning(
            "%.0f %% of the samples are missing: lines across the gaps are read, and scored, as if "
            "they had been measured",
            100 * missing,
        )
    for number, one in enumerate(series):
        if one.shape[1] < view.window:
            raise DataError(
                f"series {store.ids[number].as_py()!r} has {one.shape[1]} steps, a window of this "
                f"run {view.window}; leave it out, or pre-train with a shorter --window"
            )
    return series


def backtest(
    examples: Examples, ways: Mapping[str, Way], head: Head, scale: list[float]
) -> list[dict[str, Any]]:
    """Score ways to forecast on the latest part; quantiles come from the errors before it.

    scale: what MASE divides by, for each series. head: its sizes of windows, in which errors of
    one window are those of another.
    """
    (past, future), (earlier, came) = examples.of(2), examples.of(1)
    where = examples.series[examples.role == 2]
    rows = []
    for name, way in ways.items():
        said = way(past)
        pairs = zip(future, said, where, strict=True)
        row: dict[str, Any] = {"forecast": name}
        row["MASE"] = float(np.mean([mae(f, p) / scale[s] for f, p, s in pairs]))
        row |= {"MAE": mae(future, said), "MSE": mse(future, said)}
        quantiles = said + _quantiles(head, earlier, came - way(earlier), past)
        rows.append(row | {"WQL": weighted_quantile_loss(future, quantiles, LEVELS)})
    return rows


def _quantiles(head: Head, earlier: Floats, errors: Floats, past: Floats) -> Floats:
    """Return what to add to forecasts for each level, (levels, rows, channels, horizon).

    errors: of the same forecasts of the earlier windows; their quantiles, by channel and step, in
    units of the window's size.
    """
    _, own = window_size(earlier, head.floor)
    found = np.quantile(errors / own, LEVELS, axis=0)
    return np.asarray(found[:, None] * window_size(past, head.floor)[1])


def _scale(one: Floats, season: int) -> float:
    """Return the seasonal error of the part of a series that fits the head, over its channels."""
    known = one[:, : max(2, int(0.6 * one.shape[1]))]
    lag = min(season, known.shape[1] - 1)
    return max(float(np.mean([seasonal_error(row, lag) for row in known])), 1e-9)


def regular_view(run: Trained, store: RaggedStore) -> GridStore:
    """See a store on the run's grid; a run that reads any times is a CheckpointError."""
    if run.schema.sampling is None:
        raise CheckpointError(
            "this run reads observations at any times and has no windows; ask it at later times "
            "with `caesura interpolate --at`, or pre-train one with --rate"
        )
    check_regular(run)
    return sample_store(store, run.schema, extended=False)


def bridged_series(view: GridStore) -> list[Floats]:
    """Return each series as (channels, time), gaps bridged."""
    return [bridged_rows(one) for one in view.series()]
