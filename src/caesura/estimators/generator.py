"""A generator of series as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from caesura.estimators.panels import as_panel
from caesura.run import Run
from caesura.tasks.generate import SamplingSettings, generate
from caesura.tasks.impute import fill_windows
from caesura.workflow import pretrain


class SeriesGenerator(BaseEstimator):  # type: ignore[misc]  # untyped base
    """Learns windows of series, and makes new ones in their units.

    X: array (cases, channels, time) with NaN where nothing was observed, or a list of
    (channels, time_i). window: steps of what is made; 0: whole series where all have one length.
    """

    def __init__(
        self,
        window: int = 0,
        steps: int = 3000,
        recipe: str = "timemar",
        settings: tuple[str, ...] = (),
        random_state: int = 0,
    ) -> None:
        self.window = window
        self.steps = steps
        self.recipe = recipe
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> SeriesGenerator:
        """Train both stages on X; `y` is ignored."""
        self.run_: Run = pretrain(
            as_panel(X),
            self.recipe,
            steps=self.steps,
            seed=self.random_state,
            settings=(*((f"data.window={self.window}",) if self.window else ()), *self.settings),
        )
        return self

    def sample(self, n: int = 1, temperature: float = 1.0, seed: int = 0) -> NDArray[np.float64]:
        """Return new windows (n, channels, window)."""
        check_is_fitted(self, "run_")
        return generate(self.run_, n, seed=seed, settings=SamplingSettings(temperature))

    def impute(self, X: NDArray[np.floating[Any]], seed: int = 0) -> NDArray[np.float64]:
        """Return windows (cases, channels, window) with NaN filled by the median of 64 draws."""
        check_is_fitted(self, "run_")
        return np.asarray(fill_windows(self.run_, X, seed=seed)[1])
