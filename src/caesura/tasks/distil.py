"""Distillation of any run into a smaller encoder, and what it costs a probe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from caesura.data.labels import Labels
from caesura.data.pieces import pieces
from caesura.data.schema import Schema
from caesura.data.split import Split
from caesura.data.store import RaggedStore
from caesura.data.view import view_store
from caesura.metrics.bootstrap import Interval
from caesura.metrics.classify import score_name
from caesura.objectives.distil import DistilConfig
from caesura.recipes.build import build_distil, build_encoder
from caesura.recipes.schema import Recipe
from caesura.tasks.embed import embed
from caesura.tasks.linear import folds
from caesura.tasks.needs import Trained
from caesura.tasks.probe import difference, out_of_fold, scored_interval
from caesura.tasks.random_twin import random_twin
from caesura.training.batches import labelled_batches
from caesura.training.loop import Progress, Trainer


@dataclass(frozen=True)
class Distilled:
    """A student in the making: complete recipe, schema, parts, figures."""

    recipe: Recipe
    schema: Schema
    parts: dict[str, nn.Module]
    metrics: dict[str, Any]


def distil(
    teacher: Trained,
    store: RaggedStore,
    recipe: Recipe,
    schema: Schema,
    split: Split,
    *,
    folder: Path | None = None,
    resume: bool = False,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Distilled:
    """Train the recipe's encoder to give the teacher's vectors of the training series.

    On a grid the series are windows. Validation series choose the weights; the loss there is
    1 for a student that knows nothing of its teacher.
    """
    cut, train, held_out = store, split.train, split.validation
    if schema.sampling is not None:
        cut = pieces(store, schema.sampling.window / schema.sampling.rate_hz)
        groups = store.group_codes
        train, held_out = (
            np.flatnonzero(np.isin(cut.group_codes, groups[role])) for role in (train, held_out)
        )
    vectors = embed(teacher, cut)
    seen = vectors[train]
    spread = seen.std(0)
    target = (vectors - seen.mean(0)) / np.where(spread > 1e-8, spread, 1.0)
    config = DistilConfig(outputs=vectors.shape[1])
    stage = recipe.stages[0].model_copy(update={"objective": config, "decoder": None})
    recipe = recipe.model_copy(update={"stages": (stage,)})
    encoder = build_encoder(recipe, recipe.seed)
    objective = build_distil(config, encoder, recipe.seed)
    source = labelled_batches(
        view_store(cut, schema),
        train,
        held_out,
        torch.from_numpy(target.astype(np.float32)),
        recipe.training,
        recipe.seed,
    )
    trainer = Trainer(
        objective, source, recipe.training, recipe.seed, folder=folder, on_progress=on_progress
    )
    state = trainer.fit(resume=resume)
    count = sum(p.numel() for p in encoder.parameters())
    larger = sum(p.numel() for p in teacher.parts["encoder"].parameters())
    metrics = {
        "unexplained share of the teacher": state.best_loss,
        "best_step": state.best_step,
        "steps": state.step,
        "seconds": round(state.seconds, 1),
        "train_windows": len(train),
        "parameters": count,
        "parameters of the teacher": larger,
    }
    return Distilled(recipe, schema, dict(objective.parts()), metrics)


def probe_gap(
    teacher: Trained, student: Trained, store: RaggedStore, labels: Labels, num_folds: int = 5
) -> list[dict[str, Any]]:
    """Return rows: what a linear probe finds in teacher, student and an untrained student.

    Same grouped folds for all; the last rows are paired differences.
    """
    labelled = store.take(labels.series)
    groups = labelled.group_codes
    cuts = folds(labels, groups, num_folds, 0)
    name = score_name(labels.target.task)
    runs = {"teacher": teacher, "student": student, "never trained": random_twin(student, 0)}
    found = {
        key: out_of_fold(embed(run, labelled), labels, groups, cuts, 0) for key, run in runs.items()
    }
    rows: list[dict[str, Any]] = [
        {"probe of": key, name: scored_interval(labels, groups, predicted)}
        for key, predicted in found.items()
    ]
    for other in ("teacher", "never trained"):
        gap: Interval = difference(labels, groups, found["student"], found[other])
        rows.append({"probe of": f"student - {other}", name: gap})
    return rows
