"""The demo's headline: hidden measurements of unseen stays, predicted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.queries import Queries
from caesura.data.scaling import ScaleTable
from caesura.data.store import RaggedStore
from caesura.metrics.bootstrap import Interval, bootstrap
from caesura.run import Run
from caesura.tasks.calibrate import hidden_queries, hide_observations
from caesura.tasks.filling import neighbours, ridge_predictions
from caesura.tasks.interpolate import distances, predict_scaled

STATIC = ("Age", "Gender", "Height", "ICUType", "Weight", "MechVent")
"""Never asked: constant in a stay, or always 1 where noted."""
HIDDEN = 0.5
MODEL = "RoMAE (ours)"
CONTROLS = ("mean", "last value", "stay's own mean", "linear in time", "ridge, own variable",
            "ridge, all variables")  # fmt: skip
_RIDGE_STAYS = 1200


@dataclass(frozen=True)
class Interpolation:
    """Squared errors of every method on the same hidden values, in scaled units.

    errors: method to (hidden values,). variable, series: of each value. plots: stays to draw.
    """

    errors: dict[str, NDArray[np.float64]]
    variable: NDArray[np.int64]
    series: NDArray[np.int64]
    names: list[str]
    coverage: float
    width: float
    plots: list[dict[str, Any]] = field(default_factory=list)

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
        """Return our error less the control's, with its interval over stays."""
        _, code = np.unique(self.series, return_inverse=True)
        gap = self.errors[MODEL] - self.errors[control]
        total = np.bincount(code, weights=gap)
        cases = np.bincount(code)
        return bootstrap(lambda s: float(total[s].sum() / cases[s].sum()), np.arange(len(total)))


def interpolate_hidden(run: Run, pool: RaggedStore, test: RaggedStore) -> Interpolation:
    """Hide half of each test stay's values and predict them by the model and by the controls."""
    seen, queries, truth = hidden_half(run, test, 1000)  # the same mask for every seed
    predictions = {MODEL: predict_scaled(run, seen, queries)}
    near = neighbours(seen, queries, run.schema)
    predictions["mean"] = np.zeros(len(truth))  # scaled by the training rows
    predictions["last value"] = near.last_value()
    predictions["stay's own mean"] = near.own_mean
    predictions["linear in time"] = near.linear
    some = pool.take(np.sort(np.random.default_rng(0).permutation(len(pool))[:_RIDGE_STAYS]))
    pool_seen, pool_queries, pool_truth = hidden_half(run, some, 2000)
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
    half = run.calibration.half_width(queries.variable, distance, 0.9)
    covered = np.abs(predictions[MODEL] - truth) <= half
    return Interpolation(
        errors={name: np.square(p - truth) for name, p in predictions.items()},
        variable=queries.variable,
        series=queries.series,
        names=run.schema.variables,
        coverage=float(covered.mean()),
        width=float(2 * half.mean()),
        plots=_plots(run, test, seen, queries),
    )


def hidden_half(
    run: Run, store: RaggedStore, seed: int
) -> tuple[RaggedStore, Queries, NDArray[np.float64]]:
    """Hide half of each stay; return the rest, the queries that count, and their truth."""
    seen, rows = hide_observations(store, HIDDEN, np.random.default_rng(seed))
    queries, truth = hidden_queries(run, store, rows)
    dull = [i for i, name in enumerate(run.schema.variables) if name in STATIC]
    counted = ~np.isin(queries.variable, dull)
    kept = Queries(queries.series[counted], queries.times[counted], queries.variable[counted])
    return seen, kept, truth[counted]


def _plots(
    run: Run, test: RaggedStore, seen: RaggedStore, queries: Queries, count: int = 3
) -> list[dict[str, Any]]:
    """Return curves of a few stays: those with the most hidden values of four vital signs."""
    wanted = [v for v in ("HR", "MAP", "Temp", "Glucose") if v in run.schema.variables]
    codes = [run.schema.variables.index(name) for name in wanted]
    vital = np.isin(queries.variable, codes)
    stays = np.argsort(-np.bincount(queries.series[vital], minlength=len(test)))[:count]
    return [_curves(run, test, seen, queries, int(stay), codes) for stay in stays]


def _curves(
    run: Run,
    test: RaggedStore,
    seen: RaggedStore,
    queries: Queries,
    stay: int,
    codes: list[int],
) -> dict[str, Any]:
    hours = np.linspace(0, float(test.times[test.offsets[stay + 1] - 1]), 97)
    asked = Queries(
        np.full(len(hours) * len(codes), stay),
        np.tile(hours, len(codes)),
        np.repeat(np.array(codes), len(hours)),
    )
    scaled = predict_scaled(run, seen, asked)
    assert run.calibration is not None
    half = run.calibration.half_width(asked.variable, distances(run, seen, asked), 0.9)
    table = ScaleTable(run.schema.scales)
    code = asked.variable.astype(np.int32)

    def raw(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return table.raw(z[:, None], code)[:, 0].reshape(len(codes), -1)

    panels = []
    middle, low, high = raw(scaled), raw(scaled - half), raw(scaled + half)
    for row, variable in enumerate(codes):
        shown = _points(run, seen, stay, variable)
        everything = _points(run, test, stay, variable)
        hidden = [p for p in everything if p not in shown]
        panels.append(
            {"variable": run.schema.variables[variable], "hours": hours, "value": middle[row],
             "lower": low[row], "upper": high[row], "seen": shown, "hidden": hidden}
        )  # fmt: skip
    return {"stay": test.ids[stay].as_py(), "panels": panels}


def _points(run: Run, store: RaggedStore, stay: int, variable: int) -> list[tuple[float, float]]:
    rows = slice(int(store.offsets[stay]), int(store.offsets[stay + 1]))
    own = run.schema.channel_codes(store)[rows] == variable
    times, values = store.times[rows][own], store.values[rows][own, 0]
    return list(zip(times.tolist(), values.tolist(), strict=True))
