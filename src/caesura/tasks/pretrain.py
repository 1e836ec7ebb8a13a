"""Pre-training: from data and a recipe to an encoder, a decoder and calibrated intervals."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from caesura.data.config import DataConfig
from caesura.data.regular import full_rate, native_rate
from caesura.data.sampling import fit_sampling
from caesura.data.scaling import made_wide
from caesura.data.schema import Schema, fit_schema
from caesura.data.split import Split, split_by_group
from caesura.data.store import RaggedStore
from caesura.data.stream import Corpus
from caesura.data.view import View, view_store
from caesura.errors import DataError, RecipeError
from caesura.metrics.conformal import Conformal
from caesura.objectives.scale_tokens import ScaleTokens
from caesura.recipes.build import build_encoder, build_objective, needs_two_tokens
from caesura.recipes.dividend import with_patches
from caesura.recipes.presets import completed, reads_grids
from caesura.recipes.schema import Recipe, make_recipe
from caesura.tasks.calibrate import Roles, calibrate
from caesura.tasks.channel_basis import begin_basis, ranked
from caesura.tasks.probe import QuickProbe
from caesura.tasks.recalibrate import recalibrate
from caesura.tasks.residual import measure_residual, measured_steps
from caesura.tasks.verb_clock import VerbClock
from caesura.training.batches import pretraining_batches
from caesura.training.config import TrainingConfig
from caesura.training.indexed import IndexedBatches
from caesura.training.loader import Order
from caesura.training.loop import BatchSource, Progress, Trainer
from caesura.training.state import has_state, stage_folder
from caesura.training.stream import StreamBatches
from caesura.types import as_module

log = logging.getLogger("caesura")
_MANY_WINDOWS = 8
_CALIBRATION_SHARE = 0.2
"""Share of --minutes that calibration has, where intervals are calibrated."""
Watch = Callable[[Progress], None]


@dataclass(frozen=True)
class Pretrained:
    """A run in the making: complete recipe, fitted schema, parts, figures, intervals."""

    recipe: Recipe
    schema: Schema
    parts: Mapping[str, nn.Module]
    metrics: dict[str, Any] = field(default_factory=dict)
    calibration: Conformal | None = None
    coverage: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Material:
    """What a pre-training starts from: series, their roles, a complete recipe, a fitted schema.

    corpus: where the training series are streamed from; `store` is then its sample.
    """

    store: RaggedStore
    split: Split
    recipe: Recipe
    schema: Schema
    corpus: Corpus | None = None


def resolve_tokens(config: DataConfig, source_is_table: bool) -> DataConfig:
    """Replace "auto": a wide table or an array has a token a step, a long one a value."""
    if config.tokens != "auto":
        return config
    wide = len(config.columns.value) > 1 or not source_is_table
    return config.model_copy(update={"tokens": "step" if wide else "observation"})


def laid_out(recipe: Recipe, store: RaggedStore) -> Recipe:
    """Return the recipe for series as they lie in a table: where a long one holds regular series,
    recipes that know patches read patches of all channels at the data's own rate.

    A token a value would cost as many times more as a patch holds values. Other recipes of tokens
    stay as they are, and what would do is said.
    """
    rate = 0.0 if reads_grids(recipe) or recipe.data.rate else full_rate(store)
    if not rate:
        return recipe
    data = recipe.data.model_copy(update={"rate": rate})
    tree = recipe.model_copy(update={"data": data}).model_dump(mode="json", exclude_unset=True)
    patched = make_recipe(with_patches(tree))
    if reads_grids(patched):
        log.warning(
            "the series are regular: a token is a patch of all %d channels, at %.5g steps a unit "
            "of time; --set encoder.patch=0 keeps a token a value",
            len(store.channels),
            rate,
        )
        return patched
    log.warning(
        "the series are regular, and each of the %d channels' values is a token: a table with a "
        "column a channel has a token a step, %d times fewer",
        len(store.channels),
        len(store.channels),
    )
    return recipe


def split_of(store: RaggedStore, recipe: Recipe) -> Split:
    """Split the series of a store by group, as the recipe says.

    One or two recordings train whole and validate too: batches split them by time; so do long ones
    with `data.by_time`.
    """
    data = recipe.data
    if data.by_time and reads_grids(recipe) and _are_long(store, data):
        everything = np.arange(len(store))
        return Split(everything, everything, everything[:0])
    if reads_grids(recipe) and len(np.unique(store.group_codes)) < 3:
        log.warning("%d series: the last tenth of each validates", len(store))
        everything = np.arange(len(store))
        return Split(everything, everything, everything[:0])
    found = split_by_group(store.group_codes, data.validation, data.calibration, recipe.seed)
    if not reads_grids(recipe):
        return found
    whole = np.sort(np.concatenate([found.train, found.calibration]))  # nothing to calibrate
    return Split(whole, found.validation, found.calibration[:0])


def _are_long(store: RaggedStore, data: DataConfig) -> bool:
    """Say whether each series has many windows, so that a part of it can validate."""
    rate = data.rate or (native_rate(store) / data.every if data.own_rate else 0.0)
    steps = data.window * (data.rate or 1.0)
    return bool(rate and steps and (store.spans * rate).min() >= _MANY_WINDOWS * steps)


def prepare(store: RaggedStore, recipe: Recipe, split: Split) -> tuple[Recipe, Schema]:
    """Fit the schema on the training series and complete the recipe."""
    data = recipe.data
    given = [name for name in ("window", "overlap", "band", "quality") if getattr(data, name)]
    if given and not reads_grids(recipe):
        raise RecipeError(
            f"data.{given[0]} is for recipes of regular series (himae); {recipe.name!r} reads "
            "observations at any times"
        )
    lengths = store.lengths[split.train]
    if not reads_grids(recipe) and needs_two_tokens(recipe) and lengths.max() < 2:
        raise DataError(
            f"each of {len(lengths)} series has a single observation, and {recipe.name!r} learns "
            "to predict some from others; give series of two at least (does --id name series?), or "
            "choose lejepa, dino or vicreg"
        )
    schema = fit_schema(store, split.train, recipe.data)
    if reads_grids(recipe):
        schema = fit_sampling(store, split.train, schema, recipe.data)
        recipe = ranked(recipe, schema, store, split.train)
        _note_far_values(recipe, schema)
    return completed(recipe, schema), schema


def pretrain(
    material: Material,
    *,
    folder: Path | None = None,
    resume: bool = False,
    online_probe: QuickProbe | None = None,
    on_progress: Watch = lambda progress: None,
) -> Pretrained:
    """Train the recipe's stages on the training series; the best validation loss of each wins.

    A stage starts from the parts of the one before it.

    With `online_probe`, its score of the embedding is written beside each validation loss;
    it reports and never selects. A decoder is calibrated on series that neither trained nor
    validated.
    """
    store, split = material.store, material.split
    recipe, schema = material.recipe, material.schema
    view = view_store(store, schema)
    if schema.sampling is None:
        _note_long_series(view, recipe.training.max_tokens)
    encoder = build_encoder(recipe, recipe.seed)
    made = Pretrained(recipe, schema, {"encoder": encoder})
    metrics: dict[str, Any] = {}
    clock, steps = VerbClock(60 * recipe.training.minutes), 0
    calibrates = schema.sampling is None and recipe.stages[-1].decoder is not None
    reserve = _CALIBRATION_SHARE if calibrates else 0.0
    for number, stage in enumerate(recipe.stages):
        objective = build_objective(stage, encoder, recipe.seed, made.parts)
        settings = stage_settings(recipe, number)
        inner = stage_folder(folder, number, len(recipe.stages))
        source = _source_of(material, view, settings, objective.needs_random_batches)
        made = Pretrained(recipe, schema, objective.parts())
        if isinstance(objective, ScaleTokens):
            _note_few_windows(source, objective)
            begin_basis(encoder, as_module(objective.decoder), schema, store, split.train)
        trainer = Trainer(
            objective,
            source,
            settings,
            recipe.seed,
            folder=inner,
            on_progress=_part_of(on_progress, recipe, number),
            on_evaluate=_watched(online_probe, made),
            limit=clock.limit(
                _share_of_rest(recipe, number) * (1 - reserve),
                _following(objective, source, settings),
            ),
        )
        with clock.training():
            state = trainer.fit(resume=resume and has_state(inner))
        clock.add(state.seconds)
        if settings.recalibrate:
            recalibrate(encoder, source, settings.recalibrate)
        if isinstance(objective, ScaleTokens):
            metrics |= measure_residual(objective, source)
        steps += state.step
    metrics |= {"validation_loss": state.best_loss, "best_step": state.best_step, "steps": steps}
    metrics |= {"seconds": round(clock.spent, 1)} | _sizes(material, made.parts)
    if "decoder" not in made.parts or schema.sampling is not None:
        return Pretrained(recipe, schema, made.parts, metrics)
    calibration, coverage = calibrate(
        made,
        store,
        Roles(split.validation, split.calibration),
        recipe.seed,
        seconds=clock.left,
        on_progress=lambda share: on_progress(
            Progress(steps, 1.0, math.nan, math.nan, f"calibrating {100 * share:.0f} %")
        ),
    )
    metrics["seconds"] = round(clock.spent, 1)
    return Pretrained(recipe, schema, made.parts, metrics, calibration, coverage)


def _sizes(material: Material, parts: Mapping[str, nn.Module]) -> dict[str, int]:
    """Return how many series each role has, and how many parameters the modules.

    The training series of a corpus beyond memory are those of the whole, not of its sample.
    """
    split, corpus = material.split, material.corpus
    return {
        "train_series": len(split.train) if corpus is None else corpus.train_series,
        "validation_series": len(split.validation),
        "calibration_series": len(split.calibration),
        "parameters": sum(p.numel() for part in parts.values() for p in part.parameters()),
    }


def _share_of_rest(recipe: Recipe, number: int) -> float:
    """Return a stage's share of the time that is left when it begins."""
    shares = [stage.share for stage in recipe.stages[number:]]
    return shares[0] / sum(shares)


