"""Values at any time as an estimator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.base import TransformerMixin

from caesura.data.panel import blocks_of, is_frame
from caesura.errors import DataError
from caesura.estimators.base import Pretrained
from caesura.estimators.frames import as_series, kind_of, table_as
from caesura.run import Run


class SeriesInterpolator(TransformerMixin, Pretrained):  # type: ignore[misc]  # untyped bases
    """Pre-trains on irregular series, and says what they are at any time (`tasks.interpolate`).

    X and the parameters are those of `estimators.base.Pretrained`.
    """

    def __init__(
        self,
        recipe: str = "romae",
        steps: int = 300,
        level: float = 0.9,
        run: Run | str | Path | None = None,
        columns: Mapping[str, Any] | None = None,
        settings: tuple[str, ...] = (),
        random_state: Any = 0,
        n_jobs: int | None = None,
        device: str = "auto",
    ) -> None:
        self.level = level
        super().__init__(recipe, steps, run, columns, settings, random_state, n_jobs, device)

    def fit(self, X: Any, y: Any = None) -> SeriesInterpolator:
        """Pre-train on X; `y` is ignored."""
        self.run_ = self._start(X)
        return self

    def predict(self, X: Any, query: Any) -> Any:
        """Return a table of queries with value, lower, upper and trust (`Run.interpolate`).

        query: a table with the data's id, time and channel columns, "every:STEP" or "t1,t2,...".
        """
        found = self._fitted().interpolate(as_series(X), query, level=self.level)
        return table_as(found, kind_of(X))

    def transform(self, X: Any) -> Any:
        """Return arrays, or a list of them, with NaN filled; what was measured stays."""
        run = self._fitted()
        if kind_of(X) != "array":
            raise DataError("transform fills arrays; ask a table by predict(X, query)")
        series = list(blocks_of(X))
        whole = [one.copy() for one in series]
        query, place = _asked(run, series)
        if len(place[0]):
            found = run.interpolate(as_series(X), query, level=self.level)
            for number, row, step, value in zip(*place, found["value"].to_numpy(), strict=True):
                whole[number][row, step] = value
        shaped = [
            (made.T if is_frame(one) else made).reshape(np.shape(one))
            for made, one in zip(whole, X, strict=True)
        ]
        return np.stack(shaped) if isinstance(X, np.ndarray) else shaped


def _asked(run: Run, series: list[NDArray[np.float64]]) -> tuple[pa.Table, Any]:
    """Return queries for what is NaN, and the series, row and step of each."""
    found = [np.argwhere(~np.isfinite(one)) for one in series]
    number = np.repeat(np.arange(len(series)), [len(one) for one in found])
    row, step = np.concatenate(found).T if len(found) else np.zeros((2, 0), np.int64)
    columns = run.schema.columns
    query = {columns.id: number, columns.time: step.astype(np.float64)}
    names = run.schema.variables
    query[columns.channel or "channel"] = np.array(names, dtype=object)[row]
    return pa.table(query), (number, row, step)
