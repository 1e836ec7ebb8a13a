"""Calibrates interpolation on series that the model never saw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.queries import Queries
from caesura.data.scaling import ScaleTable
from caesura.data.store import RaggedStore
from caesura.metrics.conformal import Conformal, Normaliser
from caesura.tasks.interpolate import distances, predict_normal
from caesura.tasks.needs import Trained

RATIOS = (0.1, 0.3, 0.5)
"""Shares of hidden observations: near ones and far ones must both be calibrated."""
_MOST_SERIES = 300


@dataclass(frozen=True)
class Residuals:
    """Absolute scaled residuals of hidden observations, where they were and of which series.

    Over the predicted deviations, where the decoder gives them.
    """

    absolute: NDArray[np.float64]
    variable: NDArray[np.int64]
    distance: NDArray[np.float64]
    series: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Residuals:
        """Return the chosen cases."""
        return Residuals(
            self.absolute[chosen],
            self.variable[chosen],
            self.distance[chosen],
            self.series[chosen],
        )


def hide_observations(
    store: RaggedStore, ratio: float, rng: np.random.Generator
) -> tuple[RaggedStore, NDArray[np.int64]]:
    """Hide a share of each series' observations; return the rest and the hidden rows.

    The count is floor(ratio x length), one observation left at least. Origins stay those of
    the whole series, so that times keep their meaning.
    """
    noise = rng.random(len(store.clock))
    order = np.lexsort((noise, store.series))
    place = np.arange(len(order)) - np.repeat(store.offsets[:-1], store.lengths)
    hidden = np.zeros(len(order), dtype=np.bool_)
    count = np.minimum(np.floor(ratio * store.lengths), store.lengths - 1)
    hidden[order] = place < np.repeat(count, store.lengths)
    return store.without(hidden), np.flatnonzero(hidden)


def hidden_queries(
    run: Trained, store: RaggedStore, rows: NDArray[np.int64]
) -> tuple[Queries, NDArray[np.float64]]:
    """Return a query for each observed element of the rows, with its true scaled value."""
    size = len(run.schema.value_names)
    which, element = np.nonzero(store.observed[rows])
    row = rows[which]
    channel = run.schema.channel_codes(store)[row].astype(np.int64)
    queries = Queries(store.series[row], store.times[row], channel * size + element)
    scaled = ScaleTable(run.schema.scales).scaled(store.values[row], channel.astype(np.int32))
    return queries, scaled[np.arange(len(row)), element].astype(np.float64)


def residuals(run: Trained, store: RaggedStore, seed: int) -> Residuals:
    """Predict hidden observations of a store at each ratio of `RATIOS`."""
    found: list[Residuals] = []
    for number, ratio in enumerate(RATIOS):
        seen, rows = hide_observations(store, ratio, np.random.default_rng((seed, number)))
        queries, truth = hidden_queries(run, store, rows)
        if not len(queries):
            continue
        mean, spread = predict_normal(run, seen, queries)
        absolute = np.abs(mean - truth) / spread
        distance = distances(run, seen, queries)
        found.append(Residuals(absolute, queries.variable, distance, queries.series))
    if not found:
        empty = np.zeros(0)
        return Residuals(empty, empty.astype(np.int64), empty, empty.astype(np.int64))
    return Residuals(
        *(np.concatenate([getattr(r, name) for r in found]) for name in Residuals.__annotations__)
    )


def calibrate(
    run: Trained,
    store: RaggedStore,
    validation: NDArray[np.int64],
    calibration: NDArray[np.int64],
    seed: int,
    level: float = 0.9,
) -> tuple[Conformal, list[dict[str, Any]]]:
    """Fit the normaliser on validation series, the quantiles on calibration series.

    Also returns rows (variable, hidden values, coverage) at `level`, measured crosswise:
    each half of the calibration series is covered by quantiles of the other half.
    """
    variables = len(run.schema.variables)
    fit = residuals(run, store.take(validation[:_MOST_SERIES]), seed)
    normaliser = Normaliser.fit(fit.absolute, fit.variable, fit.distance, variables)
    held = residuals(run, store.take(calibration[:_MOST_SERIES]), seed + 1)
    covered = np.zeros(len(held.absolute), dtype=np.bool_)
    for half in (0, 1):
        other, own = held.where(held.series % 2 != half), held.series % 2 == half
        crosswise = Conformal.fit(normaliser, other.absolute, other.variable, other.distance)
        width = crosswise.half_width(held.variable[own], held.distance[own], level)
        covered[own] = held.absolute[own] <= width
    rows = coverage_rows(run, held.variable, covered)
    return Conformal.fit(normaliser, held.absolute, held.variable, held.distance), rows


def coverage_rows(
    run: Trained, variable: NDArray[np.int64], covered: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Return the covered share by variable, and over all."""
    rows: list[dict[str, Any]] = []
    for code, name in enumerate(run.schema.variables):
        own = variable == code
        if own.any():
            share = float(covered[own].mean())
            rows.append({"channel": name, "values": int(own.sum()), "coverage": share})
    total = float(covered.mean()) if len(covered) else float("nan")
    return [*rows, {"channel": "all", "values": len(covered), "coverage": total}]
