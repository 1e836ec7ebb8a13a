"""Forecasting as the task of a study: what follows the windows of regular series, by time.

Pre-training reads the first 60 % of each series; the next fifth chooses, the last one reports.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.config import DataConfig
from caesura.data.grid import sample_store
from caesura.data.sampling import fit_sampling
from caesura.data.schema import Schema, fit_schema
from caesura.data.store import RaggedStore
from caesura.errors import DataError
from caesura.metrics.forecast import seasonal_naive
from caesura.metrics.skill import forecast_skill
from caesura.study.dividend.task import Said
from caesura.tasks.backtest import seasonal_scales
from caesura.tasks.forecast_anchors import season_of
from caesura.tasks.forecast_examples import Examples, Floats, examples_of
from caesura.tasks.forecast_head import dlinear_features, fit_head, predict_with
from caesura.tasks.forecast_tuned import trained_to_forecast
from caesura.tasks.needs import Trained, need, units_of
from caesura.tasks.random_twin import random_twin
from caesura.tasks.window_features import bridged_rows, sequence_features

log = logging.getLogger("caesura")

_PRETRAIN, _CHOOSE = 0.6, 0.8
"""Shares of each series' time up to which pre-training reads, and up to which choices are made."""
_FIT_CHOICE = 0.45
"""Share up to which the heads are fitted that choose; their strength comes from what is between."""
_LOOKBACK = (64, 512)
_FEWEST = 16
_STILL = 1e-9
"""Seasonal error that a channel which repeats itself counts as having."""


