"""Two classes, one set of labels, every method: fine-tuned, from scratch, probes, statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.door import open_data
from caesura.data.queries import Queries
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.metrics.bootstrap import Interval, bootstrap
from caesura.metrics.classify import auroc
from caesura.recipes.build import build_encoder
from caesura.recipes.presets import NEW_HEAD
from caesura.recipes.schema import Recipe
from caesura.run import Run
from caesura.tasks.controls import channel_statistics
from caesura.tasks.embed import embed
from caesura.tasks.linear import fit_and_predict, linear_model
from caesura.tasks.predict import predict
from caesura.tasks.pretrain import prepare, resolve_tokens, split_of
from caesura.tasks.random_twin import random_twin
from caesura.training.loop import Progress
from caesura.workflow import finetune

TUNED = "fine-tuned"
FROZEN = "pre-trained frozen encoder + probe"
SCRATCH = "the same network from scratch"
RANDOM = "random frozen encoder + probe"
STATISTICS = "logistic regression on statistics"
TUNED_RATE, SCRATCH_RATE = 5e-4, 1e-3
"""Learning rates of the trainings compared, each its own (log.md), both with a new head that reads
the features alone: statistics are a control here."""

Outcomes = Mapping[Any, int]
"""0 or 1 by the id of a series."""


@dataclass(frozen=True)
class Task:
    """What to learn: outcomes, how many of the pool's labels are used, how long to train."""

    outcomes: Outcomes
    labels: int
    steps: int

    def of(self, store: RaggedStore) -> NDArray[np.int64]:
        """Return the outcome of each series of a store."""
        return np.array([self.outcomes[name] for name in store.ids.to_pylist()])

    def labelled(self, pool: RaggedStore, seed: int) -> RaggedStore:
        """Return the series of the pool whose labels are used, the same for every method."""
        rng = np.random.default_rng(100 + seed)
        return pool.take(np.sort(rng.permutation(len(pool))[: self.labels]))


@dataclass(frozen=True)
class Classification:
    """Scores of every method on the same test series."""

    truth: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]
    labels: int

    def auroc(self, name: str) -> Interval:
        """Return a method's AUROC with its interval over series."""
        score = self.scores[name]
        cases = np.arange(len(self.truth))
        return bootstrap(lambda c: auroc(self.truth[c], score[c]), cases, draws=300)

    def difference(self, other: str, name: str = TUNED) -> Interval:
        """Return the paired difference of AUROC, with its interval over series."""
        ours, theirs, truth = self.scores[name], self.scores[other], self.truth
        return bootstrap(
            lambda c: auroc(truth[c], ours[c]) - auroc(truth[c], theirs[c]),
            np.arange(len(truth)),
            draws=300,
        )


def control_scores(
    pool: pa.Table, test: pa.Table, task: Task, recipe: Recipe
) -> dict[str, NDArray[np.float64]]:
    """Train and score what needs no pre-training; may run in a process of its own."""
    data = resolve_tokens(recipe.data, source_is_table=True)
    pool_store, _ = open_data(pool, data)
    recipe = recipe.model_copy(update={"data": data})
    whole, schema = prepare(pool_store, recipe, split_of(pool_store, recipe))
    untrained = Run(whole, schema, {"encoder": build_encoder(whole, recipe.seed)})
    test_store = untrained.open(test)
    labelled = task.labelled(pool_store, recipe.seed)
    twin = random_twin(untrained, recipe.seed)
    tuned = _tune(untrained, labelled, task, scratch=True)
    y, seed = task.of(labelled), recipe.seed
    statistics = [channel_statistics(s, schema) for s in (labelled, test_store)]
    return {
        SCRATCH: predict(tuned, test_store)[:, 1],
        RANDOM: _linear_scores([embed(twin, s) for s in (labelled, test_store)], y, seed),
        STATISTICS: _linear_scores(statistics, y, seed),
    }


def trained_scores(
    run: Run,
    pool: RaggedStore,
    test: RaggedStore,
    task: Task,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> dict[str, NDArray[np.float64]]:
    """Fine-tune the pre-trained run, and probe it frozen."""
    labelled = task.labelled(pool, run.recipe.seed)
    tuned = _tune(run, labelled, task, scratch=False, on_progress=on_progress)
    vectors = [embed(run, store) for store in (labelled, test)]
    return {
        TUNED: predict(tuned, test)[:, 1],
        FROZEN: _linear_scores(vectors, task.of(labelled), run.recipe.seed),
    }


def _tune(
    run: Run,
    labelled: RaggedStore,
    task: Task,
    *,
    scratch: bool,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Run:
    columns = run.schema.columns
    labels = pa.table({columns.id: labelled.ids, "outcome": pa.array(task.of(labelled))})
    return finetune(
        run,
        labels,
        data=as_table(labelled, run.schema),
        steps=task.steps,
        seed=run.recipe.seed,
        settings=[*NEW_HEAD, f"training.lr={SCRATCH_RATE if scratch else TUNED_RATE}"],
        from_scratch=scratch,
        on_progress=on_progress,
    )


def _linear_scores(
    features: Sequence[NDArray[Any]], y: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    model = linear_model("classification", seed)
    return fit_and_predict(model, "classification", features[0], y, features[1], 2)[:, 1]


def as_table(store: RaggedStore, schema: Schema) -> pa.Table:
    """Return the observations of a long store under the schema's column names."""
    columns = schema.columns
    every = Queries(store.series, store.times, np.zeros(len(store.clock), np.int64))
    table = {
        columns.id: store.ids.take(pa.array(store.series)),
        columns.time: store.written(every.series, every.times),
        columns.value[0]: store.values[:, 0],
    }
    if columns.channel:
        table[columns.channel] = pa.array(store.channels).take(pa.array(store.channel))
    if store.error is not None:
        table[columns.error] = store.error[:, 0]
    return pa.table(table)
