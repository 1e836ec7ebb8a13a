"""Pre-trained features as a scikit-learn transformer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import TransformerMixin

from caesura.estimators.base import Pretrained
from caesura.estimators.frames import as_series, columns_as, kind_of, order_of
from caesura.nn.heads import checked_pooling, pooled_width
from caesura.run import Run
from caesura.tasks.embed import embed
from caesura.types import as_encoder


class PretrainedFeatures(TransformerMixin, Pretrained):  # type: ignore[misc]  # untyped bases
    """Pre-trains on the series it is fitted to; transforms series to vectors (cases, dim).

    X and the parameters are those of `estimators.base.Pretrained`; pooling as in `Run.embed`. `y`
    is ignored: labels never reach the pre-training.
    """

    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        pooling: str = "auto",
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
        device: str = "auto",
    ) -> None:
        self.pooling = pooling
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def fit(self, X: Any, y: Any = None) -> PretrainedFeatures:
        """Pre-train on X; an unknown pooling is a RecipeError before it begins."""
        checked_pooling(self.pooling)
        self.run_ = self._start(X)
        return self

    def transform(self, X: Any) -> Any:
        """Return one vector a series, (cases, dim); NaN for a series without a value."""
        run = self._fitted()
        store = run.open(as_series(X))
        vectors = store.spread(embed(run, store, checked_pooling(self.pooling)))
        order = order_of(X, store.all_ids, run.schema.columns.id)
        names = self.get_feature_names_out()
        columns = dict(zip(names, vectors[order].T, strict=True))
        return columns_as(columns, store.all_ids.take(order), kind_of(X))

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the features."""
        encoder = as_encoder(self._fitted().parts["encoder"])
        width = pooled_width(encoder, checked_pooling(self.pooling))
        return np.array([f"f{number}" for number in range(width)], dtype=object)
