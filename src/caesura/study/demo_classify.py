"""The demo's second question: does pre-training help to foresee in-hospital death?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.door import open_data
from caesura.data.store import RaggedStore
from caesura.metrics.bootstrap import Interval, bootstrap
from caesura.metrics.classify import auroc
from caesura.recipes.build import build_encoder
from caesura.recipes.schema import Recipe
from caesura.run import Run
from caesura.tasks.controls import channel_statistics
from caesura.tasks.embed import embed
from caesura.tasks.linear import fit_and_predict, linear_model
from caesura.tasks.predict import predict
from caesura.tasks.pretrain import prepare, resolve_tokens
from caesura.tasks.random_twin import random_twin
from caesura.training.loop import Progress
from caesura.workflow import finetune

if TYPE_CHECKING:
    from caesura.study.demo import DemoSize

TUNED = "fine-tuned"
SCRATCH = "the same network from scratch"
RANDOM = "random frozen encoder + probe"
FROZEN = "pre-trained frozen encoder + probe"
STATISTICS = "logistic regression on statistics"


@dataclass(frozen=True)
class Classification:
    """Scores of every method on the same test stays."""

    truth: NDArray[np.int64]
    scores: dict[str, NDArray[np.float64]]
    labels: int

    def auroc(self, name: str) -> Interval:
        """Return a method's AUROC with its interval over stays."""
        score = self.scores[name]
        return bootstrap(
            lambda c: auroc(self.truth[c], score[c]), np.arange(len(self.truth)), draws=300
        )

    def difference(self, other: str, name: str = TUNED) -> Interval:
        """Return the paired difference of AUROC, with its interval over stays."""
        ours, theirs, truth = self.scores[name], self.scores[other], self.truth
        return bootstrap(
            lambda c: auroc(truth[c], ours[c]) - auroc(truth[c], theirs[c]),
            np.arange(len(truth)),
            draws=300,
        )


def labelled_part(pool: RaggedStore, count: int, seed: int) -> RaggedStore:
    """Return the stays of the pool whose labels are used, the same for every method."""
    rng = np.random.default_rng(100 + seed)
    return pool.take(np.sort(rng.permutation(len(pool))[:count]))


def control_scores(
    pool: pa.Table, test: pa.Table, died: dict[int, int], size: DemoSize, recipe: Recipe
) -> dict[str, NDArray[np.float64]]:
    """Train and score what needs no pre-training; runs in a process of its own."""
    recipe, pool_store = _opened(pool, recipe)
    complete, schema, _ = prepare(pool_store, recipe)
    untrained = Run(complete, schema, {"encoder": build_encoder(complete, recipe.seed)})
    test_store = untrained.open(test)
    labelled = labelled_part(pool_store, size.labels, recipe.seed)
    twin = random_twin(untrained, recipe.seed)
    tuned = _tune(untrained, labelled, died, size, scratch=True)
    statistics = [channel_statistics(s, schema.channels) for s in (labelled, test_store)]
    vectors = [embed(twin, store) for store in (labelled, test_store)]
    y = outcomes_of(labelled, died)
    return {
        SCRATCH: predict(tuned, test_store)[:, 1],
        RANDOM: _linear_scores(vectors, y, recipe.seed),
        STATISTICS: _linear_scores(statistics, y, recipe.seed),
    }


def trained_scores(
    run: Run,
    pool: RaggedStore,
    test: RaggedStore,
    died: dict[int, int],
    size: DemoSize,
    on_progress: Callable[[Progress], None],
) -> dict[str, NDArray[np.float64]]:
    """Fine-tune the pre-trained run, and probe it frozen."""
    labelled = labelled_part(pool, size.labels, run.recipe.seed)
    tuned = _tune(run, labelled, died, size, scratch=False, on_progress=on_progress)
    vectors = [embed(run, store) for store in (labelled, test)]
    y = outcomes_of(labelled, died)
    return {
        TUNED: predict(tuned, test)[:, 1],
        FROZEN: _linear_scores(vectors, y, run.recipe.seed),
    }


def outcomes_of(store: RaggedStore, died: dict[int, int]) -> NDArray[np.int64]:
    """Return the outcome of each stay of a store."""
    return np.array([died[stay] for stay in store.ids.to_pylist()])


def _tune(
    run: Run,
    labelled: RaggedStore,
    died: dict[int, int],
    size: DemoSize,
    *,
    scratch: bool,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Run:
    labels = pa.table({"stay": labelled.ids, "died": pa.array(outcomes_of(labelled, died))})
    return finetune(
        run,
        labels,
        data=_rows(labelled),
        steps=size.finetune_steps,
        seed=run.recipe.seed,
        settings=["training.lr=1e-3"] if scratch else [],  # each its own rate: log.md
        from_scratch=scratch,
        on_progress=on_progress,
    )


def _linear_scores(
    features: Sequence[NDArray[Any]], y: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    model = linear_model("classification", seed)
    return fit_and_predict(model, "classification", features[0], y, features[1], 2)[:, 1]


def _opened(table: pa.Table, recipe: Recipe) -> tuple[Recipe, RaggedStore]:
    data = resolve_tokens(recipe.data, source_is_table=True)
    store, _ = open_data(table, data)
    return recipe.model_copy(update={"data": data}), store


def _rows(store: RaggedStore) -> pa.Table:
    """Return a store's observations as the table they came from."""
    names = pa.array(store.channels).take(pa.array(store.channel))
    return pa.table(
        {
            "stay": store.ids.take(pa.array(store.series)),
            "hour": store.times + np.repeat(store.origins, store.lengths),
            "variable": names,
            "value": store.values[:, 0],
        }
    )
