"""A classifier and a regressor of series: pre-trained, then fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, RegressorMixin

from caesura.data.schema import Target
from caesura.errors import DataError
from caesura.estimators.base import Pretrained
from caesura.estimators.frames import (
    as_series,
    column_as,
    columns_as,
    count_of,
    kind_of,
    labels_of,
    order_of,
)
from caesura.run import Run
from caesura.tasks.predict import predict
from caesura.workflow import finetune


class _Tuned(Pretrained):
    """An estimator whose `fit` fine-tunes what it starts from."""

    _task = ""

    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        tuning_steps: int = 300,
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        tuning_settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
        device: str = "auto",
    ) -> None:
        self.tuning_steps = tuning_steps
        self.tuning_settings = tuning_settings
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def _fit(self, X: Any, y: NDArray[Any]) -> None:
        panel = as_series(X)
        count = count_of(panel, self.columns)
        if y.ndim != 1 or len(y) != count:
            raise DataError(f"{count} series and labels of shape {y.shape}; give one each")
        run = self._start(X)
        store = run.open(panel)
        ids = store.all_ids.take(order_of(X, store.all_ids, run.schema.columns.id))
        threads = () if self.n_jobs is None else (f"training.threads={self.n_jobs}",)
        self.run_ = finetune(
            run,
            {run.schema.columns.id: ids.to_pylist(), "label": y},
            data=panel,
            task=self._task,
            steps=self.tuning_steps,
            seed=self._seed(),
            settings=(*threads, *self.tuning_settings),
            device=self.device,
        )

    def _outputs(self, X: Any) -> tuple[NDArray[np.float64], Any]:
        """Return what the head says of each series, (cases, outputs), NaN of one without a value;
        and their ids."""
        run = self._fitted()
        store = run.open(as_series(X))
        order = order_of(X, store.all_ids, run.schema.columns.id)
        return store.spread(predict(run, store))[order], store.all_ids.take(order)


class SeriesClassifier(ClassifierMixin, _Tuned):  # type: ignore[misc]  # untyped base
    """Fine-tunes a pre-trained encoder to classes of whole series.

    X and the parameters are those of `estimators.base.Pretrained`. steps, tuning_steps: of the
    pre-training and of the fine-tuning. tuning_settings: "path=value" changes of the latter.
    """

    _task = "classification"
    _remembers = ("classes_",)

    def fit(self, X: Any, y: Any) -> Self:
        """Fine-tune to classes y (cases,) of any kind; fewer than two are a DataError."""
        y = labels_of(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"labels hold {len(self.classes_)} class; two at least are needed")
        self._fit(X, codes.reshape(y.shape))
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return (cases, classes) in the order of `classes_`, or a frame with a column a class."""
        found, ids = self._shares(X)
        columns = dict(zip(map(str, self.classes_), found.T, strict=True))
        return columns_as(columns, ids, kind_of(X))

    def predict(self, X: Any) -> Any:
        """Return the class of each series as `Run.predict` does: the likeliest one, rare ones
        weighed more where classes are unequal; NaN (numbers) or None where it has no value.

        Then booleans and text are objects, and whole numbers floats.
        """
        found, ids = self._shares(X)
        weights = self._in_order(np.array([self._target().weights or (1.0,) * found.shape[1]]))
        likeliest = np.asarray(self.classes_[(found * weights).argmax(1)])
        empty = np.isnan(found).any(1)
        if empty.any() and likeliest.dtype.kind in "iuf":
            likeliest = np.where(empty, np.nan, likeliest)
        elif empty.any():
            likeliest = likeliest.astype(object)
            likeliest[empty] = None
        return column_as(likeliest, ids, kind_of(X))

    def _shares(self, X: Any) -> tuple[NDArray[np.float64], Any]:
        """Return probabilities in the order of `classes_`, and the ids of the series."""
        outputs, ids = self._outputs(X)
        return self._in_order(outputs), ids

    def _in_order(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a column for each of `classes_`, from one for each class of the run."""
        ordered = np.zeros((len(columns), len(self.classes_)))
        ordered[:, [int(name) for name in self._target().classes]] = columns
        return ordered

    def _target(self) -> Target:
        target = self.run_.schema.target
        if target is None:
            raise TypeError("a fine-tuned run has a target")
        return target


class SeriesRegressor(RegressorMixin, _Tuned):  # type: ignore[misc]  # untyped base
    """Fine-tunes a pre-trained encoder to a number for each whole series; as `SeriesClassifier`."""

    _task = "regression"

    def fit(self, X: Any, y: Any) -> Self:
        """Fine-tune to numbers y (cases,); what is not finite is a DataError."""
        y = labels_of(y).astype(np.float64)
        if not np.isfinite(y).all():
            raise DataError(f"{int((~np.isfinite(y)).sum())} labels are not finite; leave them out")
        self._fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        """Return a number for each series."""
        said, ids = self._outputs(X)
        return column_as(said[:, 0], ids, kind_of(X))
