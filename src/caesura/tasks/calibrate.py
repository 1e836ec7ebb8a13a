"""Calibrates interpolation on series that the model never saw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.pieces import runs
from caesura.data.queries import Queries
from caesura.data.scaling import ScaleTable
from caesura.data.store import RaggedStore
from caesura.metrics.conformal import Conformal, Normaliser
from caesura.tasks.interpolate import distances, predict_normal
from caesura.tasks.needs import Trained

RATIOS = (0.1, 0.3, 0.5)
"""Shares of hidden observations: near ones and far ones must both be calibrated."""
_MOST_SERIES = 300
MAX_OBSERVATIONS = 65_536
"""Observations of a role that are predicted at most, at each ratio: more cost time, and a quantile
of so many residuals does not move."""
_TRIAL_OBSERVATIONS = 1024
"""Observations by which the speed is measured where time is short, and that are used at least."""
_TRIAL_S = 1.0
"""Seconds below which no speed is measured, and the least is used."""
Report = Callable[[float], None]

log = logging.getLogger("caesura")


def _nobody(share: float) -> None:
    """Report progress to nobody."""


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
    scaled = ScaleTable(run.schema.scales).exactly(store.values[row], channel.astype(np.int32))
    return queries, scaled[np.arange(len(row)), element]


class Sample(NamedTuple):
    """Series or pieces of them, and the number of the series that each comes from."""

    store: RaggedStore
    owner: NDArray[np.int64]


def sampled(
    store: RaggedStore, series: NDArray[np.int64], limit: int, piece: int, seed: int
) -> Sample:
    """Return the first 300 series; where these have more observations than a limit, a random
    sample of their pieces of at most `piece` observations, one at least."""
    chosen = store.take(series[:_MOST_SERIES])
    if len(chosen.clock) <= limit:
        return Sample(chosen, np.arange(len(chosen)))
    cut, owner = runs(chosen, piece)
    order = np.random.default_rng((seed, 7)).permutation(len(cut))
    count = max(1, int((np.cumsum(cut.lengths[order]) <= limit).sum()))
    drawn = np.sort(order[:count])
    return Sample(cut.take(drawn), owner[drawn])


def residuals(
    run: Trained, store: RaggedStore, seed: int, on_progress: Report = _nobody
) -> Residuals:
    """Predict hidden observations of a store at each ratio of `RATIOS`."""
    found: list[Residuals] = []
    for number, ratio in enumerate(RATIOS):
        seen, rows = hide_observations(store, ratio, np.random.default_rng((seed, number)))
        queries, truth = hidden_queries(run, store, rows)
        if not len(queries):
            continue

        def show(done: int, total: int, number: int = number) -> None:
            on_progress((number + done / total) / len(RATIOS))

        mean, spread = predict_normal(run, seen, queries, show)
        absolute = np.abs(mean - truth) / spread
        distance = distances(run, seen, queries)
        found.append(Residuals(absolute, queries.variable, distance, queries.series))
    if not found:
        empty = np.zeros(0)
        return Residuals(empty, empty.astype(np.int64), empty, empty.astype(np.int64))
    return Residuals(
        *(np.concatenate([getattr(r, name) for r in found]) for name in Residuals.__annotations__)
    )


class Roles(NamedTuple):
    """Numbers of the series that fit the normaliser, and of those that give the quantiles."""

    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]


def calibrate(
    run: Trained,
    store: RaggedStore,
    roles: Roles,
    seed: int,
    *,
    level: float = 0.9,
    seconds: float = 0.0,
    on_progress: Report = _nobody,
) -> tuple[Conformal, list[dict[str, Any]]]:
    """Fit the normaliser on validation series, the quantiles on calibration series.

    Also returns rows (variable, hidden values, coverage) at `level`, measured crosswise:
    each half of the calibration series is covered by quantiles of the other half.

    Args:
        run: A run with a decoder that answers queries.
        store: All series.
        roles: Which of them calibrate.
        seed: Of the draws of what is hidden.
        level: Confidence of the rows.
        seconds: Time that it may take, about; 0: as the sample of `MAX_OBSERVATIONS` needs.
        on_progress: Receives the share that is done.
    """
    piece = run.recipe.training.max_tokens
    limit = _affordable(run, store, roles, seed, seconds) if seconds else MAX_OBSERVATIONS
    chosen, held_out = (sampled(store, one, limit, piece, seed) for one in roles)
    _note_sample(store, roles, chosen, held_out)
    variables = len(run.schema.variables)
    fit = residuals(run, chosen.store, seed, lambda share: on_progress(share / 2))
    normaliser = Normaliser.fit(fit.absolute, fit.variable, fit.distance, variables)
    held = residuals(run, held_out.store, seed + 1, lambda share: on_progress(0.5 + share / 2))
    owners = np.unique(held_out.owner, return_inverse=True)[1]
    halves = owners % 2 if owners.max(initial=0) else np.arange(len(owners)) % 2
    half_of = halves[held.series]
    covered = np.zeros(len(held.absolute), dtype=np.bool_)
    for half in (0, 1):
        other, own = held.where(half_of != half), half_of == half
        crosswise = Conformal.fit(normaliser, other.absolute, other.variable, other.distance)
        width = crosswise.half_width(held.variable[own], held.distance[own], level)
        covered[own] = held.absolute[own] <= width
    rows = coverage_rows(run, held.variable, covered)
    return Conformal.fit(normaliser, held.absolute, held.variable, held.distance), rows


def _affordable(run: Trained, store: RaggedStore, roles: Roles, seed: int, seconds: float) -> int:
    """Return the observations of a role that can be predicted in half of a time."""
    if seconds < _TRIAL_S:
        return _TRIAL_OBSERVATIONS
    piece = min(run.recipe.training.max_tokens, _TRIAL_OBSERVATIONS)
    begun = time.monotonic()
    trial = sampled(store, roles.validation, _TRIAL_OBSERVATIONS, piece, seed)
    residuals(run, trial.store, seed)
    took = max(time.monotonic() - begun, 1e-3)
    speed = len(trial.store.clock) / took
    fits = int(speed * (seconds - took) / 2)
    return min(MAX_OBSERVATIONS, max(_TRIAL_OBSERVATIONS, fits))


def _note_sample(store: RaggedStore, roles: Roles, chosen: Sample, held_out: Sample) -> None:
    used = len(chosen.store.clock) + len(held_out.store.clock)
    there = int(sum(store.lengths[one].sum() for one in roles))
    log.info("calibrating intervals on %s of %s held-out observations", f"{used:,}", f"{there:,}")


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
