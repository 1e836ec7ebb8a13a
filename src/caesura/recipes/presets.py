"""Recipes by name, and how the data completes one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel

from caesura.data.schema import Sampling, Schema
from caesura.encoders.conv_pyramid import ConvPyramidConfig
from caesura.errors import RecipeError
from caesura.objectives.masked_grid import MaskedGridConfig
from caesura.objectives.sampling_times import SamplingTimesConfig
from caesura.objectives.scale_tokens import ScaleTokensConfig
from caesura.objectives.sum import SumConfig
from caesura.recipes import dividend, himae, romae, timemar
from caesura.recipes.build import build_encoder
from caesura.recipes.schema import Recipe, Stage, read_recipe
from caesura.recipes.tables import ENCODERS, lookup
from caesura.types import Grid, as_encoder

PRESETS: dict[str, Callable[[], dict[str, Any]]] = {
    "romae": romae.recipe,
    "romae-tiny": lambda: romae.paper_recipe("tiny"),
    "romae-small": lambda: romae.paper_recipe("small"),
    "romae-base": lambda: romae.paper_recipe("base"),
    "himae": himae.recipe,
    "himae-small": lambda: himae.recipe("small"),
    "timemar": timemar.recipe,
    "timemar-large": lambda: timemar.recipe("large"),
    **dividend.presets(),
}

Config = TypeVar("Config", bound=BaseModel)

log = logging.getLogger("caesura")
_LEAST_WITHIN = 1e-12
"""Deviation within series, in those of channels, up to which it is float64's rounding."""
_LEVELS_RULE = 0.25
"""Share of the variance within series below which values are also fed less their own mean."""


def find_recipe(name: str) -> dict[str, Any]:
    """Return the tree of a preset or of a TOML file."""
    preset = "mae" if name == "masked_tokens" else name.replace("_", "-")  # as studies say
    if preset in PRESETS:
        return PRESETS[preset]()
    if name.endswith(".toml"):
        return read_recipe(Path(name))
    raise RecipeError(
        f"unknown recipe {name!r}; known: {', '.join(PRESETS)}, or the path of a .toml file"
    )


def reads_grids(recipe: Recipe) -> bool:
    """Say whether the recipe's encoder reads a regular grid."""
    config: Any = recipe.encoder
    patches = bool(getattr(config, "patch", 0))
    return patches or lookup(ENCODERS, "encoder", config.type)[0].consumes is Grid


def completed(recipe: Recipe, schema: Schema) -> Recipe:
    """Fill in what follows from the data, wherever the recipe does not set it.

    A channel embedding beside the channel axis is on by default: in trials the interpolation
    error was .407 with both, .440 and .680 with either alone (docs/log.md).
    """
    if schema.sampling is not None and bool(getattr(recipe.encoder, "patch", 0)):
        recipe = _with_patches_that_fit(recipe, schema.sampling.window)
    patch = int(getattr(recipe.encoder, "patch", 0))
    if schema.sampling is not None and not patch:
        return _on_grid(recipe, schema, schema.sampling)
    views: dict[str, Any]
    data: dict[str, Any]
    if schema.sampling is not None:
        size = patch * len(schema.variables)
        shape = {"position_axes": 1, "values_per_token": size, "channels": 0}
        views = {"missing_flags": False}
        data = {"rate": schema.sampling.rate_hz}
    else:
        shape = {
            "position_axes": schema.position_axes,
            "values_per_token": len(schema.value_names),
            "channels": len(schema.channels) if schema.position_axes > 1 else 0,
        }
        within = schema.within_deviation
        level = within > _LEAST_WITHIN and within**2 < _LEVELS_RULE
        views = {
            "missing_flags": len(schema.value_names) > 1,
            "relative_scale": float(f"{1 / within:.3g}") if level else 0.0,
        }
        kind = "observation" if schema.per_observation else "step"
        data = {"time_unit": schema.time_unit, "tokens": kind}
    encoder = _filled(recipe.encoder, shape | views)
    reads = {name: getattr(encoder, name) for name in (*shape, "absolute_positions")}
    with torch.device("meta"):  # what the encoder itself declares, without taking memory
        built = build_encoder(recipe.model_copy(update={"encoder": encoder}), 0)
    width = as_encoder(built).widths[-1]
    stages = []
    for stage in recipe.stages:
        decoder = stage.decoder
        if decoder is not None:
            likelihood = getattr(stage.objective, "likelihood", "squared")
            shapes = {"predicts": "value" if likelihood == "squared" else "normal"}
            decoder = _filled(decoder, reads | shapes | {"encoder_width": width})
        objective = _shaped(stage.objective, shape)
        stages.append(stage.model_copy(update={"decoder": decoder, "objective": objective}))
    read = recipe.data.model_copy(update=data)
    return recipe.model_copy(update={"encoder": encoder, "stages": tuple(stages), "data": read})


