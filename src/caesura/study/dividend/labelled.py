"""Labelled series as the task of a study: classes or values, predicted out of fold."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.grid import GridStore
from caesura.data.labels import Labels
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.data.view import view_store
from caesura.errors import DataError
from caesura.metrics.skill import classification_skill, regression_skill
from caesura.recipes.presets import finetune_recipe
from caesura.recipes.schema import make_recipe
from caesura.study.dividend.task import Said
from caesura.tasks.controls import channel_statistics
from caesura.tasks.embed import embed
from caesura.tasks.finetune import finetune
from caesura.tasks.linear import Cuts, folds
from caesura.tasks.needs import Trained
from caesura.tasks.predict import predict_view
from caesura.tasks.probe import out_of_fold
from caesura.tasks.rocket import has_rocket, rocket_predictions
from caesura.tasks.window_features import window_statistics
from caesura.training.arithmetic import resolved

log = logging.getLogger("caesura")


@dataclass(frozen=True)
class LabelledPart:
    """Labelled series with folds that no group is cut by; a `study.dividend.task.Part`.

    foreign: features of others, a row a series, NaN where there is none.
    """

    store: RaggedStore
    labels: Labels
    cuts: Cuts
    foreign: NDArray[np.float64] | None = None
    nothing = "no learning"

    @property
    def groups(self) -> NDArray[np.int64]:
        """Number of each series' group."""
        return self.store.group_codes

    @property
    def cases(self) -> str:
        """Number of labelled series."""
        return f"{len(self.labels.series)} labelled series"

    @property
    def protocol(self) -> str:
        """Say how predictions are made."""
        return (
            f"{len(self.cuts)} folds by group, each case predicted by a model that did not see its "
            "fold. Pre-training read all series without labels, those of the report included, as "
            "it would in use."
        )

    def skill(self, said: Said, cases: NDArray[Any] | None = None) -> float:
        """Return the bounded skill of classes or values of all cases."""
        return skill_of(self.labels, np.arange(len(said)) if cases is None else cases, said)

    def probed(self, run: Trained, seed: int) -> Said:
        """Return each case's prediction by a linear model that did not see its fold.

        It reads the embedding, and level and size of the series.
        """
        vectors = embed(run, self.store)
        return self._out_of_fold(np.concatenate([vectors, self._sizes(run)], axis=1), seed)

    def _out_of_fold(self, features: NDArray[Any], seed: int) -> Said:
        found = out_of_fold(features, self.labels, self.groups, self.cuts, seed)
        return decided(self.labels, found)

    def _sizes(self, run: Trained) -> NDArray[Any]:
        """Return mean and log deviation of each channel, which encoders may normalise away."""
        view = view_store(self.store, run.schema)
        if not isinstance(view, GridStore):
            return np.zeros((len(self.store), 0), np.float32)
        return np.concatenate([window_statistics(one[None]) for one in view.model_series()])

    def beside(self, schema: Schema) -> Mapping[str, Said]:
        """Return predictions from plain statistics, raw samples, and features of others."""
        rows = {"channel statistics": channel_statistics(self.store, schema)}
        view = view_store(self.store, schema)
        if isinstance(view, GridStore) and len(np.unique(view.lengths)) == 1:
            whole = view.units.model(view.signal.values)
            whole = whole.reshape(-1, len(view), int(view.lengths[0]))
            rows["raw samples"] = whole.transpose(1, 0, 2).reshape(len(view), -1).astype(float)
        if self.foreign is not None:
            rows["features given"] = self.foreign
        found = {name: self._out_of_fold(features, 0) for name, features in rows.items()}
        if isinstance(view, GridStore) and self.labels.target.task == "classification":
            found |= self._rocket(view) if has_rocket() else {}
        return found

    def _rocket(self, view: GridStore) -> Mapping[str, Said]:
        series, kinds = view.model_series(), self.labels.values
        said = np.zeros(len(kinds), np.int64)
        for train, test in self.cuts:
            panels = [series[k] for k in train], [series[k] for k in test]
            said[test] = rocket_predictions(panels[0], kinds[train], panels[1], 0)
        return {"MiniRocket": said}

    def tuned(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> Said:
        """Return each case's prediction by a fine-tuning that did not see its fold."""
        width = len(self.labels.target.classes) or self.labels.values.shape[1]
        predicted = np.zeros((len(self.labels.series), width))
        for train, test in self.cuts:
            predicted[test] = self._tuned_on(train, test, run, rate, steps, seed, from_scratch)
        return decided(self.labels, predicted)

    def tuned_once(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> float:
        """Return the skill of one fine-tuning, on the first fold alone: what chooses a rate."""
        train, test = self.cuts[0]
        found = self._tuned_on(train, test, run, rate, steps, seed, from_scratch)
        own = Labels(test, self.labels.values[test], self.labels.target)
        said = decided(own, found, self.labels)
        return skill_of(own, np.arange(len(test)), said)

    def _tuned_on(
        self,
        train: NDArray[np.int64],
        test: NDArray[np.int64],
        run: Trained,
        rate: float,
        steps: int,
        seed: int,
        from_scratch: bool,
    ) -> NDArray[np.float64]:
        tree = finetune_recipe(run.recipe, "")
        tree["seed"] = seed
        tree["stages"] = [{"objective": {"type": "supervised"}}]  # no statistics in any arm
        tree["training"] |= {"epochs": 0, "steps": steps, "lr": rate, "patience": 0}
        recipe = make_recipe(tree)
        recipe = recipe.model_copy(update={"training": resolved(recipe.training)})
        own = Labels(train, self.labels.values[train], self.labels.target)
        own = replace(own, split=validating_split(own, self.groups[train], seed))
        tuned = finetune(run, self.store, own, recipe, from_scratch=from_scratch)
        return predict_view(tuned, view_store(self.store.take(test), run.schema))


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


def decided(labels: Labels, predicted: NDArray[Any], known: Labels | None = None) -> NDArray[Any]:
    """Return class numbers of probabilities, or the values of a regression.

    The skill balances classes, so the class is chosen whose probability is highest beside its
    share among the labels (of `known`, where given): the best rule under a balanced loss. By the
    highest probability alone a rare class would never be said.
    """
    if labels.target.task != "classification":
        return predicted
    counted = (known or labels).values
    share = np.bincount(counted, minlength=predicted.shape[1]) / len(counted)
    return np.asarray((predicted / np.maximum(share, 1e-9)).argmax(1))


def skill_of(labels: Labels, cases: NDArray[np.int64], predicted: NDArray[Any]) -> float:
    """Return the skill over some cases; rows of `predicted` are all the labels'."""
    truth, said = labels.values[cases], predicted[cases]
    if labels.target.task == "classification":
        return classification_skill(truth, said, len(labels.target.classes))
    return regression_skill(truth, said)


def parts_of(
    store: RaggedStore, labels: Labels, share: float, num_folds: int, most: int
) -> tuple[LabelledPart, LabelledPart]:
    """Split the labelled series by group into what chooses and what reports.

    most: labelled series that are used; groups beyond are left out at random, and said.
    Fewer groups than folds, or a class with fewer cases than folds in a part, is a DataError.
    """
    if labels.target.task == "multilabel":
        raise DataError("a study takes one label; pass one --target")
    labelled = store.take(labels.series)
    if len(labels.series) > most:
        log.warning("%d of %d labelled series are used (--most)", most, len(labels.series))
        codes = labelled.group_codes
        names = np.random.default_rng(7).permutation(np.unique(codes))
        sizes = np.cumsum([int((codes == name).sum()) for name in names[: most + 1]])
        kept = names[: max(2, int((sizes <= most).sum()))]
        rows = np.flatnonzero(np.isin(codes, kept))
        labels = Labels(labels.series[rows], labels.values[rows], labels.target)
        labelled = store.take(labels.series)
    groups = labelled.group_codes
    parts: list[LabelledPart] = []
    wanted = max(2, round(1 / share))
    whole = Labels(np.arange(len(labels.series)), labels.values, labels.target)
    report, choice = folds(whole, groups, wanted, 12_345)[0]
    for rows in (choice, report):
        own = Labels(np.arange(len(rows)), labels.values[rows], labels.target)
        taken = labelled.take(rows)
        parts.append(LabelledPart(taken, own, folds(own, taken.group_codes, num_folds, 0)))
    return parts[0], parts[1]


def fingerprint(
    store: RaggedStore,
    labels: Labels | None = None,
    features: str | None = None,
    marks: Sequence[NDArray[np.bool_]] = (),
) -> str:
    """Return a hash of the series' ids, values and times, of what is known of them (labels, or
    marked time stamps), and of a file of features, where one is scored beside."""
    digest = hashlib.sha256()
    known = tuple(marks) if labels is None else (labels.series, labels.values)
    for one in (store.values, store.offsets, store.clock, *known):
        digest.update(np.ascontiguousarray(one).tobytes())
    digest.update("\n".join(str(one) for one in store.ids.to_pylist()).encode())
    if labels is not None:
        digest.update("\n".join(labels.target.classes).encode())
    if features is not None:
        digest.update(Path(features).read_bytes() if Path(features).is_file() else b"none")
    return digest.hexdigest()[:16]
