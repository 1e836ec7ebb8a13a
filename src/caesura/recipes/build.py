"""Builds modules from a recipe that is complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.objectives.denoise import DenoiseConfig
from caesura.objectives.distil import Distil, DistilConfig
from caesura.objectives.jepa import JepaConfig
from caesura.objectives.masked_grid import MaskedGridConfig
from caesura.objectives.masked_tokens import MaskedTokensConfig
from caesura.objectives.next_patch import NextPatchConfig
from caesura.objectives.sum import SumConfig
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.objectives.token_regression import TokenRegressionConfig
from caesura.recipes.schema import Recipe, Stage
from caesura.recipes.tables import DECODERS, ENCODERS, OBJECTIVES, lookup
from caesura.signal.view_config import check_view
from caesura.types import Encoder, Grid, as_encoder

_ON_TOKENS = (MaskedTokensConfig, NextPatchConfig, DenoiseConfig, JepaConfig)
"""Objectives that hide, shift or choose tokens."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights from a seed; torch's generator is as before outside the block."""
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        yield


def build_encoder(recipe: Recipe, seed: int) -> nn.Module:
    """Return a new encoder with weights drawn from `seed`."""
    config: Any = recipe.encoder
    make, _ = lookup(ENCODERS, "encoder", config.type)
    with seeded(seed):
        module: nn.Module = make(config)
    return module


def build_decoder(stage: Stage, seed: int) -> nn.Module:
    """Return a new decoder; a stage without one is a RecipeError."""
    config: Any = stage.decoder
    if config is None:
        raise RecipeError("this stage has no decoder; add stages.0.decoder with a type")
    make, _ = lookup(DECODERS, "decoder", config.type)
    with seeded(seed + 1):
        module: nn.Module = make(config)
    return module


def build_objective(stage: Stage, encoder: nn.Module, seed: int) -> Any:
    """Return the stage's objective around an encoder."""
    config: Any = stage.objective
    make, _ = lookup(OBJECTIVES, "objective", config.type)
    if isinstance(config, SupervisedConfig):
        raise RecipeError("a supervised stage needs labels; use `caesura finetune`")
    if isinstance(config, DistilConfig):
        raise RecipeError("a distilling stage needs a teacher; use `caesura distil`")
    if isinstance(config, TokenRegressionConfig):
        raise RecipeError(
            "token_regression needs a target for each token, which no table has; build it in "
            "Python, with batches of `caesura.training.indexed`"
        )
    _check_fit(config, as_encoder(encoder))
    with seeded(seed + 2):
        if isinstance(config, SumConfig):
            terms = [stage.model_copy(update={"objective": t.objective}) for t in config.terms]
            return make(encoder, [build_objective(term, encoder, seed) for term in terms], config)
        if isinstance(config, MaskedTokensConfig | MaskedGridConfig):
            return make(encoder, build_decoder(stage, seed), config)
        return make(encoder, config)


def _check_fit(config: Any, encoder: Encoder) -> None:
    """Raise where an encoder cannot serve an objective, or its augmentation the data."""
    regular = encoder.consumes is Grid
    if isinstance(config, MaskedGridConfig) and encoder.reads_tokens:
        kind = "patches of a grid" if regular else "tokens"
        raise RecipeError(
            f"objective {config.type!r} with an encoder that reads {kind}; choose 'masked_tokens'"
        )
    if isinstance(config, _ON_TOKENS) and not encoder.reads_tokens:
        raise RecipeError(
            f"objective {config.type!r} leaves tokens out, which an encoder that reads a grid "
            "whole cannot do; choose 'masked_grid', 'lejepa', 'dino' or 'vicreg', or an encoder "
            "of patches (point_transformer with patch)"
        )
    view = getattr(config, "view", None)
    if view is not None:
        check_view(view, regular)


def build_distil(config: DistilConfig, encoder: nn.Module, seed: int) -> Distil:
    """Return a distilling objective with a new linear map around a student."""
    with seeded(seed + 2):
        return Distil(as_encoder(encoder), config)


def build_supervised(
    config: SupervisedConfig, encoder: nn.Module, balance: Tensor, seed: int
) -> Supervised:
    """Return a fine-tuning objective with a new head around an encoder."""
    with seeded(seed + 2):
        return Supervised(as_encoder(encoder), config, balance)