def _following(objective: Any, source: BatchSource, settings: TrainingConfig) -> float:
    """Return the cost of what follows a stage's training, in steps: passes without gradients."""
    passes = float(settings.recalibrate)
    if isinstance(objective, ScaleTokens):
        passes += source.validation_steps(1) + measured_steps(settings, source)
    return passes / 3


def _source_of(
    material: Material, view: View, settings: TrainingConfig, statistics: bool
) -> BatchSource:
    """Return the batches of a stage; statistics: whether its loss needs fair samples."""
    split, recipe = material.split, material.recipe
    order: Order = "random" if settings.batches == "random" else "buckets"
    if statistics:
        order = "whole"
    if material.corpus is not None:
        return StreamBatches(material.corpus, material.schema, settings, recipe.seed, order=order)
    roles = (split.train, split.validation)
    return pretraining_batches(view, *roles, recipe.data, settings, recipe.seed, order)


def stage_settings(recipe: Recipe, number: int) -> TrainingConfig:
    """Return the training of a stage: the recipe's, with its share of the length and its rate."""
    whole = sum(stage.share for stage in recipe.stages)
    share, training = recipe.stages[number].share / whole, recipe.training
    return training.model_copy(
        update={
            "lr": training.lr * recipe.stages[number].lr_factor,
            "steps": training.steps and max(1, round(training.steps * share)),
            "epochs": training.epochs * share,
            "minutes": training.minutes * share,
        }
    )


