"""Builds modules from a recipe that is complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.quantise import ScaleQuantiser
from caesura.nn.scale_prior import ScalePrior
from caesura.objectives.denoise import DenoiseConfig
from caesura.objectives.distil import Distil, DistilConfig
from caesura.objectives.jepa import JepaConfig
from caesura.objectives.masked_grid import MaskedGridConfig
from caesura.objectives.masked_tokens import MaskedTokensConfig
from caesura.objectives.next_patch import NextPatchConfig
from caesura.objectives.next_scale import NextScale, NextScaleConfig
from caesura.objectives.sampling_times import SamplingTimes, SamplingTimesConfig, TimedDecoder
from caesura.objectives.scale_tokens import ScaleTokensConfig
from caesura.objectives.sum import SumConfig
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.objectives.token_regression import TokenRegressionConfig
from caesura.recipes.schema import Recipe, Stage
from caesura.recipes.tables import DECODERS, ENCODERS, OBJECTIVES, lookup
from caesura.signal.view_config import check_view
from caesura.types import Encoder, Grid, as_encoder

_ON_TOKENS = (MaskedTokensConfig, NextPatchConfig, DenoiseConfig, JepaConfig)
"""Objectives that hide, shift or choose tokens."""


def needs_two_tokens(recipe: Recipe) -> bool:
    """Say whether a stage predicts tokens of a series from others, of which one has none."""
    terms = [
        term
        for stage in recipe.stages
        for term in (
            [one.objective for one in stage.objective.terms]
            if isinstance(stage.objective, SumConfig)
            else [stage.objective]
        )
    ]
    return any(isinstance(one, _ON_TOKENS) for one in terms)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw initial weights from a seed; torch's generator is as before outside the block."""
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        yield


def check_buildable(recipe: Recipe) -> None:
    """Raise a RecipeError where a stage cannot be built; no memory is taken."""
    before: Mapping[str, nn.Module] | None = None
    with torch.device("meta"):
        for stage in recipe.stages:
            before = build_objective(stage, build_encoder(recipe, 0), 0, before).parts()


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


def build_tokenizer(recipe: Recipe) -> ScaleQuantiser:
    """Return a new codebook of the recipe's stage of tokens; none is a RecipeError."""
    for stage in recipe.stages:
        if isinstance(stage.objective, ScaleTokensConfig):
            return ScaleQuantiser(stage.objective.quantiser)
    raise RecipeError("no stage makes tokens; a recipe of `timemar` has one of type scale_tokens")


def build_prior(config: NextScaleConfig, encoder: Any, tokenizer: Any) -> ScalePrior:
    """Return a new prior over the codes of a dual-path encoder and its codebook."""
    own, codes = encoder.config, tokenizer.config.codes
    return ScalePrior(config, codes, own.latent, config.conditions, own.channels, own.halvings)


def build_objective(
    stage: Stage, encoder: nn.Module, seed: int, before: Mapping[str, nn.Module] | None = None
) -> Any:
    """Return the stage's objective around an encoder; `before`: parts of the stage before it."""
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
        if isinstance(config, NextScaleConfig):
            return _next_scale(config, before or {})
        if isinstance(config, SamplingTimesConfig):
            return _sampling_times(config, before or {})
        if isinstance(config, MaskedTokensConfig | MaskedGridConfig | ScaleTokensConfig):
            return make(encoder, build_decoder(stage, seed), config)
        return make(encoder, config)


def _next_scale(config: NextScaleConfig, before: Mapping[str, nn.Module]) -> NextScale:
    encoder, tokenizer, decoder = _tokenising(config.type, before)
    prior = build_prior(config, encoder, tokenizer)
    return NextScale(encoder, tokenizer, decoder, prior, config)


def _sampling_times(config: SamplingTimesConfig, before: Mapping[str, nn.Module]) -> SamplingTimes:
    encoder, tokenizer, decoder = _tokenising(config.type, before)
    if not isinstance(decoder, TimedDecoder) or decoder.time_prior() is None:
        raise RecipeError(
            "objective 'sampling_times' needs a decoder that says what is measured; set its "
            "presence=true"
        )
    return SamplingTimes(encoder, tokenizer, decoder, config)


def _tokenising(
    name: str, before: Mapping[str, nn.Module]
) -> tuple[Encoder, ScaleQuantiser, nn.Module]:
    """Return encoder, codebook and decoder of the stage before; others are a RecipeError."""
    missing = [part for part in ("encoder", "tokenizer", "decoder") if part not in before]
    if missing:
        raise RecipeError(
            f"objective {name!r} needs a {missing[0]}: a stage of scale_tokens comes before it"
        )
    encoder, tokenizer = as_encoder(before["encoder"]), before["tokenizer"]
    if not isinstance(tokenizer, ScaleQuantiser):
        raise RecipeError(f"objective {name!r} with a tokenizer {type(tokenizer).__name__}")
    return encoder, tokenizer, before["decoder"]


def _check_fit(config: Any, encoder: Encoder) -> None:
    """Raise where an encoder cannot serve an objective, or its augmentation the data."""
    regular = encoder.consumes is Grid
    if isinstance(config, MaskedGridConfig) and encoder.reads_tokens:
        kind = "patches of a grid" if regular else "tokens"
        raise RecipeError(
            f"objective {config.type!r} with an encoder that reads {kind}; choose 'masked_tokens'"
        )
    if isinstance(config, ScaleTokensConfig) and not hasattr(encoder, "components"):
        raise RecipeError(
            "objective 'scale_tokens' needs an encoder that splits series; choose 'dual_path'"
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
