"""The linear probe: what a frozen encoder's layers know of a label, beside its controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.labels import Labels
from caesura.data.store import RaggedStore
from caesura.metrics.bootstrap import Interval, bootstrap
from caesura.metrics.classify import main_score, score_name
from caesura.tasks.controls import channel_statistics
from caesura.tasks.embed import embed, embed_layers
from caesura.tasks.linear import fit_and_predict, folds, linear_model
from caesura.tasks.needs import Result, Trained
from caesura.tasks.random_twin import random_twin


def probe(
    run: Trained,
    store: RaggedStore,
    labels: Labels,
    *,
    num_folds: int = 5,
    seed: int = 0,
    on_progress: Callable[[str], None] = lambda name: None,
) -> Result:
    """Score a linear model on each layer, on the embedding, and on their controls.

    Grouped folds; every figure is out of fold, with a bootstrap interval over groups. The
    controls are a randomly initialised encoder of the same shape and per-channel
    statistics; differences to them are paired. Layers are compared, none is chosen.
    """
    labelled = store.take(labels.series)
    groups = labelled.group_codes
    cuts = folds(labels, groups, num_folds, seed)
    task, name = labels.target.task, score_name(labels.target.task)
    twin = random_twin(run, seed)
    sources: dict[str, Callable[[], NDArray[Any]]] = {
        "embedding": lambda: embed(run, labelled),
        "random encoder": lambda: embed(twin, labelled),
        "channel statistics": lambda: channel_statistics(labelled, run.schema),
    }
    for depth, layer in enumerate(embed_layers(run, labelled)):
        sources[f"layer {depth + 1}"] = partial(np.asarray, layer)
    rows: list[dict[str, Any]] = []
    predicted: dict[str, NDArray[np.float64]] = {}
    for source, make in sources.items():
        on_progress(source)
        predicted[source] = out_of_fold(make(), labels, cuts, seed)
        interval = _interval(labels, groups, lambda c, p=predicted[source]: p[c], task)
        rows.append({"features": source, name: interval})
    differences = [
        {
            "comparison": f"embedding - {control}",
            name: difference(labels, groups, predicted["embedding"], predicted[control]),
        }
        for control in ("random encoder", "channel statistics")
    ]
    metrics = {row["features"]: row[name].value for row in rows}
    return Result(metrics, {"probe": rows, "differences": differences})


def out_of_fold(
    x: NDArray[Any],
    labels: Labels,
    cuts: list[tuple[NDArray[np.int64], NDArray[np.int64]]],
    seed: int,
) -> NDArray[np.float64]:
    """Return the prediction of each case by the model that did not see its fold."""
    task, classes = labels.target.task, len(labels.target.classes)
    y = labels.values.ravel() if labels.values.shape[1:] == (1,) else labels.values
    width = classes if task != "regression" else labels.values.shape[1]
    predicted = np.zeros((len(y), width))
    for train, test in cuts:
        model = linear_model(task, seed)
        predicted[test] = fit_and_predict(model, task, x[train], y[train], x[test], classes)
    return predicted


def difference(
    labels: Labels, groups: NDArray[np.int64], ours: NDArray[Any], theirs: NDArray[Any]
) -> Interval:
    """Return the paired difference of the main score, with its interval over groups."""
    task, truth = labels.target.task, labels.values

    def gap(cases: NDArray[np.int64]) -> float:
        return main_score(task, truth[cases], ours[cases]) - main_score(
            task, truth[cases], theirs[cases]
        )

    return bootstrap(gap, groups)


def _interval(labels: Labels, groups: NDArray[np.int64], predicted: Any, task: Any) -> Interval:
    return bootstrap(lambda c: main_score(task, labels.values[c], predicted(c)), groups)


@dataclass(frozen=True)
class QuickProbe:
    """A probe of the embedding on a few labelled series, to be repeated during a training."""

    labelled: RaggedStore
    labels: Labels
    cuts: list[tuple[NDArray[np.int64], NDArray[np.int64]]]

    @classmethod
    def of(cls, store: RaggedStore, labels: Labels, most: int = 500) -> QuickProbe:
        """Choose at most `most` series and three folds; too few of a class is a DataError."""
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.permutation(len(labels.series))[:most])
        part = Labels(labels.series[chosen], labels.values[chosen], labels.target)
        labelled = store.take(part.series)
        return cls(labelled, part, folds(part, labelled.group_codes, 3, 0))

    def __call__(self, run: Trained) -> dict[str, float]:
        """Return the main score by its name."""
        predicted = out_of_fold(embed(run, self.labelled), self.labels, self.cuts, 0)
        task = self.labels.target.task
        return {score_name(task): main_score(task, self.labels.values, predicted)}