def _part_of(show: Watch, recipe: Recipe, number: int) -> Watch:
    """Return what shows the progress of a stage as that of all."""
    shares = np.array([stage.share for stage in recipe.stages])
    before, own = shares[:number].sum() / shares.sum(), shares[number] / shares.sum()
    return lambda one: show(replace(one, fraction=float(before + own * one.fraction)))


def _watched(probe: QuickProbe | None, made: Pretrained) -> Callable[[], Mapping[str, float]]:
    return lambda: probe(made) if probe else {}


def _note_few_windows(source: BatchSource, objective: ScaleTokens) -> None:
    codes = objective.config.quantiser.codes
    if isinstance(source, IndexedBatches) and len(source.train) < codes:
        log.warning(
            "%d windows for %d codes: many codes will stay unused, and windows may be copied; give "
            "more series, or --set stages.0.objective.quantiser.codes=%d",
            len(source.train), codes, max(2, len(source.train) // 4),
        )  # fmt: skip


def _note_far_values(recipe: Recipe, schema: Schema) -> None:
    own = schema.sampling
    if own is None or getattr(recipe.encoder, "scaling", "") != "standard":
        return
    if wide := made_wide(schema.variables, own.deviations, own.quartile_ranges):
        log.warning(
            "deviations of many quartile ranges, made by few far values: %s. What else is there is "
            "small beside them, and little is learned of it. Drop what is no measurement, or --set "
            "encoder.scaling=asinh",
            wide,
        )


def _note_long_series(view: View, limit: int) -> None:
    longest = int(view.lengths.max())
    if longest > limit:
        share = float((view.lengths > limit).mean())
        log.warning(
            "%.0f%% of the series have more than %d observations (longest %d); training cuts "
            "random windows of %d from them, embedding averages overlapping ones. "
            "--set training.max_tokens=N changes it",
            100 * share, limit, longest, limit,
        )  # fmt: skip