@dataclass(frozen=True)
class ForecastPart:
    """Windows with what follows them; a `study.dividend.task.Part`.

    `Said` is the error of each scored window: absolute, over the seasonal error of its channel,
    mean over steps and channels (MASE). groups: blocks of time of two horizons of a series.
    """

    examples: Examples
    scale: list[Floats]
    season: int
    rate_hz: float
    groups: NDArray[np.int64]
    where: str
    nothing: str = field(default="the seasonal naive forecast", init=False)

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return int(self.examples.future.shape[-1])

    @property
    def cases(self) -> str:
        """Number of scored windows, and of blocks that an interval draws."""
        blocks = len(np.unique(self.groups))
        return f"{len(self.groups):,} windows in {blocks} blocks of {self.where}"

    @property
    def protocol(self) -> str:
        """Say what is read when."""
        return (
            "All is in order of time: pre-training reads the first 60 % of each series, rates and "
            "the arm are chosen on the next fifth, and this report is about the last one. "
            f"{self.horizon} steps ahead of windows of {self.examples.past.shape[-1]}; skill is "
            f"1 - MASE over that of the seasonal naive forecast (season {self.season})."
        )

    def skill(self, said: Said, cases: NDArray[Any] | None = None) -> float:
        """Return 1 - MASE / MASE of the seasonal naive forecast."""
        chosen = slice(None) if cases is None else cases
        return forecast_skill(float(np.mean(said[chosen])), float(np.mean(self.naive[chosen])))

    @cached_property
    def naive(self) -> Floats:
        """Errors of the seasonal naive forecast."""
        past, _ = self.examples.of(2)
        season = min(self.season, past.shape[-1])
        return self.errors(seasonal_naive(past, self.horizon, season))

    def errors(self, predicted: Floats) -> Floats:
        """Return the error of forecasts of all scored windows."""
        _, future = self.examples.of(2)
        scale = np.stack(self.scale)[self.examples.series[self.examples.role == 2]]
        return np.asarray((np.abs(future - predicted).mean(-1) / scale).mean(-1))

    def probed(self, run: Trained, seed: int) -> Said:
        """Return the errors of a ridge on all tokens of the window."""
        encoder, units = need(run, "encoder"), units_of(run)
        return self._of_ridge(
            lambda past: sequence_features(encoder, units.model(past), self.rate_hz)
        )

    def _of_ridge(self, read: Any) -> Said:
        head, (past, _) = fit_head(self.examples, read), self.examples.of(2)
        return self.errors(predict_with(head, read, past, self.horizon))

    def beside(self, schema: Schema) -> Mapping[str, Said]:
        """Return the errors of DLinear, and of the forecast that is skill 0."""
        return {"DLinear": self._of_ridge(dlinear_features), "seasonal naive": self.naive}

    def tuned(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> Said:
        """Return the errors of the encoder trained to forecast, whole."""
        start = random_twin(run, seed) if from_scratch else run
        made = trained_to_forecast(start, self.examples, rate, steps, self.rate_hz, seed)
        return self.errors(made.predict(self.examples.of(2)[0]))

    def tuned_once(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> float:
        """Return the skill of the same."""
        return self.skill(self.tuned(run, rate, steps, seed, from_scratch=from_scratch))


def lookback_for(horizon: int, length: int) -> int:
    """Return four horizons, 64 to 512, or less where series of `length` steps leave less.

    A horizon that leaves no window of 16 steps is a DataError.
    """
    room = int(_FIT_CHOICE * length) - horizon
    if room < _FEWEST:
        most = max(0, room + horizon - _FEWEST)
        raise DataError(
            f"a horizon of {horizon} steps is too long: of the longest series, {length} steps, "
            f"45 % must hold it and a window before it. Give at most {most}"
        )
    return int(min(np.clip(4 * horizon, *_LOOKBACK), room))


def forecasting_parts(
    store: RaggedStore, config: DataConfig, horizon: int, season: int, most: int
) -> tuple[RaggedStore, DataConfig, ForecastPart, ForecastPart]:
    """Return what pre-training may read, its window, the part that chooses, and that reports.

    season: steps; 0: found by autocorrelation where choices are fitted. most: windows of a part.
    Series without a rate, and a horizon that no series can hold, are a DataError.
    """
    if horizon < 1:
        raise DataError(f"a horizon of {horizon} steps; give 1 or more")
    if not config.rate:
        raise DataError("forecasts need regular series: pass --rate, samples a second (or a step)")
    rows = np.arange(len(store))
    longest = int(np.round(store.spans.max() * config.rate)) + 1
    lookback = (
        round(config.window * config.rate) if config.window else lookback_for(horizon, longest)
    )
    config = config.model_copy(update={"window": lookback / config.rate})
    schema = fit_sampling(store, rows, fit_schema(store, rows, config), config)
    everything = sample_store(store, schema).series()
    usable = [k for k, one in enumerate(everything) if one.shape[1] >= lookback + horizon]
    if len(usable) < len(everything):
        log.warning(
            "%d of %d series are shorter than a window of %d and a horizon of %d steps: left out",
            len(everything) - len(usable), len(everything), lookback, horizon,
        )  # fmt: skip
    series = [everything[k] for k in usable]
    lengths = [one.shape[1] for one in series]
    ends = np.array([int(n * _PRETRAIN) for n in lengths])
    early = store.take(np.array(usable, dtype=np.int64)).until((ends - 0.5) / config.rate)
    known = [_first(one, int(n * _FIT_CHOICE)) for one, n in zip(series, lengths, strict=True)]
    season = season or season_of(known, lookback)
    parts = []
    for shares, where in (
        ((_FIT_CHOICE, _PRETRAIN, _CHOOSE), "the fifth of the time before the last"),
        ((_PRETRAIN, _CHOOSE, 1.0), "the last fifth of the time"),
    ):
        cuts = [tuple(int(n * share) for share in shares) for n in lengths]
        seen = [one[:, : cut[2]] for one, cut in zip(series, cuts, strict=True)]
        bounds = [(cut[0], cut[1]) for cut in cuts]
        examples = examples_of(seen, lookback, horizon, bounds, most=most)
        fitted = [_first(one, cut[0]) for one, cut in zip(series, cuts, strict=True)]
        least = [_STILL * np.abs(one).max(-1) for one in fitted]
        least = [np.where(one > 0, one, 1.0) for one in least]
        scale = [
            np.maximum(seasonal_scales(a, season), b) for a, b in zip(fitted, least, strict=True)
        ]
        groups = _blocks(examples, horizon)
        parts.append(ForecastPart(examples, scale, season, config.rate, groups, where))
    return early, config, parts[0], parts[1]


def _first(one: Floats, steps: int) -> Floats:
    return bridged_rows(one[:, :steps])


def _blocks(examples: Examples, horizon: int) -> NDArray[np.int64]:
    """Return a number for each scored window: its series and its stretch of two horizons."""
    mine = examples.role == 2
    pairs = np.stack([examples.series[mine], examples.begin[mine] // (2 * horizon)], axis=1)
    return np.asarray(np.unique(pairs, axis=0, return_inverse=True)[1].ravel(), dtype=np.int64)
