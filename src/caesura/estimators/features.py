"""Pre-trained features as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from caesura.estimators.panels import as_panel
from caesura.nn.heads import checked_pooling
from caesura.run import Run
from caesura.workflow import pretrain


class PretrainedFeatures(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """Pre-trains on the series it is fitted to; transforms series to vectors (cases, dim).

    X: array (cases, channels, time) with NaN where nothing was observed, (cases, time), or a
    list of (channels, time_i). `y` is ignored: labels never reach the pre-training.
    """

    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        pooling: str = "auto",
        settings: tuple[str, ...] = (),
        random_state: int = 0,
    ) -> None:
        self.recipe = recipe
        self.steps = steps
        self.pooling = pooling
        self.settings = settings
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> PretrainedFeatures:
        """Pre-train on X; an unknown pooling is a RecipeError before it begins."""
        checked_pooling(self.pooling)
        self.run_: Run = pretrain(
            as_panel(X),
            self.recipe,
            steps=self.steps,
            seed=self.random_state,
            settings=self.settings,
        )
        return self

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Return one vector a series, (cases, dim)."""
        check_is_fitted(self, "run_")
        return self.run_.embed(as_panel(X), pooling=checked_pooling(self.pooling))
