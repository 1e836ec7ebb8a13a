"""Hidden observations of unseen series, predicted by a run and by simple controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.queries import Queries
from caesura.data.store import RaggedStore
from caesura.metrics.bootstrap import Interval, bootstrap
from caesura.run import Run
from caesura.tasks.calibrate import hidden_queries, hide_observations
from caesura.tasks.filling import neighbours, ridge_predictions
from caesura.tasks.interpolate import distances, predict_normal

HIDDEN = 0.5
MODEL = "RoMAE (ours)"
CONTROLS = ("mean", "last value", "own mean", "linear in time", "ridge, own variable",
            "ridge, all variables")  # fmt: skip
_RIDGE_SERIES = 1200


@dataclass(frozen=True)
class Interpolation:
    """Squared errors of every method on the same hidden values, in scaled units.

    errors: method to (hidden values,). variable, series: of each value.
    """

    errors: dict[str, NDArray[np.float64]]
    variable: NDArray[np.int64]
    series: NDArray[np.int64]
    names: list[str]
    coverage: float
    width: float

    def overall(self) -> dict[str, float]:
        """Return the mean squared error of each method."""
        return {name: float(error.mean()) for name, error in self.errors.items()}

    def by_variable(self) -> list[dict[str, Any]]:
        """Return a row for each variable: hidden values and the error of each method."""
        rows = []
        for code, name in enumerate(self.names):
            own = self.variable == code
            if own.sum() >= 30:
                errors = {m: float(error[own].mean()) for m, error in self.errors.items()}
                rows.append({"variable": name, "hidden": int(own.sum()), **errors})
        return rows

    def difference(self, control: str) -> Interval:
        """Return our error less the control's, with its interval over series."""
        _, code = np.unique(self.series, return_inverse=True)
        gap = self.errors[MODEL] - self.errors[control]
        total = np.bincount(code, weights=gap)
        cases = np.bincount(code)
        return bootstrap(lambda s: float(total[s].sum() / cases[s].sum()), np.arange(len(total)))


def interpolate_hidden(
    run: Run, pool: RaggedStore, test: RaggedStore, never: tuple[str, ...] = ()
) -> Interpolation:
    """Hide half of each test series' values and predict them by the model and by the controls.

    never: variables that are not asked, constant ones for example. Ridges are fitted to
    hidden values of the pool.
    """
    seen, queries, truth = hidden_half(run, test, 1000, never)  # the same for every seed
    mean, spread = predict_normal(run, seen, queries)
    predictions = {MODEL: mean}
    near = neighbours(seen, queries, run.schema)
    predictions["mean"] = np.zeros(len(truth))  # scaled by the training rows
    predictions["last value"] = near.last_value()
    predictions["own mean"] = near.own_mean
    predictions["linear in time"] = near.linear
    some = pool.take(np.sort(np.random.default_rng(0).permutation(len(pool))[:_RIDGE_SERIES]))
    pool_seen, pool_queries, pool_truth = hidden_half(run, some, 2000, never)
    pool_near = neighbours(pool_seen, pool_queries, run.schema)
    for name, features in (("own variable", "own"), ("all variables", "everything")):
        predictions[f"ridge, {name}"] = ridge_predictions(
            getattr(pool_near, features)(),
            pool_truth,
            pool_queries.variable,
            getattr(near, features)(),
            queries.variable,
        )
    assert run.calibration is not None  # pre-training has a decoder
    distance = distances(run, seen, queries)
    half = spread * run.calibration.half_width(queries.variable, distance, 0.9)
    covered = np.abs(predictions[MODEL] - truth) <= half
    return Interpolation(
        errors={name: np.square(p - truth) for name, p in predictions.items()},
        variable=queries.variable,
        series=queries.series,
        names=run.schema.variables,
        coverage=float(covered.mean()),
        width=float(2 * half.mean()),
    )


def hidden_half(
    run: Run, store: RaggedStore, seed: int, never: tuple[str, ...]
) -> tuple[RaggedStore, Queries, NDArray[np.float64]]:
    """Hide half of each series; return the rest, the queries that count, and their truth."""
    seen, rows = hide_observations(store, HIDDEN, np.random.default_rng(seed))
    queries, truth = hidden_queries(run, store, rows)
    dull = [i for i, name in enumerate(run.schema.variables) if name in never]
    counted = ~np.isin(queries.variable, dull)
    kept = Queries(queries.series[counted], queries.times[counted], queries.variable[counted])
    return seen, kept, truth[counted]
