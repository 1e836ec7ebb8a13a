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
from caesura.tasks.conditions import condition_of
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
        device: str = "auto",
    ) -> None:
        self.window = window
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def _implied(self) -> tuple[str, ...]:
        return (f"data.window={self.window}",) if self.window else ()

    def pretrain(self, X: Any, y: Any = None) -> SeriesGenerator:
        """Train both stages on X; the same as `fit`."""
        return self.fit(X, y)

    def fit(self, X: Any, y: Any = None) -> SeriesGenerator:
        """Train both stages on X, by `y` where it is given: of arrays a class or a number each.

        Of tables `columns` names such columns: {"classes": ["label"]}.
        """
        self.kind_ = kind_of(X)
        self.run_ = self._start(X, y)
        return self

    def sample(
        self,
        n: int = 1,
        temperature: float = 1.0,
        seed: int = 0,
        y: Any = None,
        guidance: float = 0,
    ) -> Any:
        """Return new windows, (n, channels, window) or a table like the one that was fitted to.

        y: the class (or number) of all or of each, by column in a mapping where there are several;
        guidance: how much more than as learned it counts. A class that no series has is a
        RecipeError.
        """
        run = self._fitted()
        names = run.schema.static_names
        given = {names[0] if len(names) == 1 else "y": y} if y is not None else {}
        asked = condition_of(run, y if isinstance(y, Mapping) else given, n)
        settings = SamplingSettings(temperature, guidance=guidance)
        made = generate(run, n, seed=seed, settings=settings, condition=asked.numbers)
        if self.kind_ == "array":
            return made
        return table_as(synthetic_table(run, made, seed, asked.columns), self.kind_)

    def impute(self, X: Any, seed: int = 0) -> Any:
        """Return series with NaN filled by the median of 64 draws: windows (cases, channels,
        window) as they came in, or a table (`Run.impute`)."""
        run = self._fitted()
        if kind_of(X) == "array":
            return np.asarray(fill_windows(run, np.asarray(as_series(X)), seed=seed)[1])
        return table_as(run.impute(as_series(X), seed=seed), kind_of(X))
