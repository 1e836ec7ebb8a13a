"""caesura's forecaster as sktime's own, with its `pretrain` verb (extra `sktime`)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sktime.forecasting.base import BaseForecaster

from caesura.estimators.forecaster import SeriesForecaster
from caesura.run import Run
from caesura.tasks.forecast import ForecastSettings, forecast


class SktimeForecaster(BaseForecaster):  # type: ignore[misc]  # untyped base
    """`caesura.SeriesForecaster` as a global forecaster of sktime.

    `pretrain` learns from a panel; `fit` then keeps its weights and only remembers the series whose
    future is asked. Without it, `fit` pre-trains on that series alone. The linear head on the
    frozen encoder is fitted to the panel and the series' own past, for each horizon.

    >>> from caesura.estimators.sktime import SktimeForecaster
    >>> from sktime.utils._testing.hierarchical import _make_hierarchical
    >>> panel = _make_hierarchical((4,), min_timepoints=60, max_timepoints=60)
    >>> model = SktimeForecaster(window=12, steps=20).pretrain(panel)
    >>> model.fit(panel.loc["h0_0"]).predict(fh=[1, 2]).shape
    (2, 1)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "capability:multivariate": True,
        "capability:missing_values": True,
        "capability:exogenous": False,
        "capability:insample": False,
        "capability:pred_int": False,
        "capability:pretrain": True,
        "capability:random_state": True,
        "capability:update": True,
        "pretrain:fitted_params": ["run_", "panel_"],
        "requires-fh-in-fit": False,
        "y_inner_mtype": "pd.DataFrame",
        "X_inner_mtype": "pd.DataFrame",
        "python_dependencies": "torch",
    }

    def __init__(
        self,
        window: int = 96,
        season: int = 0,
        recipe: str = "lejepa",
        steps: int = 300,
        settings: tuple[str, ...] = (),
        random_state: int = 0,
    ) -> None:
        self.window = window
        self.season = season
        self.recipe = recipe
        self.steps = steps
        self.settings = settings
        self.random_state = random_state
        super().__init__()

    def _trained(self, panel: list[NDArray[np.float64]]) -> Run:
        model = SeriesForecaster(
            window=self.window, season=self.season, recipe=self.recipe, steps=self.steps,
            settings=self.settings, random_state=self.random_state,
        )  # fmt: skip
        run: Run = model.fit(panel).run_
        return run

    def _pretrain(self, y: pd.DataFrame, X: Any = None, fh: Any = None) -> SktimeForecaster:
        instances = y.groupby(level=list(range(y.index.nlevels - 1)), sort=False)
        known = getattr(self, "panel_", [])
        self.panel_ = [*known, *(_channels_first(one) for _, one in instances)]
        self.run_ = self._trained(self.panel_)
        return self

    def _pretrain_update(self, y: pd.DataFrame, X: Any = None, fh: Any = None) -> SktimeForecaster:
        """Train anew on all that was ever given: what came before is not forgotten."""
        return self._pretrain(y, X, fh)

    def _fit(self, y: pd.DataFrame, X: Any = None, fh: Any = None) -> SktimeForecaster:
        self._past = y
        self._own = None if hasattr(self, "run_") else self._trained([_channels_first(y)])
        return self

    def _update(
        self, y: pd.DataFrame, X: Any = None, update_params: bool = True
    ) -> SktimeForecaster:
        past = y.combine_first(self._past)
        if update_params:
            return self._fit(past)
        self._past = past
        return self

    def _predict(self, fh: Any, X: Any = None) -> pd.DataFrame:
        run = self._own or self.run_
        ahead = fh.to_relative(self.cutoff).to_numpy()
        series = [*getattr(self, "panel_", []), _channels_first(self._past)]
        store = run.open(series)
        found = forecast(run, store, ForecastSettings(int(ahead.max()), self.season))
        value = found.value[-1][:, ahead.astype(int) - 1].T
        return pd.DataFrame(
            value, index=fh.to_absolute_index(self.cutoff), columns=self._past.columns
        )

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """Return two small settings for sktime's checks."""
        small = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2", "encoder.patch=2")
        base = {"window": 4, "steps": 2, "settings": small}
        return [base, base | {"season": 3, "recipe": "mae"}]


def _channels_first(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return one series as (channels, time)."""
    return np.ascontiguousarray(frame.to_numpy(dtype=float).T)
