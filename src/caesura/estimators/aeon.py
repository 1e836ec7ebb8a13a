"""caesura's estimators as aeon's own: for its pipelines, benchmarks and checks (extra `aeon`).

aeon caps numpy and pandas, so that it belongs in an environment of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aeon.classification.base import BaseClassifier
from aeon.regression.base import BaseRegressor
from aeon.transformations.collection.base import BaseCollectionTransformer

from caesura.estimators.base import Pretrained
from caesura.estimators.features import PretrainedFeatures
from caesura.estimators.supervised import SeriesClassifier, SeriesRegressor

_TAGS = {
    "X_inner_type": ["np-list", "numpy3D"],
    "capability:multivariate": True,
    "capability:unequal_length": True,
    "capability:missing_values": True,
    "capability:multithreading": True,
    "algorithm_type": "deeplearning",
    "python_dependencies": "torch",
    "non_deterministic": False,
}
_SMALL = {
    "steps": 2,
    "settings": ("encoder.width=16", "encoder.depth=1", "encoder.heads=2"),
}


class _Aeon:
    """Makes caesura's estimator of the parameters that it shares with aeon's."""

    _kind: type[Pretrained]
    get_params: Callable[..., dict[str, Any]]

    def _made(self) -> Any:
        own = self.get_params()
        if own["n_jobs"] is not None and own["n_jobs"] < 1:
            own["n_jobs"] = None  # aeon: all that there are
        return self._kind(**own)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:
        tuned = (
            {"tuning_steps": 2} if issubclass(cls._kind, SeriesClassifier | SeriesRegressor) else {}
        )
        return _SMALL | tuned


class AeonFeatures(_Aeon, BaseCollectionTransformer):  # type: ignore[misc]  # untyped base
    """`caesura.PretrainedFeatures` as a transformer of aeon: (cases, dim)."""

    _kind = PretrainedFeatures
    _tags = _TAGS | {"output_data_type": "Tabular", "fit_is_empty": False}

    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        pooling: str = "auto",
        run: Any = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = 1,
        device: str = "auto",
    ) -> None:
        self.recipe = recipe
        self.steps = steps
        self.pooling = pooling
        self.run = run
        self.settings = settings
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        super().__init__()

    def _fit(self, X: Any, y: Any = None) -> AeonFeatures:
        self.model_ = self._made().fit(X)
        return self

    def _transform(self, X: Any, y: Any = None) -> Any:
        return self.model_.transform(X)


class _AeonTuned(_Aeon):
    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        tuning_steps: int = 300,
        run: Any = None,
        settings: tuple[str, ...] = (),
        tuning_settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = 1,
        device: str = "auto",
    ) -> None:
        self.recipe = recipe
        self.steps = steps
        self.tuning_steps = tuning_steps
        self.run = run
        self.settings = settings
        self.tuning_settings = tuning_settings
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device
        super().__init__()

    def _fit(self, X: Any, y: Any) -> Any:
        self.model_ = self._made().fit(X, y)
        return self

    def _predict(self, X: Any) -> Any:
        return self.model_.predict(X)


class AeonClassifier(_AeonTuned, BaseClassifier):  # type: ignore[misc]  # untyped base
    """`caesura.SeriesClassifier` as a classifier of aeon."""

    _kind = SeriesClassifier
    _tags = _TAGS

    def _predict_proba(self, X: Any) -> Any:
        return self.model_.predict_proba(X)


class AeonRegressor(_AeonTuned, BaseRegressor):  # type: ignore[misc]  # untyped base
    """`caesura.SeriesRegressor` as a regressor of aeon."""

    _kind = SeriesRegressor
    _tags = _TAGS
