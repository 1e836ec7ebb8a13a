"""Which time-scale carries a label, as an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caesura.errors import DataError
from caesura.estimators.base import Pretrained
from caesura.estimators.frames import as_series, count_of, labels_of, order_of
from caesura.run import Run
from caesura.tasks.probe import CHOSEN, probe
from caesura.tasks.spans import chosen_spans


class ResolutionProbe(Pretrained):
    """Pre-trains a hierarchical encoder, and scores a linear model on each of its levels
    (`tasks.probe`; HiMAE, arXiv 2510.25785).

    X and the parameters are those of `estimators.base.Pretrained`. folds: of the cross-validation.
    After a fit: `table_`, a row for each level and control with its score, interval and that of a
    twin that was never trained; `level_`, the finest level that is as good as the best.

    spans: irregular series (recipe "romae") have no levels; "auto" or "A,B,..." asks by spans of
    time, in the unit of the data's times.
    """

    _remembers = ("level_",)

    def __init__(
        self,
        recipe: str = "himae",
        steps: int = 300,
        folds: int = 5,
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
        device: str = "auto",
        spans: str = "",
    ) -> None:
        self.folds, self.spans = folds, spans
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def fit(self, X: Any, y: Any) -> ResolutionProbe:
        """Pre-train on X and probe for labels y (cases,), classes or numbers."""
        y, count = labels_of(y), count_of(as_series(X), self.columns)
        if y.ndim != 1 or len(y) != count:
            raise DataError(f"{count} series and labels of shape {y.shape}; give one each")
        self.run_ = self._start(X)
        store = self.run_.open(as_series(X))
        name = self.run_.schema.columns.id
        ids = store.all_ids.take(order_of(X, store.all_ids, name))
        labels = self.run_.read_labels({name: ids.to_pylist(), "label": y}, store)
        spans = chosen_spans(self.spans, self.run_, store) if self.spans else ()
        found = probe(
            self.run_, store, labels, num_folds=self.folds, seed=self._seed(), spans=spans
        )
        self.table_ = found.tables["probe"]
        self.level_ = found.names[CHOSEN]
        self.metrics_ = dict(found.metrics)
        return self
