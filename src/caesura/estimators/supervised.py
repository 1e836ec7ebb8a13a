"""A classifier and a regressor of series: pre-trained, then fine-tuned."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from caesura.errors import DataError
from caesura.estimators.panels import as_panel
from caesura.run import Run, load
from caesura.tasks.predict import predict
from caesura.workflow import finetune, pretrain


class _Tuned(BaseEstimator):  # type: ignore[misc]  # untyped base
    """New, pretrained, fitted: `fit` fine-tunes what `pretrain` left, or `run`, or itself
    pre-trains on the series that it is given."""

    _task = ""

    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        tuning_steps: int = 300,
        run: Run | str | Path | None = None,
        settings: tuple[str, ...] = (),
        tuning_settings: tuple[str, ...] = (),
        random_state: int = 0,
    ) -> None:
        self.recipe = recipe
        self.steps = steps
        self.tuning_steps = tuning_steps
        self.run = run
        self.settings = settings
        self.tuning_settings = tuning_settings
        self.random_state = random_state

    def pretrain(self, X: Any, y: Any = None) -> Self:
        """Pre-train on series that need no labels; later fits start from these weights.

        A clone (as in GridSearchCV) starts anew: pass `run` to share one pre-training.
        """
        self.pretrained_: Run = pretrain(
            as_panel(X),
            self.recipe,
            steps=self.steps,
            seed=self.random_state,
            settings=self.settings,
        )
        return self

    def _fit(self, X: Any, y: NDArray[Any]) -> None:
        panel = as_panel(X)
        if y.ndim != 1 or len(y) != len(panel):
            raise DataError(f"{len(panel)} series and labels of shape {y.shape}; give one each")
        run = self._start(panel)
        ids = run.open(panel).ids.to_pylist()
        self.run_ = finetune(
            run,
            {run.schema.columns.id: ids, "label": y},
            data=panel,
            task=self._task,
            steps=self.tuning_steps,
            seed=self.random_state,
            settings=self.tuning_settings,
        )

    def _start(self, panel: Any) -> Run:
        if self.run is not None:
            return self.run if isinstance(self.run, Run) else load(self.run)
        if hasattr(self, "pretrained_"):
            return self.pretrained_
        return pretrain(
            panel, self.recipe, steps=self.steps, seed=self.random_state, settings=self.settings
        )

    def _outputs(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self, "run_")
        return predict(self.run_, self.run_.open(as_panel(X)))


class SeriesClassifier(ClassifierMixin, _Tuned):  # type: ignore[misc]  # untyped base
    """Fine-tunes a pre-trained encoder to classes of whole series.

    X: array (cases, channels, time) with NaN where nothing was observed, (cases, time), or a list
    of (channels, time_i). run: a run or its folder to start from. steps, tuning_steps: of the
    pre-training and of the fine-tuning. settings, tuning_settings: "path=value" changes of their
    recipes.
    """

    _task = "classification"

    def fit(self, X: Any, y: Any) -> Self:
        """Fine-tune to classes y (cases,) of any kind; fewer than two are a DataError."""
        y = np.asarray(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"labels hold {len(self.classes_)} class; two at least are needed")
        self._fit(X, codes.reshape(y.shape))
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return (cases, classes) in the order of `classes_`."""
        said = self._outputs(X)
        target = self.run_.schema.target
        if target is None:
            raise TypeError("a fine-tuned run has a target")
        found = np.zeros((len(said), len(self.classes_)))
        found[:, [int(name) for name in target.classes]] = said
        return found

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likeliest class of each series."""
        check_is_fitted(self, "run_")
        return np.asarray(self.classes_[self.predict_proba(X).argmax(1)])


class SeriesRegressor(RegressorMixin, _Tuned):  # type: ignore[misc]  # untyped base
    """Fine-tunes a pre-trained encoder to a number for each whole series; as `SeriesClassifier`."""

    _task = "regression"

    def fit(self, X: Any, y: Any) -> Self:
        """Fine-tune to numbers y (cases,); what is not finite is a DataError."""
        y = np.asarray(y, dtype=np.float64)
        if not np.isfinite(y).all():
            raise DataError(f"{int((~np.isfinite(y)).sum())} labels are not finite; leave them out")
        self._fit(X, y)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Return a number for each series."""
        return self._outputs(X)[:, 0]
