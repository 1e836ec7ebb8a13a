"""Forecasts of series as an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caesura.answers import forecast_table
from caesura.errors import DataError
from caesura.estimators.base import Pretrained, regular
from caesura.estimators.frames import as_series, kind_of, table_as
from caesura.run import Run
from caesura.tasks.forecast import ForecastSettings, forecast


class SeriesForecaster(Pretrained):
    """Pre-trains on regular series, and says what follows each one (`tasks.forecast`).

    X and the parameters are those of `estimators.base.Pretrained`. horizon: steps ahead. window:
    steps that it looks back, fewer where series are shorter. season, draws, way: as in
    `tasks.forecast.ForecastSettings`, with `random_state` for the seed.
    """

    def __init__(
        self,
        horizon: int = 24,
        window: int = 96,
        season: int = 0,
        draws: int | None = None,
        way: str = "",
        recipe: str = "lejepa",
        steps: int = 300,
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
        device: str = "auto",
    ) -> None:
        self.horizon = horizon
        self.window = window
        self.season = season
        self.draws = draws
        self.way = way
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def _implied(self) -> tuple[str, ...]:
        return regular(self.window)

    def fit(self, X: Any, y: Any = None) -> SeriesForecaster:
        """Pre-train on X, and remember it as what is forecast by default; `y` is ignored."""
        self.run_ = self._start(X)
        self.series_ = as_series(X)
        return self

    def predict(self, X: Any = None) -> Any:
        """Return what follows each series of X, by default those of the fit: (cases, channels,
        horizon), NaN for a series without a value, or a table of id, time, channel, value, lower,
        upper (90 %), way.

        Of several ways to forecast that of each channel is taken which was best on earlier windows
        (`written_`); how good each was on the latest is left in `backtest_`.
        """
        run = self._fitted()
        if X is None and not hasattr(self, "series_"):
            raise DataError("series are not saved with an estimator; pass X")
        asked = self.series_ if X is None else as_series(X)
        store = run.open(asked)
        settings = ForecastSettings(self.horizon, self.season, self.draws, self._seed(), self.way)
        found = forecast(run, store, settings)
        self.backtest_, self.written_ = found.backtest, found.written
        if kind_of(asked) == "array":
            return store.spread(found.value)
        table = forecast_table(found.schema, store, found.lengths, found)
        return table_as(table, kind_of(asked))
