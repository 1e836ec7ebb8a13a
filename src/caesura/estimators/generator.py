"""A generator of series as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from caesura.answers import synthetic_table
from caesura.estimators.base import Pretrained
from caesura.estimators.frames import as_series, kind_of, table_as
from caesura.run import Run
from caesura.tasks.generate import SamplingSettings, generate
from caesura.tasks.impute import fill_windows


class SeriesGenerator(Pretrained):
    """Learns windows of series, and makes new ones in their units.

    X and the parameters are those of `estimators.base.Pretrained`. window: steps of what is made;
    0: whole series where all have one length.
    """

    _remembers = ("kind_",)

    def __init__(
        self,
        window: int = 0,
        steps: int = 3000,
        recipe: str = "timemar",
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.window = window
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs)

    def _implied(self) -> tuple[str, ...]:
        return (f"data.window={self.window}",) if self.window else ()

    def pretrain(self, X: Any, y: Any = None) -> SeriesGenerator:
        """Train both stages on X, which need no labels; the same as `fit`."""
        return self.fit(X)

    def fit(self, X: Any, y: Any = None) -> SeriesGenerator:
        """Train both stages on X; `y` is ignored."""
        self.kind_ = kind_of(X)
        self.run_ = self._start(X)
        return self

    def sample(self, n: int = 1, temperature: float = 1.0, seed: int = 0) -> Any:
        """Return new windows, (n, channels, window) or a table like the one that was fitted to."""
        made = generate(self._fitted(), n, seed=seed, settings=SamplingSettings(temperature))
        if self.kind_ == "array":
            return made
        return table_as(synthetic_table(self.run_, made, seed), self.kind_)

    def impute(self, X: Any, seed: int = 0) -> Any:
        """Return series with NaN filled by the median of 64 draws: windows (cases, channels,
        window) as they came in, or a table (`Run.impute`)."""
        run = self._fitted()
        if kind_of(X) == "array":
            return np.asarray(fill_windows(run, np.asarray(X), seed=seed)[1])
        return table_as(run.impute(as_series(X), seed=seed), kind_of(X))
