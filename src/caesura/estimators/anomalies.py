"""Anomalies of series as an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from caesura.answers import detection_table
from caesura.errors import DataError
from caesura.estimators.base import Pretrained, regular
from caesura.estimators.frames import as_series, kind_of, table_as
from caesura.run import Run
from caesura.tasks.detect import (
    Detected,
    Detector,
    NormalPlaces,
    detect_with,
    normal_detector,
)
from caesura.training.checkpoint import load_tensors, save_tensors

_NORMAL = "normal.safetensors"


class AnomalyDetector(Pretrained):
    """Learns what is normal from regular series, and scores time stamps of others
    (`tasks.detect`).

    X and the parameters are those of `estimators.base.Pretrained`. window: steps that are seen
    together. level: p-value up to which a time stamp counts as an anomaly.
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
    ) -> None:
        self.window = window
        self.level = level
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def _implied(self) -> tuple[str, ...]:
        return regular(self.window)

    def fit(self, X: Any, y: Any = None) -> AnomalyDetector:
        """Pre-train on X, series that are normal; `y` is ignored."""
        self.run_ = self._start(X)
        normal = self.run_.open(as_series(X))
        self.detector_ = normal_detector(self.run_, normal)
        return self

    def save(self, folder: str | Path) -> None:
        """Write what `Pretrained.save` does, and what was learned of normal places (no series)."""
        super().save(folder)
        if hasattr(self, "detector_"):
            made = self.detector_
            arrays = {**vars(made.places), "calibration": made.calibration}
            tensors = {name: torch.from_numpy(np.array(one)) for name, one in arrays.items()}
            save_tensors(Path(folder) / _NORMAL, tensors, {"window": made.window})

    @classmethod
    def load(cls, folder: str | Path) -> AnomalyDetector:
        """Return the detector that `save` wrote; what else it is, as of `Pretrained.load`."""
        made = super().load(folder)
        if (Path(folder) / _NORMAL).is_file():
            tensors, meta = load_tensors(Path(folder) / _NORMAL)
            arrays = {name: one.numpy() for name, one in tensors.items()}
            calibration = arrays.pop("calibration")
            made.detector_ = Detector(NormalPlaces(**arrays), calibration, int(meta["window"]))
        return made

    def score_samples(self, X: Any) -> Any:
        """Return how unlike the normal series each time stamp is: a list of (time,), or a table
        of id, time, score, p_value."""
        return self._answer(X, lambda found: found.score)

    def p_values(self, X: Any) -> Any:
        """Return the share of held-out normal time stamps that score as high, in the same form."""
        return self._answer(X, lambda found: found.p_value)

    def predict(self, X: Any) -> Any:
        """Return whether each time stamp is an anomaly: a list of (time,), or the table with a
        column `anomaly`. Where few normal time stamps were held out, the least p-value there can
        be counts as `level`."""
        found, table = self._scored(X)
        level = max(self.level, found.least)
        if kind_of(X) == "array":
            return [p <= level for p in found.p_value]
        marked = table.append_column("anomaly", [np.concatenate(found.p_value) <= level])
        return table_as(marked, kind_of(X))

    def _answer(self, X: Any, chosen: Any) -> Any:
        found, table = self._scored(X)
        return chosen(found) if kind_of(X) == "array" else table_as(table, kind_of(X))

    def _scored(self, X: Any) -> tuple[Detected, Any]:
        run = self._fitted()
        if not hasattr(self, "detector_"):
            raise DataError("its folder holds nothing of normal series; fit it to them again")
        store = run.open(as_series(X))
        found = detect_with(run, store, self.detector_)
        return found, detection_table(run.schema, store, found)
