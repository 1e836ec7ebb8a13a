"""Fine-tuning: the pre-trained encoder, whole, with a new head, trained with labels."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.data.labels import Labels
from caesura.data.schema import Schema, Target
from caesura.data.store import RaggedStore
from caesura.data.view import view_store
from caesura.errors import RecipeError
from caesura.metrics.classify import all_scores
from caesura.nn.lora import merge_low_rank
from caesura.objectives.supervised import SupervisedConfig
from caesura.recipes.build import build_supervised
from caesura.recipes.schema import Recipe
from caesura.tasks.linear import folds
from caesura.tasks.needs import Trained, need
from caesura.tasks.predict import predict_view
from caesura.tasks.verb_clock import VerbClock
from caesura.training.batches import labelled_batches
from caesura.training.loop import Progress, Trainer

log = logging.getLogger("caesura")

_PARTS = 5
"""Labelled series are cut into so many parts, of which one validates."""


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
    encoder = copy.deepcopy(need(run, "encoder")).requires_grad_(True)
    if from_scratch:
        from caesura.tasks.random_twin import random_twin

        encoder = random_twin(run, recipe.seed).parts["encoder"]
    elif dropped := [name for name in run.parts if name not in ("encoder", "head")]:
        log.info("carried: encoder, whole; not carried: %s", ", ".join(dropped))
    balance = _class_weights(config, labels.values[train])
    objective = build_supervised(config, encoder, balance, recipe.seed)
    view = view_store(labelled, run.schema)
    values = torch.from_numpy(_encoded(labels.values, target))
    settings = recipe.training
    source = labelled_batches(view, train, validation, values, settings, recipe.seed)
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
    with clock.training():
        state = trainer.fit(resume=resume)
    clock.add(state.seconds)
    merge_low_rank(encoder)
    parts: dict[str, nn.Module] = {**objective.parts()}
    stage = recipe.stages[0].model_copy(update={"objective": config})
    whole = recipe.model_copy(update={"stages": (stage,), "encoder": run.recipe.encoder})
    schema = run.schema.model_copy(update={"target": target})
    held = view_store(labelled.take(validation), run.schema)
    predicted = predict_view(Finetuned(whole, schema, parts, {}), held)
    scores = all_scores(labels.target.task, labels.values[validation], predicted)
    metrics = {f"validation {name}": value for name, value in scores.items()}
    metrics |= {"steps": state.step, "best_step": state.best_step, "seconds": clock.spent}
    metrics |= {"train_series": len(train), "validation_series": len(validation)}
    return Finetuned(whole, schema, parts, metrics)


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
    return config.model_copy(
        update={
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
    if config.class_weights == "off" or config.task != "classification":
        return torch.ones(config.outputs)
    counts = np.bincount(values, minlength=config.outputs)
    weights = len(values) / (config.outputs * np.maximum(counts, 1))
    return torch.from_numpy(weights.astype(np.float32))
