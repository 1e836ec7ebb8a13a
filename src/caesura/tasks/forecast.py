"""Forecasts by a linear head on a frozen encoder, beside the forecasts it must beat.

The head reads the features of a window and predicts what follows, less the window's mean, over
its deviation. Everything is in order of time: the head is fitted first, its strength chosen
next, intervals and scores come from what is later still.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.grid import GridStore, sample_store
from caesura.data.store import RaggedStore
from caesura.errors import CheckpointError, DataError
from caesura.metrics.forecast import seasonal_naive
from caesura.tasks.backtest import Said, backtest, measured_quantiles, seasonal_scales
from caesura.tasks.forecast_draws import Drawn, stretched
from caesura.tasks.forecast_examples import Examples, examples_of
from caesura.tasks.forecast_head import Head, dlinear_features, fit_head, predict_with, window_size
from caesura.tasks.needs import Trained, check_regular, need
from caesura.tasks.window_features import bridged_rows, sequence_features

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]

_HEAD = "linear head on this run"
_FITS = 0.6
"""Share of the time that fits a head; its seasonal error is what MASE divides by."""
_NOTABLE = 0.1
"""Share of missing samples from which on it is said that they are bridged."""
_DRAWN = 100
"""Windows that choose, and that score, where each needs draws from a generator."""


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
    bridged = [bridged_rows(one) for one in series]
    season = season or season_of(bridged, lookback)
    fits = [one[:, : max(2, int(_FITS * one.shape[1]))] for one in series]
    scale = [seasonal_scales(one, season) for one in fits]
    last = np.stack([one[:, -lookback:] for one in bridged])

    def read(past: Floats) -> Floats:
        return sequence_features(encoder, past, view.rate_hz)

    head, linear = fit_head(examples, read), fit_head(examples, dlinear_features)
    past, earlier = examples.of(2)[0], examples.of(1)[0]
    ways: dict[str, Callable[[Floats], Floats]] = {
        _HEAD: partial(predict_with, head, read, horizon=horizon),
        "DLinear": partial(predict_with, linear, dlinear_features, horizon=horizon),
        "seasonal naive": partial(seasonal_naive, horizon=horizon, season=min(season, lookback)),
    }
    said = {name: Said(way(past), way(earlier)) for name, way in ways.items()}
    if drawn is None:
        value = ways[_HEAD](last)
        reach = _reach(examples, head, said[_HEAD].latest) * window_size(last, head.floor)[1]
        rows = backtest(examples, said, head, scale)
        return Forecasts(value, value - reach, value + reach, rows, season)
    ends = np.stack([one[:, -lookback:] for one in series])
    own, (lower, value, upper) = _drawn(drawn, examples, ends, view.condition)
    rows = backtest(examples, {"draws of this run": own} | said, head, scale)
    return Forecasts(value, lower, upper, rows, season)


def _reach(examples: Examples, head: Head, said: Floats) -> Floats:
    """Return how far 90 % of what was measured was from the head's forecasts, by channel and step,
    in sizes of windows."""
    past, future = examples.of(2)[0], examples.measured_of(2)[1]
    errors = head.scaled(past, future) - head.scaled(past, said)
    return np.asarray(measured_quantiles(np.abs(errors), [0.9])[0])


def _drawn(
    drawn: Drawn, examples: Examples, ends: Floats, condition: NDArray[np.float32] | None
) -> tuple[Said, tuple[Floats, ...]]:
    """Return the medians of draws after the windows that score and after earlier ones; and lower
    bound, median and upper bound of what follows the `ends` of the series.

    Draws see gaps as gaps. The bounds would have held 90 % of what came after the earlier windows.
    condition: of each series, (series, numbers).
    """

    def asked(past: Floats, series: NDArray[np.int64]) -> Floats:
        return drawn.quantiles(past, None if condition is None else condition[series])

    latest, earlier = (
        asked(examples.measured_of(role)[0], examples.series[examples.role == role])
        for role in (2, 1)
    )
    last = asked(ends, np.arange(len(ends)))
    lower, upper = stretched(last, earlier, examples.measured_of(1)[1])
    medians = Said(drawn.in_steps(latest[1]), drawn.in_steps(earlier[1]))
    return medians, tuple(drawn.in_steps(one) for one in (lower, last[1], upper))


def _long_enough(view: GridStore, store: RaggedStore) -> list[Floats]:
    """Return the series, NaN in gaps; one shorter than a window is a DataError."""
    series: list[Floats] = list(view.series())
    missing = 1 - float(view.signal.observed.mean())
    if missing > _NOTABLE:
        log.warning(
            "%.0f %% of the samples are missing: lines across the gaps are read as if they had "
            "been measured, but by draws; what is scored was measured",
            100 * missing,
        )
    for number, one in enumerate(series):
        if one.shape[1] < view.window:
            raise DataError(
                f"series {store.ids[number].as_py()!r} has {one.shape[1]} steps, a window of this "
                f"run {view.window}; leave it out, or pre-train with a shorter --window"
            )
    return series


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
