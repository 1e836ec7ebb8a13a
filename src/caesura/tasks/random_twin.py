"""The control of every representation: the same encoder, never trained."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from caesura.data.schema import Schema
from caesura.recipes.build import build_encoder
from caesura.recipes.schema import Recipe
from caesura.tasks.needs import Trained, need
from caesura.training.inference import device_of


@dataclass(frozen=True)
class RandomTwin:
    """A run's recipe and schema with a freshly initialised encoder."""

    recipe: Recipe
    schema: Schema
    parts: dict[str, nn.Module]


def random_twin(run: Trained, seed: int) -> RandomTwin:
    """Return the run with its encoder drawn anew, from another seed than its own."""
    other = run.recipe.seed + 10_007 + seed
    encoder = build_encoder(run.recipe, other).to(device_of(need(run, "encoder")))
    return RandomTwin(run.recipe, run.schema, {"encoder": encoder})
