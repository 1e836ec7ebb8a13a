"""The linear start of a fine-tuning: what the frozen encoder knows before any step is taken.

Linear probing, then fine-tuning (Kumar et al. 2022, arXiv 2202.10054, sec. 4): the gradients of a
head that is drawn anew distort the features of the encoder. Which read-out it begins with, and
whether plain statistics join it, is chosen by inner folds of the training part: ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.data.labels import Labels
from caesura.data.schema import Schema
from caesura.data.view import View
from caesura.errors import DataError
from caesura.metrics.classify import Task, likelihood_score
from caesura.nn.heads import Pooling, StandardisedHead, pooled_width
from caesura.objectives.supervised import SupervisedConfig, head_inputs
from caesura.recipes.schema import Recipe
from caesura.signal.statistics import STATISTICS
from caesura.tasks.linear import Cuts, at_strength, linear_map, linear_model
from caesura.tasks.probe import inner_folds
from caesura.training.batches import inference_batches
from caesura.training.inference import averaged
from caesura.types import Batch, as_encoder

EMBEDDING, MAXIMA = "linear on the frozen embedding", "linear on levels+max"
PLAIN, BOTH = "linear on statistics", "linear on statistics + embedding"
METHODS = (EMBEDDING, MAXIMA, PLAIN, BOTH)
_INNER = 3
"""Inner folds, and so cases of a class that they can share out."""
_WORTH = 0.001
"""Gain in mean log probability (R2) of the inner folds from which a wider read-out is taken."""
Map = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Weight (outputs, inputs) and bias, to logits of classes or labels, or to values."""


@dataclass(frozen=True)
class Linear:
    """A linear model fitted to the training rows of some inputs of a head.

    predicted: probabilities, or values of regression targets as they were given, of all labelled
    rows. inner: its mean log probability, or R2, over inner folds.
    """

    config: SupervisedConfig
    center: NDArray[np.float64]
    spread: NDArray[np.float64]
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    predicted: NDArray[np.float64]
    inner: float

    def set(self, head: nn.Module) -> None:
        """Make a head answer as this model."""
        if not isinstance(head, StandardisedHead):
            raise TypeError(f"a {type(head).__name__} cannot start as a linear model")
        numbers = (self.center, self.spread, self.weight, self.bias)
        head.start(*(torch.from_numpy(one.astype(np.float32)) for one in numbers))


def statistics_width(schema: Schema) -> int:
    """Return how many plain statistics a batch of a schema has."""
    return len(schema.variables) * len(STATISTICS)


def linear_starts(
    encoder: nn.Module,
    view: View,
    labels: Labels,
    train: NDArray[np.int64],
    config: SupervisedConfig,
    *,
    groups: NDArray[np.int64],
    recipe: Recipe,
    schema: Schema,
) -> dict[str, Linear]:
    """Fit each of `METHODS` to the training rows of a view.

    labels: of all rows of the view; regression targets standardised. Too few of them for inner
    folds are a DataError.
    """
    wide = config.model_copy(update={"start": "linear", "statistics": statistics_width(schema)})
    poolings: tuple[Pooling, ...] = (config.pooling, "levels+max")
    configs = [wide.model_copy(update={"pooling": pooling}) for pooling in poolings]

    def read(batch: Batch) -> list[torch.Tensor]:
        features = encoder(batch.inputs)
        return [head_inputs(one, features, batch) for one in configs]

    first, second = averaged(
        encoder, inference_batches(view, recipe.training.max_tokens), read, len(view)
    )
    plain = wide.statistics
    fold = _Fold(labels, train, _inner(labels, train, groups, recipe.seed), recipe.seed)
    bare = [one.model_copy(update={"statistics": 0}) for one in configs]
    widths = [pooled_width(as_encoder(encoder), pooling) for pooling in poolings]
    found = {
        EMBEDDING: fold.fitted(first[:, :-plain], bare[0]),
        MAXIMA: fold.fitted(second[:, :-plain], bare[1]),
        PLAIN: fold.fitted(first[:, widths[0] :], wide),
        BOTH: fold.fitted(first, configs[0], _parts(widths[0], plain)),
    }
    if config.pooling == "auto":
        other = fold.fitted(second, configs[1], _parts(widths[1], plain))
        found[BOTH] = _wider(found[BOTH], other)
    return found


def chosen_start(starts: Mapping[str, Linear], config: SupervisedConfig) -> Linear:
    """Return the linear model that a head begins with.

    A read-out that the recipe names is kept; "auto" takes maxima, and -1 takes statistics, where
    inner folds gain by them.
    """
    bare, both = starts[EMBEDDING], starts[BOTH]
    if config.pooling == "auto":
        bare = _wider(bare, starts[MAXIMA])
    if config.statistics == -1:
        return _wider(bare, both)
    return both if config.statistics else bare


def _wider(narrow: Linear, wide: Linear) -> Linear:
    """Return the wider one of two models where inner folds gain by it."""
    return wide if wide.inner > narrow.inner + _WORTH else narrow


