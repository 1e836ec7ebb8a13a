"""Fine-tuning: the pre-trained encoder, whole, with a new head, trained with labels."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.data.labels import Labels
from caesura.data.schema import Schema, Target
from caesura.data.store import RaggedStore
from caesura.data.view import View, view_store
from caesura.errors import DataError, RecipeError
from caesura.nn.lora import merge_low_rank
from caesura.objectives.supervised import SupervisedConfig
from caesura.recipes.build import build_supervised
from caesura.recipes.schema import Recipe
from caesura.tasks.finetune_scores import THIS, scored
from caesura.tasks.linear import folds
from caesura.tasks.linear_start import Linear, chosen_start, linear_starts
from caesura.tasks.needs import Trained, need
from caesura.tasks.predict import predict_view
from caesura.tasks.verb_clock import VerbClock
from caesura.training.batches import labelled_batches
from caesura.training.loop import Progress, Trainer, TrainingState

log = logging.getLogger("caesura")

_PARTS = 5
"""Labelled series are cut into so many parts, of which one validates."""
UNEQUAL = 1.5
"""Ratio of the largest to the smallest class above which classes count as unequal."""
LEAN = 0.5
"""Power of a class's share that its probability is divided by before a class is predicted: 0 is the
likeliest class, 1 the best for the mean recall of classes; between them for macro F1 (log.md)."""


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned run: complete recipe, schema with its target, parts, validation scores."""

    recipe: Recipe
    schema: Schema
    parts: dict[str, nn.Module]
    metrics: dict[str, float]


