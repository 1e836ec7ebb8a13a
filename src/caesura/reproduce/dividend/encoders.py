"""One encoder, pre-trained by an objective under an augmentation on a budget of tokens."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import nn

from caesura.data.config import Columns
from caesura.data.scaling import ValueScale
from caesura.data.schema import Sampling, Schema
from caesura.recipes import dividend
from caesura.recipes.build import build_encoder, build_objective
from caesura.recipes.presets import completed
from caesura.recipes.schema import Recipe, make_recipe
from caesura.reproduce.dividend.corpus import Origin, batches, corpus
from caesura.reproduce.dividend.sets import WINDOW
from caesura.reproduce.experiment import Context, Settings
from caesura.tasks.budget import operations_a_row, tokens_a_row
from caesura.training.checkpoint import load_tensors, save_tensors
from caesura.types import as_module

AUGMENTATIONS = ("none", "jitter", "crop", "dwt")


class DividendSettings(Settings):
    """Sizes; `steps` are those of an objective that reads each token once."""

    windows: int = 12_000
    origin: Origin = "mixed"
    width: int = 64
    depth: int = 3
    batch: int = 128
    steps: int = 1500
    lrs: tuple[float, ...] = (2e-4, 1e-3, 5e-3)
    trial: float = 1 / 3


SCHEMA = Schema(
    columns=Columns(),
    per_observation=False,
    channels=("",),
    value_names=("value",),
    time_kind="number",
    time_unit=1.0,
    scales=((ValueScale(),),),
    sampling=Sampling(rate_hz=1.0, window=WINDOW),
)
"""What a univariate window of 336 samples is to a recipe."""


def recipe_of(objective: str, view: str, settings: DividendSettings, seed: int) -> Recipe:
    """Return the complete recipe of a cell."""
    tree = dividend.recipe(
        objective, view=view, width=settings.width, depth=settings.depth, patch=dividend.PATCH
    )
    tree |= {"seed": seed, "data": {"rate": 1.0}}
    return completed(make_recipe(tree), SCHEMA)


def random_encoder(objective: str, settings: DividendSettings, seed: int) -> nn.Module:
    """Return the encoder as a pre-training by this objective and seed would begin."""
    return build_encoder(recipe_of(objective, "none", settings, seed), seed)


def pretrained(
    objective: str,
    view: str,
    lr: float,
    settings: DividendSettings,
    context: Context,
    share: float = 1.0,
) -> tuple[nn.Module, dict[str, float]]:
    """Train to the budget (a share of it) and return the encoder that survives, and its cost.

    Encoders of the whole budget are kept beside the results: the experiments of a study share
    them.
    """
    recipe = recipe_of(objective, view, settings, context.seed)
    kept = _kept_at(recipe, lr, settings, context)
    if share == 1 and kept.is_file():
        weights, found = load_tensors(kept)
        encoder = build_encoder(recipe, recipe.seed)
        as_module(encoder).load_state_dict(weights)
        return as_module(encoder), found
    windows = corpus(settings.origin, settings.windows, context.data)
    made = build_objective(recipe.stages[0], build_encoder(recipe, recipe.seed), recipe.seed)
    source = batches(windows, settings.batch, context.seed)
    sample = source.training(0, 0, 1)[0]
    own = tokens_a_row(made, sample)
    once = WINDOW // dividend.PATCH
    steps = max(1, round(share * settings.steps * once / own))
    training: dict[str, Any] = {
        "steps": steps, "lr": lr, "weight_decay": 0.05, "batch_tokens": settings.batch * WINDOW,
        "evaluate_every": max(1, steps // 4),
    }  # fmt: skip
    operations = operations_a_row(made, sample)
    state = context.train(made, source, training, f"{objective}-{view}-{lr:g}")
    cost = {
        "steps": float(steps),
        "tokens a window": own,
        "TFLOP": operations * settings.batch * steps / 1e12,
        "minutes": state.seconds / 60,
        "effective rank": state.history[-1].get("effective_rank", float("nan")),
    }
    trained = as_module(made.parts()["encoder"])
    if share == 1:
        save_tensors(kept, trained.state_dict(), cost)
    return trained, cost


def _kept_at(recipe: Recipe, lr: float, settings: DividendSettings, context: Context) -> Path:
    fields = ("windows", "origin", "batch", "steps")
    whole = [recipe.model_dump(mode="json"), lr, {name: getattr(settings, name) for name in fields}]
    text = json.dumps(whole, sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return context.folder_of("dividend-encoders") / f"{name}.safetensors"
