"""The trained modules of a run: built as its recipe describes, filled from its file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from caesura.errors import CheckpointError
from caesura.objectives.next_scale import NextScaleConfig
from caesura.objectives.supervised import SupervisedConfig, build_head
from caesura.recipes.build import build_decoder, build_encoder, build_prior, build_tokenizer
from caesura.recipes.schema import Recipe
from caesura.training.checkpoint import load_tensors, tensor_shapes, without_prefix
from caesura.types import PART_NAMES, as_encoder


def read_parts(recipe: Recipe, weights: Path) -> dict[str, nn.Module]:
    """Return the modules of a file of weights by name, ready to evaluate.

    A file that does not fit the recipe, in names or shapes, is a CheckpointError.
    """
    check_shapes(recipe, weights)
    tensors, meta = load_tensors(weights)
    parts = build_parts(recipe, _part_names(meta))
    for name, part in parts.items():
        part.load_state_dict(without_prefix(name, tensors), strict=True)
        part.eval()
    return parts


def check_shapes(recipe: Recipe, weights: Path) -> None:
    """Raise where a file of weights is not that of the recipe, before any memory is taken.

    So a recipe that asks for more than there is cannot fill the memory.
    """
    shapes = tensor_shapes(weights)
    names = sorted({name.partition("/")[0] for name in shapes}, key=_order)
    with torch.device("meta"):
        built = build_parts(recipe, names)
    wanted: dict[str, tuple[int, ...]] = {}
    for name, part in built.items():
        own = {key: tuple(tensor.shape) for key, tensor in part.state_dict().items()}
        wanted |= {f"{name}/{key}": shape for key, shape in own.items()}
    if shapes == wanted:
        return
    differs = sorted(k for k in shapes.keys() | wanted.keys() if shapes.get(k) != wanted.get(k))
    first = differs[0]
    raise CheckpointError(
        f"{weights} does not fit the recipe: {len(differs)} tensors differ, first {first!r}: "
        f"{shapes.get(first, 'absent')} in the file, {wanted.get(first, 'absent')} in the recipe"
    )


def _part_names(meta: Mapping[str, Any]) -> list[str]:
    names = meta.get("parts", [])
    if not isinstance(names, list) or not set(names) <= set(PART_NAMES):
        raise CheckpointError(
            f"weights name the parts {names!r}; known: {', '.join(PART_NAMES)}. This is no run"
        )
    return names


def _order(name: str) -> int:
    return PART_NAMES.index(name) if name in PART_NAMES else len(PART_NAMES)


def build_parts(recipe: Recipe, names: list[str]) -> dict[str, nn.Module]:
    """Build the named parts, untrained, in the shape that the recipe describes."""
    stage = recipe.stages[-1]
    parts: dict[str, nn.Module] = {}
    for name in sorted(names, key=_order):
        if name == "encoder":
            parts[name] = build_encoder(recipe, recipe.seed)
        elif name == "decoder":
            made_by = next((one for one in recipe.stages[::-1] if one.decoder is not None), stage)
            parts[name] = build_decoder(made_by, recipe.seed)
        elif name == "tokenizer":
            parts[name] = build_tokenizer(recipe)
        elif name == "prior" and isinstance(stage.objective, NextScaleConfig):
            parts[name] = build_prior(stage.objective, parts["encoder"], parts["tokenizer"])
        elif name == "head" and isinstance(stage.objective, SupervisedConfig):
            encoder = as_encoder(build_encoder(recipe, recipe.seed))
            parts[name] = build_head(stage.objective, encoder)
        else:
            raise CheckpointError(f"weights hold a part {name!r} that the recipe does not describe")
    return parts