def finetune(
    run: Trained,
    store: RaggedStore,
    labels: Labels,
    recipe: Recipe,
    *,
    folder: Path | None = None,
    resume: bool = False,
    from_scratch: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Finetuned:
    """Train a head, and the encoder unless frozen, on the labelled series of a store.

    A fifth of the labelled groups validates, more where a class has fewer than five series, unless
    the labels come with a split: it chooses the weights and stops the training.
    `from_scratch` starts from the same architecture untrained, the control.
    """
    clock = VerbClock(60 * recipe.training.minutes)
    labelled = store.take(labels.series)
    train, validation = labels.split or _split(labels, labelled.group_codes, recipe.seed)
    target = _fitted_target(labels, train)
    config = _settings(recipe, target, run.schema)
    target = _with_weights(target, config, labels.values[train])
    encoder = _encoder(run, recipe.seed, from_scratch)
    view = view_store(labelled, run.schema)
    values = _encoded(labels.values, target)
    known = Labels(labels.series, values, target, (train, validation))
    starts = _linear_starts(run, recipe, encoder, view, known, config, labelled.group_codes)
    first = chosen_start(starts, config) if starts else None
    drawn = {"start": "random", "statistics": 0}
    config = first.config if first else config.model_copy(update=drawn)
    balance = _class_weights(config, labels.values[train])
    objective = build_supervised(config, encoder, balance, recipe.seed)
    if first is not None:
        first.set(objective.head)
        _shift(objective.head.linear, balance.log())
    settings, state = recipe.training, TrainingState(best_step=0)
    if config.tune:
        numbers = torch.from_numpy(values)
        source = labelled_batches(view, train, validation, numbers, settings, recipe.seed)
        scoring = float(view.lengths[validation].sum()) / settings.batch_tokens / 3
        trainer = Trainer(
            objective,
            source,
            settings,
            recipe.seed,
            folder=folder,
            on_progress=on_progress,
            limit=clock.limit(1.0, scoring),
        )
        trainer.start_counts = bool(starts)
        # what a step costs, about, until one is made: the start has read each series once
        trainer.step_seconds = clock.spent / source.steps_per_epoch(1)
        with clock.training():
            state = trainer.fit(resume=resume)
        clock.add(state.seconds)
    _shift(objective.head.linear, -balance.log())
    merge_low_rank(encoder)
    tuned = _tuned(run, recipe, config, target, parts={**objective.parts()})
    predicted = predict_view(tuned, view_store(labelled.take(validation), run.schema))
    methods = {name: one.predicted[validation] for name, one in starts.items()}
    metrics = scored(target, labels.values[validation], {THIS: predicted} | methods)
    metrics |= {"steps": state.step, "best_step": state.best_step, "seconds": clock.spent}
    metrics |= {"train_series": len(train), "validation_series": len(validation)}
    return replace(tuned, metrics=metrics)


def _tuned(
    run: Trained,
    recipe: Recipe,
    config: SupervisedConfig,
    target: Target,
    *,
    parts: dict[str, nn.Module],
) -> Finetuned:
    """Return a run of these parts, without figures, under its complete recipe and schema."""
    stage = recipe.stages[0].model_copy(update={"objective": config})
    whole = recipe.model_copy(update={"stages": (stage,), "encoder": run.recipe.encoder})
    return Finetuned(whole, run.schema.model_copy(update={"target": target}), parts, {})


def _linear_starts(
    run: Trained,
    recipe: Recipe,
    encoder: nn.Module,
    view: View,
    labels: Labels,
    config: SupervisedConfig,
    groups: NDArray[np.int64],
) -> dict[str, Linear]:
    """Return linear models of the frozen features, none where a head is to be drawn anew."""
    if config.start == "random" or labels.split is None:
        return {}
    train = labels.split[0]
    try:
        return linear_starts(
            encoder, view, labels, train, config, groups=groups, recipe=recipe, schema=run.schema
        )
    except DataError as error:
        if not config.tune:
            raise
        log.warning("no linear model to start from, the head is drawn anew: %s", error)
        return {}


def _encoder(run: Trained, seed: int, from_scratch: bool) -> nn.Module:
    """Return a copy of a run's encoder, or its like untrained, to be trained."""
    if from_scratch:
        from caesura.tasks.random_twin import random_twin

        return random_twin(run, seed).parts["encoder"]
    if dropped := [name for name in run.parts if name not in ("encoder", "head")]:
        log.info("carried: encoder, whole; not carried: %s", ", ".join(dropped))
    encoder: nn.Module = copy.deepcopy(need(run, "encoder")).requires_grad_(True)
    return encoder


def _split(
    labels: Labels, groups: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of what trains and what validates."""
    few = _PARTS
    if labels.target.task == "classification":
        few = int(np.bincount(labels.values, minlength=len(labels.target.classes)).min())
    parts = max(2, min(_PARTS, few, len(np.unique(groups))))
    if parts < _PARTS:
        log.warning("few labels: one of %d of each class or group validates", parts)
    return folds(labels, groups, parts, seed)[0]


def _settings(recipe: Recipe, target: Target, schema: Schema) -> SupervisedConfig:
    config = recipe.stages[0].objective
    if not isinstance(config, SupervisedConfig):
        raise RecipeError("fine-tuning needs a recipe whose objective is 'supervised'")
    outputs = len(target.classes) or len(target.names)
    plain = config.statistics if config.start == "linear" else 0
    return config.model_copy(
        update={
            "statistics": plain,
            "task": target.task,
            "outputs": outputs,
            "conditions": schema.conditions,
        }
    )


def _fitted_target(labels: Labels, train: NDArray[np.int64]) -> Target:
    """Standardise regression targets on training rows; without, training mostly finds the mean."""
    if labels.target.task != "regression":
        return labels.target
    seen = labels.values[train]
    spread = seen.std(0)
    return labels.target.model_copy(
        update={
            "centers": tuple(seen.mean(0).tolist()),
            "scales": tuple(np.where(spread > 0, spread, 1.0).tolist()),
        }
    )


def _encoded(values: NDArray[Any], target: Target) -> NDArray[Any]:
    if target.task != "regression":
        return values
    scaled = (values - np.array(target.centers)) / np.array(target.scales)
    return np.asarray(scaled, dtype=np.float32)


def _class_weights(config: SupervisedConfig, values: NDArray[Any]) -> torch.Tensor:
    if config.class_weights != "balanced" or config.task != "classification":
        return torch.ones(config.outputs)
    weights = 1 / (config.outputs * _shares(values, config.outputs))
    return torch.from_numpy(weights.astype(np.float32))


def _shares(values: NDArray[Any], classes: int) -> NDArray[np.float64]:
    counts = np.bincount(values, minlength=classes)
    return np.asarray(np.maximum(counts, 1) / len(values), dtype=np.float64)


def _with_weights(target: Target, config: SupervisedConfig, values: NDArray[Any]) -> Target:
    """Keep by what classes are weighed where one of them is predicted."""
    if target.task != "classification" or config.class_weights == "off":
        return target
    share = _shares(values, len(target.classes))
    if config.class_weights == "auto":
        if share.max() <= UNEQUAL * share.min():
            return target
        share = share**LEAN
    log.info(
        "classes are unequal: a prediction weighs them, rare ones more; p_... are probabilities at "
        "the shares of the training labels (stages.0.objective.class_weights=off: the likeliest)"
    )
    return target.model_copy(update={"weights": tuple((share.min() / share).tolist())})


@torch.no_grad()
def _shift(linear: nn.Linear, logits: torch.Tensor) -> None:
    """Move a head's biases: a loss with class weights wants logits of classes as if these were
    equally frequent, probabilities are at their shares among the labels."""
    linear.bias.add_(logits.to(linear.bias))
