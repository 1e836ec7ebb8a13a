"""The linear start of a fine-tuning: what the frozen encoder knows before any step is taken.

Linear probing, then fine-tuning (Kumar et al. 2022, arXiv 2202.10054, sec. 4): the gradients of a
head that is drawn anew distort the features of the encoder. Which read-out it begins with, and
whether plain statistics join it, is chosen by inner folds of the training part: ours.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from caesura.metrics.classify import likelihood_score
from caesura.nn.heads import Pooling, StandardisedHead, pooled_width
from caesura.objectives.supervised import SupervisedConfig, head_inputs
from caesura.recipes.schema import Recipe
from caesura.signal.statistics import STATISTICS
from caesura.tasks.linear import Cuts, fit_and_predict, inner_scores, linear_map, linear_model
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
    width = pooled_width(as_encoder(encoder), config.pooling)
    found = {
        EMBEDDING: fold.fitted(first[:, :-plain], bare[0]),
        MAXIMA: fold.fitted(second[:, :-plain], bare[1]),
        PLAIN: fold.fitted(first[:, width:], wide),
    }
    better = config.pooling == "auto" and found[MAXIMA].inner > found[EMBEDDING].inner + _WORTH
    found[BOTH] = fold.fitted(second, configs[1]) if better else fold.fitted(first, configs[0])
    return found


def chosen_start(starts: Mapping[str, Linear], config: SupervisedConfig) -> Linear:
    """Return the linear model that a head begins with.

    A read-out that the recipe names is kept; "auto" takes maxima, and -1 takes statistics, where
    inner folds gain by them.
    """
    both = starts[BOTH]
    bare = starts[MAXIMA if both.config.pooling == "levels+max" else EMBEDDING]
    if config.pooling != "auto":
        bare = starts[EMBEDDING]
    if config.statistics == -1:
        return both if both.inner > bare.inner + _WORTH else bare
    return both if config.statistics else bare


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

    def fitted(self, x: NDArray[np.float64], config: SupervisedConfig) -> Linear:
        """Fit a linear model to standardised inputs, in which NaN counts as the mean."""
        target, train = self.labels.target, self.train
        y: NDArray[Any] = self.labels.values
        y = y.ravel() if y.shape[1:] == (1,) else y
        seen = np.isfinite(x[train])
        count = np.maximum(seen.sum(0), 1)
        center = np.where(seen, x[train], 0.0).sum(0) / count
        off = np.where(seen, x[train] - center, 0.0)
        spread = np.sqrt(np.square(off).sum(0) / count)
        spread = np.where(spread > 0, spread, 1.0)
        z = np.nan_to_num((x - center) / spread)
        model, classes = linear_model(target.task, self.seed, self.inner), len(target.classes)
        predicted = fit_and_predict(model, target.task, z[train], y[train], z, classes)
        scores = inner_scores(
            model, target.task, z[train], y[train], self.inner, classes, score=likelihood_score
        )
        weight, bias = linear_map(model, target.task, classes)
        if target.task == "regression":
            predicted = predicted * np.array(target.scales) + np.array(target.centers)
        return Linear(config, center, spread, weight, bias, predicted, float(np.nanmean(scores)))
