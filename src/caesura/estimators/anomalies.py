"""Anomalies of series as an estimator, by scikit-learn's convention of outlier detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import OutlierMixin

from caesura.answers import detection_table
from caesura.data.column_types import free_name
from caesura.errors import DataError
from caesura.estimators.base import Pretrained, regular
from caesura.estimators.frames import as_series, every_series, kind_of, table_as
from caesura.metrics.detect import Null
from caesura.run import Run
from caesura.tasks.detect import (
    Detected,
    DetectSettings,
    Normality,
    detect_with,
    learn_normal,
)
from caesura.tasks.detector_table import Windows
from caesura.training.checkpoint import load_tensors, save_tensors

_NORMAL = "normal.safetensors"


class AnomalyDetector(OutlierMixin, Pretrained):  # type: ignore[misc]  # untyped base
    """Learns what is normal from regular series, and scores time stamps of others
    (`tasks.detect`), as scikit-learn's outlier detectors do: lower `score_samples` are more
    abnormal, `predict` is -1 for anomalies and 1 for what is normal.

    X and the parameters are those of `estimators.base.Pretrained`. Answers are lists with an array
    (time,) a series, or a table of id, time and a column named as the method. A series that is
    shorter than the detector's window has NaN, and 1 as its prediction.

    Args:
        window: steps that the encoder sees together.
        level: p-value up to which a time stamp is an anomaly; the least p-value there can be where
            few independent normal time stamps were held out.
        by: the detector that scores; "auto": the one that normal data support best.
    """

    def __init__(
        self,
        window: int = 96,
        level: float = 0.001,
        recipe: str = "lejepa",
        steps: int = 300,
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
        device: str = "auto",
        by: str = "auto",
    ) -> None:
        self.window = window
        self.level = level
        self.by = by
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def _implied(self) -> tuple[str, ...]:
        return regular(self.window)

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Pre-train on X, series that are normal, and learn what they score; `y` is ignored."""
        self.run_ = self._start(X)
        normal = self.run_.open(as_series(X))
        self.normality_ = learn_normal(self.run_, normal, DetectSettings(self.by, self._seed()))
        return self

    @property
    def by_(self) -> str:
        """Return the name of the detector that scores."""
        return self._learned().by

    @property
    def support_(self) -> list[dict[str, Any]]:
        """Return a row for each detector that was tried, the best supported first."""
        return self._learned().table

    @property
    def offset_(self) -> float:
        """Return what `decision_function` subtracts from `score_samples`: anomalies are below 0."""
        return -self._learned().null.threshold(self.level)

    def save(self, folder: str | Path) -> None:
        """Write what `Pretrained.save` does, and what was learned of normal series: for detectors
        by nearest neighbours, windows of them."""
        super().save(folder)
        if hasattr(self, "normality_"):
            learned = self.normality_
            arrays = {f"state.{name}": one for name, one in learned.state.items()}
            arrays |= {f"null.{name}": one for name, one in vars(learned.null).items()}
            tensors = {name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}
            about = {"by": learned.by, "windows": list(learned.windows), "seed": learned.seed}
            save_tensors(Path(folder) / _NORMAL, tensors, {**about, "table": learned.table})

    @classmethod
    def load(cls, folder: str | Path) -> AnomalyDetector:
        """Return the detector that `save` wrote; what else it is, as of `Pretrained.load`."""
        made = super().load(folder)
        if (Path(folder) / _NORMAL).is_file():
            tensors, meta = load_tensors(Path(folder) / _NORMAL)
            parts: dict[str, dict[str, Any]] = {"state": {}, "null": {}}
            for name, one in tensors.items():
                part, _, key = name.partition(".")
                parts.setdefault(part, {})[key] = one.numpy()
            if not parts["null"]:
                raise DataError(f"{folder} was saved by an older version; fit the detector again")
            made.normality_ = Normality(
                meta["by"],
                parts["state"],
                Null(**parts["null"]),
                windows=Windows(*meta["windows"]),
                seed=int(meta["seed"]),
                table=meta["table"],
            )
        return made

    def score_samples(self, X: Any) -> Any:
        """Return minus the anomaly score of each time stamp: lower is more abnormal."""
        return self._answer(X, "score_samples", lambda one: [-s for s in one.score])

    def decision_function(self, X: Any) -> Any:
        """Return `score_samples` less `offset_`: below 0 for anomalies."""
        offset = self.offset_
        return self._answer(X, "decision_function", lambda one: [-s - offset for s in one.score])

    def predict(self, X: Any) -> Any:
        """Return -1 for each time stamp that is an anomaly, 1 for others."""
        offset = self.offset_
        return self._answer(
            X, "predict", lambda one: [np.where(-s < offset, -1, 1) for s in one.score]
        )

    def anomaly_scores(self, X: Any) -> Any:
        """Return how far from normal each time stamp is: higher is more abnormal, as the `score`
        of `caesura detect`."""
        return self._answer(X, "score", lambda one: one.score)

    def p_values(self, X: Any) -> Any:
        """Return the share of normal time stamps, not fitted, that score as high."""
        return self._answer(X, "p_value", lambda one: one.p_value)

    def _learned(self) -> Normality:
        self._fitted()
        if not hasattr(self, "normality_"):
            raise DataError("its folder holds nothing of normal series; fit it to them again")
        return self.normality_

    def _answer(self, X: Any, name: str, chosen: Any) -> Any:
        run, learned = self._fitted(), self._learned()
        store = run.open(as_series(X))
        detected: Detected = detect_with(run, store, learned)
        answer: Sequence[NDArray[Any]] = chosen(detected)
        if kind_of(X) == "array":
            return every_series(answer, X, store)
        table = detection_table(run.schema, store, detected)
        keys = table.select(table.column_names[:2])
        free = free_name(name, keys.column_names)
        return table_as(keys.append_column(free, [np.concatenate(answer)]), kind_of(X))
