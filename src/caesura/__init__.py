"""Self-supervised learning on irregular, multivariate and unequal-length time series.

Names load when they are first used, so that `import caesura` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "pretrain": "caesura.workflow",
    "distil": "caesura.workflow",
    "finetune": "caesura.workflow",
    "load": "caesura.run",
    "from_pretrained": "caesura.hub",
    "push_to_hub": "caesura.hub",
    "save_pretrained": "caesura.hub",
    "Run": "caesura.run",
    "AnomalyDetector": "caesura.estimators.anomalies",
    "PretrainedFeatures": "caesura.estimators.features",
    "ResolutionProbe": "caesura.estimators.resolution",
    "SeriesClassifier": "caesura.estimators.supervised",
    "SeriesForecaster": "caesura.estimators.forecaster",
    "SeriesGenerator": "caesura.estimators.generator",
    "SeriesInterpolator": "caesura.estimators.interpolator",
    "SeriesRegressor": "caesura.estimators.supervised",
}

__all__ = [
    "AnomalyDetector",
    "PretrainedFeatures",
    "ResolutionProbe",
    "Run",
    "SeriesClassifier",
    "SeriesForecaster",
    "SeriesGenerator",
    "SeriesInterpolator",
    "SeriesRegressor",
    "__version__",
    "distil",
    "finetune",
    "from_pretrained",
    "load",
    "pretrain",
    "push_to_hub",
    "save_pretrained",
]

if TYPE_CHECKING:
    from caesura.estimators.anomalies import AnomalyDetector
    from caesura.estimators.features import PretrainedFeatures
    from caesura.estimators.forecaster import SeriesForecaster
    from caesura.estimators.generator import SeriesGenerator
    from caesura.estimators.interpolator import SeriesInterpolator
    from caesura.estimators.resolution import ResolutionProbe
    from caesura.estimators.supervised import SeriesClassifier, SeriesRegressor
    from caesura.hub import from_pretrained, push_to_hub, save_pretrained
    from caesura.run import Run, load
    from caesura.workflow import distil, finetune, pretrain


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'caesura' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