def _with_patches_that_fit(recipe: Recipe, window: int) -> Recipe:
    """Return a recipe whose patches are a fourth of a window where that holds less than two: of
    one patch nothing can be hidden, and nothing follows it."""
    encoder: Any = recipe.encoder
    if window >= 2 * encoder.patch:
        return recipe
    if window < 2:
        raise RecipeError("windows of 1 step have no parts to learn from; give --window 2 or more")
    patch = max(1, window // 4)
    log.warning(
        "windows of %d steps hold less than two patches of %d: patches are of %d; --window or "
        "--set encoder.patch changes it",
        window,
        encoder.patch,
        patch,
    )
    return recipe.model_copy(update={"encoder": encoder.model_copy(update={"patch": patch})})


def _on_grid(recipe: Recipe, schema: Schema, sampling: Sampling) -> Recipe:
    """Fill in channels, statistics and the decoder's shape for a model of a grid."""
    values: dict[str, Any] = {"channels": len(schema.variables)}
    if getattr(recipe.encoder, "statistics", "fixed") == "fixed":
        bent = getattr(recipe.encoder, "scaling", "standard") == "asinh"
        center, spread = sampling.means, sampling.deviations
        if bent:
            center, spread = sampling.medians, sampling.quartile_ranges
        units = sampling.units
        centers = units.model(np.array(center)[:, None])[:, 0]
        spreads = np.array(spread) / units.spread[:, 0]
        values |= {"center": tuple(centers.tolist()), "spread": tuple(spreads.tolist())}
    encoder = _filled(recipe.encoder, values | timemar.shape_of(sampling.window, sampling.binned))
    if isinstance(encoder, ConvPyramidConfig):
        encoder = encoder.model_copy(update=himae.shape_of(encoder, sampling.window))
    own = encoder.model_dump(exclude={"type"})
    timed = any(isinstance(stage.objective, SamplingTimesConfig) for stage in recipe.stages)
    stages = []
    for stage in recipe.stages:
        decoder = stage.decoder
        if decoder is not None:
            whole = getattr(stage.objective, "scale_from", "") == "window"
            bounded = whole and own["kind"] == "min-max"
            shared = type(decoder).model_fields
            decoder = decoder.model_copy(update={k: v for k, v in own.items() if k in shared})
            shape = {"output": "tanh" if bounded else "linear", "presence": sampling.gaps}
            decoder = _filled(decoder, shape)
        objective = _filled(stage.objective, {"conditions": schema.conditions})
        if isinstance(objective, MaskedGridConfig):
            himae.check_patches(objective, sampling.rate_hz, sampling.window)
        if isinstance(objective, ScaleTokensConfig):
            again = {"again": timemar.more_codes(own["channels"], own["halvings"])}
            book = objective.quantiser.model_copy(update={"width": own["latent"]})
            book = _filled(book, again)
            objective = objective.model_copy(update={"quantiser": book})
        stages.append(stage.model_copy(update={"decoder": decoder, "objective": objective}))
        tokens = isinstance(objective, ScaleTokensConfig) and getattr(decoder, "presence", False)
        if tokens and not timed:  # the recipe of a run has it already
            stages.append(Stage.model_validate(timemar.TIMES))
    read: dict[str, Any] = {"rate": sampling.rate_hz}
    if recipe.data.own_rate:  # said in seconds from here on
        read |= {"own_rate": False, "window": sampling.window / sampling.rate_hz}
    data = recipe.data.model_copy(update=read)
    return recipe.model_copy(update={"encoder": encoder, "stages": tuple(stages), "data": data})


def _shaped(objective: BaseModel, shape: dict[str, Any]) -> BaseModel:
    """Tell an objective, or each term of a hybrid, what a token is."""
    if not isinstance(objective, SumConfig):
        return _filled(objective, shape)
    terms = [
        term.model_copy(update={"objective": _filled(term.objective, shape)})
        for term in objective.terms
    ]
    return objective.model_copy(update={"terms": tuple(terms)})


def _filled(config: Config, values: dict[str, Any]) -> Config:
    """Set the fields that the user left alone, as far as the config has them."""
    own = type(config).model_fields
    changed = {k: v for k, v in values.items() if k in own and k not in config.model_fields_set}
    return config.model_copy(update=changed)


_MACHINE = (
    "max_tokens",
    "precision",
    "products",
    "plain_attention",
    "batches",
    "compile",
    "threads",
)


_FROM_PRETRAINED = {"epochs": 8, "lr": 5e-5}
_FROM_SCRATCH = {"epochs": 20, "lr": 5e-4}
NEW_HEAD = (
    "stages.0.objective.start=random",
    "stages.0.objective.statistics=0",
    "stages.0.objective.class_weights=off",
)
"""Settings of a fine-tuning as published: a head drawn anew, that reads the features alone."""


def finetune_recipe(
    pretrained: Recipe, start_from: str, *, from_scratch: bool = False
) -> dict[str, Any]:
    """Return the recipe of a fine-tuning that starts from a run; rates by trials (log.md).

    It begins with a linear model of the frozen features, which steps of 5e-4 destroy within the
    first epochs; a control from scratch needs these, and longer. Runs of a grid, which are exported
    to read windows alone, have no statistics beside them.
    """
    tree = pretrained.model_dump(mode="json", exclude_none=True)
    tree["name"] = f"{pretrained.name.removesuffix('-finetuned')}-finetuned"
    on_grid = reads_grids(pretrained)
    objective = {
        "type": "supervised",
        "start": "linear",
        "statistics": 0 if on_grid else -1,
        "limit": 5.0,
        "class_weights": "auto",
    }
    tree["stages"] = [{"objective": objective, "start_from": start_from}]
    kept = {k: tree["training"][k] for k in _MACHINE}
    tree["training"] = {
        **(_FROM_SCRATCH if from_scratch else _FROM_PRETRAINED),
        "patience": 8,
        "batch_tokens": min(pretrained.training.batch_tokens, 16_000) if on_grid else 2048,
        "weight_decay": 0.05,
        **kept,
    }
    return tree
