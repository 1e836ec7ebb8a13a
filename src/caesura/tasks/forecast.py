"""What follows regular series: several ways to forecast, and of each channel the best one.

Ways are a linear head on the run's frozen encoder, a generator's draws, DLinear, the last season
again, the last value, and an average. Everything is in order of time: heads are fitted first, their
strength and the way of each channel are chosen on what is later, and what is latest scores those
choices. Then ways are chosen, and heads fitted, once more, on all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from caesura.data.config import DataConfig
from caesura.data.grid import GridStore, sample_store
from caesura.data.regular import is_irregular
from caesura.data.sampling import fit_sampling
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.errors import CheckpointError, DataError, RecipeError
from caesura.tasks.backtest import Predictions, backtest, measured_quantiles, seasonal_scales
from caesura.tasks.forecast_anchors import season_of, usual_season
from caesura.tasks.forecast_candidates import Material, drawn_way, linear_ways, plain_ways
from caesura.tasks.forecast_draws import Drawn
from caesura.tasks.forecast_examples import examples_of, plan_of
from caesura.tasks.forecast_head import window_size
from caesura.tasks.forecast_ways import (
    AVERAGE,
    DLINEAR,
    DRAWS,
    HEAD,
    NAIVE,
    WRITTEN,
    Choice,
    by_channel,
    check_way,
    choose,
)
from caesura.tasks.needs import Trained, check_regular, need
from caesura.tasks.window_features import bridged_rows

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]

_FITS = 0.6
"""Share of the time that fits a head; its seasonal error is what MASE divides by."""
_NOTABLE = 0.1
"""Share of missing samples from which on it is said that they are bridged."""
_DRAWN = 100
"""Windows that choose, and that score, where each needs draws from a generator."""
_USUAL_DRAWS = 64
_CONFIDENCE = 0.9


@dataclass(frozen=True)
class ForecastSettings:
    """What is asked of a forecast.

    horizon: steps ahead. season: steps; 0: found by autocorrelation, or the calendar's. draws: of a
    run that generates; None: 64 where its window is longer than the horizon, else 0, which leaves
    its draws out. seed: of the draws. way: the way to write; "": the best of each channel.
    """

    horizon: int
    season: int = 0
    draws: int | None = None
    seed: int = 0
    way: str = ""

    def __post_init__(self) -> None:
        if self.horizon < 1:
            raise DataError(f"a horizon of {self.horizon} steps; give 1 or more")
        check_way(self.way)


@dataclass(frozen=True)
class Forecasts:
    """What follows each series: (series, channels, horizon), its 90 % interval, and a backtest.

    ways: what each way forecasts. written: the way of each channel; by_series: that of each series
    and channel, which differs for series that are shorter than a window. schema, lengths: the grid
    that steps are of, and the steps of each series.
    """

    value: Floats
    lower: Floats
    upper: Floats
    backtest: list[dict[str, Any]]
    season: int
    ways: Mapping[str, Floats]
    written: tuple[str, ...]
    by_series: NDArray[np.object_]
    schema: Schema
    lengths: NDArray[np.int64]


def forecast(run: Trained, store: RaggedStore, settings: ForecastSettings) -> Forecasts:
    """Forecast `horizon` steps beyond the end of each series of a store, with 90 % intervals.

    Of each channel the way is written that was best on windows that it was not fitted to; the first
    row of the backtest tells what such a choice, made before, was worth on the latest (`choose`);
    intervals hold that share of its errors on windows that it was not fitted to. Short series look
    back less than a window of the run (`plan_of`); those too short for that get the last season.
    """
    view, schema, encoder = _seen_by(run, store)
    draws = settings.draws
    if draws is None:
        usable = "prior" in run.parts and settings.horizon < view.window
        draws = _USUAL_DRAWS if usable else 0
    drawn = Drawn(run, settings.horizon, draws, settings.seed) if draws else None
    material = _material(view, schema, settings, few=drawn is not None)
    ways, bounds = linear_ways(material, encoder, view) | plain_ways(material), None
    if drawn is not None:
        predictions, bounds = drawn_way(drawn, material, view.condition)
        ways = {DRAWS: predictions} | ways
    fits = [one[:, : max(2, int(_FITS * one.shape[1]))] for one in material.series]
    scale = [seasonal_scales(one, material.season) for one in fits]
    units = [_units(one, unit) for one, unit in zip(fits, scale, strict=True)]
    choice = _choose(material, ways, units, settings.way)
    rows: list[dict[str, Any]] = []
    if material.examples is not None:
        scored = {WRITTEN: by_channel(ways, choice.before)} | ways
        rows = backtest(material.examples, scored, material.floor, scale)
    by_series = _by_series(material, choice.written, store)
    value, lower, upper = _with_intervals(material, ways, by_series, bounds)
    _note_written(choice.written, schema)
    ends = {name: one.ends for name, one in ways.items()}
    return Forecasts(
        value,
        lower,
        upper,
        rows,
        material.season,
        ends,
        tuple(choice.written),
        by_series,
        schema,
        view.lengths,
    )


def _material(view: GridStore, schema: Schema, settings: ForecastSettings, few: bool) -> Material:
    """Cut series into windows; few: so few that each can be drawn after."""
    series: list[Floats] = list(view.series())
    missing = 1 - float(view.signal.observed.mean())
    if missing > _NOTABLE:
        log.warning(
            "%.0f %% of the samples are missing: lines across the gaps are read as if they had "
            "been measured, but by draws; what is scored was measured",
            100 * missing,
        )
    bridged = [bridged_rows(one) for one in series]
    horizon, season = settings.horizon, settings.season
    if not season:
        longest = max(view.window, 2 * horizon)
        season = season_of(bridged, max(1, min(longest, int(view.lengths.max()) // 3)))
    if season == 1 and schema.sampling is not None and not settings.season:
        usual = usual_season(schema.sampling, schema.time_kind == "timestamp")
        season = usual if _repeats(bridged, usual, horizon) else 1
    plan, examples = plan_of(view.lengths, view.window, horizon), None
    if plan.roles:
        examples = examples_of(series, plan.lookback, horizon, needed=plan.roles)
        examples = examples.after_a_season(season)
        examples = examples.thinned(_DRAWN) if few else examples
    ends = np.stack([_last(one, plan.lookback) for one in bridged])
    return Material(series, examples, plan, ends, horizon, season)


def _repeats(series: list[Floats], season: int, horizon: int) -> bool:
    """Say whether most series of two seasons and a horizon differ less from a season before than
    from half a horizon before."""
    fits = [one[:, : int(_FITS * one.shape[1])] for one in series]
    long = [one for one in fits if one.shape[1] >= 2 * season + horizon]
    if season < 2 or 2 * len(long) < len(fits):
        return False
    errors = [[seasonal_scales(one, lag) for one in long] for lag in (season, (horizon + 1) // 2)]
    seasonal, near = (np.concatenate(each) for each in errors)
    return bool((seasonal < near).mean() > 1 / 2)


def _last(one: Floats, steps: int) -> Floats:
    """Return the last steps of (channels, time), the first value again before its begin."""
    short = max(0, steps - one.shape[1])
    return np.pad(one, ((0, 0), (short, 0)), mode="edge")[:, -steps:]


def _units(known: Floats, scale: Floats) -> Floats:
    """Return what errors of channels are told in: their seasonal error or, of what repeats itself,
    their deviation, or 1 of what never changes."""
    changes = np.isfinite(known).sum(1) > 0
    deviation = np.array(
        [np.nanstd(row) if seen else 0.0 for row, seen in zip(known, changes, strict=True)]
    )
    return np.where(scale > 0, scale, np.where(deviation > 0, deviation, 1.0))


def _choose(
    material: Material, ways: dict[str, Predictions], units: list[Floats], way: str
) -> Choice:
    """Return the way of each channel, and add their average to the ways; where no window can
    choose, draws or the last season are written."""
    examples, channels = material.examples, material.ends.shape[1]
    usual = [DRAWS if DRAWS in ways else NAIVE] * channels
    choice = Choice(usual, usual)
    if examples is not None and (examples.role == 1).any():
        choice = choose(examples, ways, units)
    if way and way not in ways:
        raise RecipeError(
            f"no forecast by {way!r} of this run and these series; there are: {', '.join(ways)}"
        )
    return Choice([way] * channels, [way] * channels) if way else choice


def _by_series(material: Material, written: list[str], store: RaggedStore) -> NDArray[np.object_]:
    """Return the way of each series and channel: those too short for a window get the last season
    again, or draws, and are named in the log."""
    out = np.tile(np.array(written, dtype=object), (len(material.series), 1))
    lengths = np.array([one.shape[1] for one in material.series])
    short = np.flatnonzero(lengths < material.plan.lookback)
    if len(short):
        needs_window = np.isin(out[short].astype(str), (HEAD, DLINEAR, AVERAGE))
        out[short] = np.where(needs_window, NAIVE, out[short])
        log.warning(
            "%d of %d series are shorter than the %d steps that a forecast looks back: first %r. "
            "They get the %s",
            len(short),
            len(out),
            material.plan.lookback,
            store.ids[int(short[0])].as_py(),
            NAIVE,
        )
    return out


def _with_intervals(
    material: Material,
    ways: Mapping[str, Predictions],
    by_series: NDArray[np.object_],
    bounds: tuple[Floats, Floats] | None,
) -> tuple[Floats, Floats, Floats]:
    """Return the forecasts that are written, and their bounds."""
    value, lower, upper = np.empty((3, *ways[NAIVE].ends.shape))
    size = window_size(material.ends, material.floor)[1]
    for name in np.unique(by_series.astype(str)):
        mine, ends = by_series == name, ways[name].ends
        if name == DRAWS and bounds is not None:
            low, high = bounds
        else:
            reach: Floats = size * _reach(material, ways[name])
            if material.examples is None:
                reach = _reach_of_seasons(material)
            low, high = ends - reach, ends + reach
        value[mine], lower[mine], upper[mine] = ends[mine], low[mine], high[mine]
    return value, lower, upper


def _reach(material: Material, forecasts: Predictions) -> Floats:
    """Return how far 90 % of what was measured was from forecasts that were fitted before it, by
    channel and step, in sizes of windows."""
    errors = [np.empty((0, *forecasts.ends.shape[1:]))]
    for role, predictions in ((1, forecasts.earlier), (2, forecasts.latest)):
        if material.examples is not None:
            past, came = material.examples.of(role)[0], material.examples.measured_of(role)[1]
            errors.append((came - predictions) / window_size(past, material.floor)[1])
    return np.asarray(measured_quantiles(np.abs(np.concatenate(errors)), [_CONFIDENCE])[0])


def _reach_of_seasons(material: Material) -> Floats:
    """Return how far 90 % of the values of each series and channel were from those a season before,
    and further by the root of the seasons ahead; NaN where nothing tells of it."""
    out = np.full((len(material.series), material.ends.shape[1]), np.nan)
    for number, one in enumerate(material.series):
        lag = min(material.season, one.shape[1] - 1)
        for channel, row in enumerate(one if lag else ()):
            apart = np.abs(row[lag:] - row[:-lag])
            apart = apart[np.isfinite(apart)]
            if len(apart):
                out[number, channel] = np.quantile(apart, _CONFIDENCE)
    seasons = 1 + np.arange(material.horizon) // material.season
    return np.asarray(out[..., None] * np.sqrt(seasons))


def _note_written(written: list[str], schema: Schema) -> None:
    """Say which way is written of which channels."""
    names: dict[str, list[str]] = {name: [] for name in written}
    for variable, name in zip(schema.variables, written, strict=True):
        names[name].append(variable)
    if len(names) == 1:
        log.info("written: %s", written[0])
        return
    each = "; ".join(f"{name}: {', '.join(map(str, some))}" for name, some in names.items())
    log.info("written, by channel: %s", each)


def _seen_by(run: Trained, store: RaggedStore) -> tuple[GridStore, Schema, nn.Module | None]:
    """See a store on the run's grid, and return its encoder.

    Regular series of a run that reads any times are seen on their own grid, and without an encoder;
    irregular ones are a CheckpointError.
    """
    encoder = need(run, "encoder")
    if run.schema.sampling is not None or is_irregular(store):
        return regular_view(run, store), run.schema, encoder
    everything = np.arange(len(store))
    config = DataConfig(columns=run.schema.columns, own_rate=True)
    schema = fit_sampling(store, everything, run.schema, config, silent=True)
    log.warning(
        "this run reads observations at any times and no windows: its encoder has no part in the "
        "forecast. Pre-train with --set data.own_rate=true, or --rate, for a head on the run"
    )
    return sample_store(store, schema, extended=False, silent=True), schema, None


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
    """Return each series as (channels, time) in the model's units, gaps bridged."""
    return [bridged_rows(one) for one in view.model_series()]
