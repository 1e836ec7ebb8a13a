"""Distillation of any run into a smaller encoder, and what it costs a probe."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
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
from caesura.tasks.verb_clock import VerbClock
from caesura.training.batches import labelled_batches
from caesura.training.loop import Progress, Trainer

log = logging.getLogger("caesura")
_TEACHER_SHARE = 0.4
"""Share of --minutes in which the teacher reads what its student learns from, at most."""
_TRIAL_SERIES = 16
"""Series by which its speed is measured."""


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
    clock = VerbClock(60 * recipe.training.minutes)
    cut, train, held_out = store, split.train, split.validation
    if schema.sampling is not None:
        cut = pieces(store, schema.sampling.window / schema.sampling.rate_hz)
        groups = store.group_codes
        train, held_out = (
            np.flatnonzero(np.isin(cut.group_codes, groups[role])) for role in (train, held_out)
        )
    if clock.seconds:
        cut, train, held_out = _affordable(teacher, cut, train, held_out, clock)
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
        objective,
        source,
        recipe.training,
        recipe.seed,
        folder=folder,
        on_progress=on_progress,
        limit=clock.limit(1.0),
    )
    with clock.training():
        state = trainer.fit(resume=resume)
    clock.add(state.seconds)
    count = sum(p.numel() for p in encoder.parameters())
    larger = sum(p.numel() for p in teacher.parts["encoder"].parameters())
    metrics = {
        "unexplained share of the teacher": state.best_loss,
        "best_step": state.best_step,
        "steps": state.step,
        "seconds": round(clock.spent, 1),
        "train_windows": len(train),
        "parameters": count,
        "parameters of the teacher": larger,
    }
    return Distilled(recipe, schema, dict(objective.parts()), metrics)


def _affordable(
    teacher: Trained,
    store: RaggedStore,
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
    clock: VerbClock,
) -> tuple[RaggedStore, NDArray[np.int64], NDArray[np.int64]]:
    """Return a random sample of the series that the teacher reads in a share of the time, and the
    numbers there of those that train and those that validate; all of them where they fit."""
    order = np.random.default_rng(teacher.recipe.seed).permutation(len(store))
    trial = order[: min(_TRIAL_SERIES, len(order))]
    begun = time.monotonic()
    embed(teacher, store.take(trial))
    speed = store.lengths[trial].sum() / max(time.monotonic() - begun, 1e-3)
    reads = np.cumsum(store.lengths[order]) <= speed * _TEACHER_SHARE * clock.left
    chosen = np.zeros(len(store), dtype=np.bool_)
    chosen[order[: int(reads.sum())]] = True
    for role in (train, held_out):  # one of each at least
        chosen[role[:1]] = True
    if chosen.all():
        return store, train, held_out
    log.warning(
        "the teacher reads %d of %d series in %.0f %% of the time; the student learns from these",
        chosen.sum(),
        len(store),
        100 * _TEACHER_SHARE,
    )
    number = np.cumsum(chosen) - 1
    part = store.take(np.flatnonzero(chosen))
    return part, number[train[chosen[train]]], number[held_out[chosen[held_out]]]


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