def _parts(width: int, plain: int) -> tuple[slice, ...]:
    """Return the columns of features, those of statistics, and all; static columns are of each."""
    return slice(0, -plain), slice(width, None), slice(None)


def _inner(labels: Labels, train: NDArray[np.int64], groups: NDArray[np.int64], seed: int) -> Cuts:
    """Return inner folds of the training rows; cases of classes too rare to share out train in
    each. Fewer than two other classes are a DataError."""
    values, rows = labels.values[train], np.arange(len(train))
    few = np.zeros(len(train), np.bool_)
    if labels.target.task == "classification":
        few = np.bincount(values)[values] < _INNER
        if len(np.unique(values[~few])) < 2:
            raise DataError(f"fewer than two classes have {_INNER} series that train")
    usual = rows[~few]
    chosen = train[usual]
    part = Labels(labels.series[chosen], labels.values[chosen], labels.target)
    cuts = inner_folds(part, groups[chosen], seed)
    return [(np.concatenate([usual[fit], rows[few]]), usual[test]) for fit, test in cuts]


@dataclass(frozen=True)
class _Fold:
    """The training rows of labels, and their inner folds."""

    labels: Labels
    train: NDArray[np.int64]
    inner: Cuts
    seed: int

    def fitted(
        self,
        x: NDArray[np.float64],
        config: SupervisedConfig,
        parts: tuple[slice, ...] = (slice(None),),
    ) -> Linear:
        """Fit a linear model to standardised inputs, in which NaN counts as the mean.

        Of several parts of the columns, the last of which are all: the model of these, or the mean
        of the models of each part, at a strength of its own, where inner folds gain by it; the mean
        of linear maps is one, too. Inputs are not scaled a second time with NaN filled in: a
        channel that few series have would weigh more the fewer these are.
        """
        target, train = self.labels.target, self.train
        seen = np.isfinite(x[train])
        count = np.maximum(seen.sum(0), 1)
        center = np.where(seen, x[train], 0.0).sum(0) / count
        off = np.where(seen, x[train] - center, 0.0)
        spread = np.sqrt(np.square(off).sum(0) / count)
        spread = np.where(spread > 0, spread, 1.0)
        z = np.nan_to_num((x - center) / spread)
        if config.limit:
            z = z.clip(-config.limit, config.limit)
        maps = [self._maps(z[train], part) for part in parts]
        mean = [_mean(one) for one in zip(*maps, strict=True)]
        chosen = maps[-1]
        if self._score(z[train], mean[1:]) > self._score(z[train], chosen[1:]) + _WORTH:
            chosen = mean
        predicted = _answer(target.task, z, chosen[0])
        if target.task == "regression":
            predicted = predicted * np.array(target.scales) + np.array(target.centers)
        inner = self._score(z[train], chosen[1:])
        return Linear(config, center, spread, *chosen[0], predicted, inner)

    def _score(self, z: NDArray[np.float64], maps: Sequence[Map]) -> float:
        """Return the mean log probability, or R2, of the maps fitted to each inner fold."""
        task, truth = self.labels.target.task, self._truth[self.train]
        scores = [
            likelihood_score(task, truth[test], _answer(task, z[test], one))
            for (_, test), one in zip(self.inner, maps, strict=True)
        ]
        return float(np.nanmean(scores))

    @property
    def _truth(self) -> NDArray[Any]:
        """Classes (rows,), else labels or values (rows, outputs)."""
        values: NDArray[Any] = self.labels.values
        one_column = self.labels.target.task == "regression"
        return values.reshape(len(values), -1) if one_column else values

    def _maps(self, z: NDArray[np.float64], part: slice) -> list[Map]:
        """Return the linear map fitted to some columns of all rows, then to each inner fold."""
        task, classes = self.labels.target.task, len(self.labels.target.classes)
        y = self._truth[self.train]
        y = y.ravel() if y.shape[1:] == (1,) else y
        model = linear_model(task, self.seed, self.inner, scaled=True)
        model.fit(z[:, part], y)
        models = [model]
        for rows, _ in self.inner:
            models.append(at_strength(model, task).fit(z[rows, part], y[rows]))
        found = []
        for one in models:
            narrow, bias = linear_map(one, task, classes)
            weight = np.zeros((len(narrow), z.shape[1]))
            weight[:, part] = narrow
            found.append((weight, bias))
        return found


def _mean(maps: Sequence[Map]) -> Map:
    weights, biases = zip(*maps, strict=True)
    return np.mean(weights, axis=0), np.mean(biases, axis=0)


def _answer(task: Task, z: NDArray[np.float64], linear: Map) -> NDArray[np.float64]:
    """Return probabilities of classes or labels, or values."""
    from scipy.special import expit, softmax

    outputs = z @ linear[0].T + linear[1]
    if task == "classification":
        return np.asarray(softmax(outputs, axis=1))
    return np.asarray(expit(outputs)) if task == "multilabel" else outputs
