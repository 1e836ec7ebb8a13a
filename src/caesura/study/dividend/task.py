"""The task of a study: labelled series in a part that chooses and a part that reports."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.labels import Labels
from caesura.data.store import RaggedStore
from caesura.data.view import view_store
from caesura.errors import DataError
from caesura.metrics.skill import classification_skill, regression_skill
from caesura.recipes.presets import finetune_recipe
from caesura.recipes.schema import make_recipe
from caesura.tasks.finetune import finetune
from caesura.tasks.linear import Cuts, folds
from caesura.tasks.needs import Trained
from caesura.tasks.predict import predict_view
from caesura.tasks.probe import out_of_fold
from caesura.training.arithmetic import resolved


@dataclass(frozen=True)
class Part:
    """Labelled series with folds that no group is cut by."""

    store: RaggedStore
    labels: Labels
    cuts: Cuts

    @property
    def groups(self) -> NDArray[np.int64]:
        """Number of each series' group."""
        return self.store.group_codes

    def skill(self, predicted: NDArray[Any]) -> float:
        """Return the bounded skill of predictions of all cases."""
        return skill_of(self.labels, np.arange(len(predicted)), predicted)

    def probed(self, features: NDArray[Any], seed: int) -> NDArray[Any]:
        """Return each case's prediction by a linear model that did not see its fold."""
        found = out_of_fold(features, self.labels, self.groups, self.cuts, seed)
        return decided(self.labels, found)

    def tuned(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> NDArray[Any]:
        """Return each case's prediction by a fine-tuning that did not see its fold."""
        view = view_store(self.store, run.schema)
        width = max(len(self.labels.target.classes), 1)
        if self.labels.target.task == "regression":
            width = self.labels.values.shape[1]
        predicted = np.zeros((len(self.labels.series), width))
        tree = finetune_recipe(run.recipe, "")
        tree["seed"] = seed
        tree["training"] |= {"epochs": 0, "steps": steps, "lr": rate, "patience": 0}
        recipe = make_recipe(tree)
        recipe = recipe.model_copy(update={"training": resolved(recipe.training)})
        for train, test in self.cuts:
            own = Labels(train, self.labels.values[train], self.labels.target)
            own = replace(own, split=validating_split(own, self.groups[train], seed))
            tuned = finetune(run, self.store, own, recipe, from_scratch=from_scratch)
            predicted[test] = predict_view(tuned, view)[test]
        return decided(self.labels, predicted)


def validating_split(
    labels: Labels, groups: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows that train and a fifth that validates, by class as far as there are enough."""
    for count in (5, 4, 3, 2):
        try:
            return folds(labels, groups, count, seed)[0]
        except DataError:
            continue
    order = np.random.default_rng(seed).permutation(len(groups))
    fifth = max(1, len(order) // 5)
    return np.sort(order[fifth:]), np.sort(order[:fifth])


def decided(labels: Labels, predicted: NDArray[Any]) -> NDArray[Any]:
    """Return class numbers of probabilities, or the values of a regression."""
    if labels.target.task == "classification":
        return np.asarray(predicted.argmax(1))
    return predicted


def skill_of(labels: Labels, cases: NDArray[np.int64], predicted: NDArray[Any]) -> float:
    """Return the skill over some cases; rows of `predicted` are all the labels'."""
    truth, said = labels.values[cases], predicted[cases]
    if labels.target.task == "classification":
        return classification_skill(truth, said, len(labels.target.classes))
    return regression_skill(truth, said)


def parts_of(store: RaggedStore, labels: Labels, share: float, num_folds: int) -> tuple[Part, Part]:
    """Split the labelled series by group into what chooses and what reports.

    Fewer groups than folds, or a class with fewer cases than folds in a part, is a DataError.
    """
    if labels.target.task == "multilabel":
        raise DataError("a study takes one label; pass one --target")
    labelled = store.take(labels.series)
    groups = labelled.group_codes
    parts: list[Part] = []
    wanted = max(2, round(1 / share))
    whole = Labels(np.arange(len(labels.series)), labels.values, labels.target)
    report, choice = folds(whole, groups, wanted, 12_345)[0]
    for rows in (choice, report):
        own = Labels(np.arange(len(rows)), labels.values[rows], labels.target)
        taken = labelled.take(rows)
        parts.append(Part(taken, own, folds(own, taken.group_codes, num_folds, 0)))
    return parts[0], parts[1]


def fingerprint(store: RaggedStore, labels: Labels) -> str:
    """Return a hash of the series' ids, values and times, and of their labels."""
    digest = hashlib.sha256()
    for one in (store.values, store.offsets, store.clock, labels.series, labels.values):
        digest.update(np.ascontiguousarray(one).tobytes())
    digest.update("\n".join(str(one) for one in store.ids.to_pylist()).encode())
    digest.update("\n".join(labels.target.classes).encode())
    return digest.hexdigest()[:16]
