"""Masked autoencoding of tokens: hide most observations, predict them at their positions.

RoMAE, arXiv 2505.20535, sec. 3.1. The published loss averages over padding too, so that it
shrinks with the padding; ours is the mean over hidden, observed elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.likelihood import LIKELIHOODS, Likelihood
from caesura.signal.mask import MaskKind, Ratio, draw_mask, keep_indices
from caesura.signal.noise import keyed_uniform
from caesura.signal.scale import row_deviation
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import draw_view
from caesura.types import Batch, Decoder, Encoder, Loss, Scale, Tokens, as_module


class MaskedTokensConfig(BaseModel):
    """Settings of masked autoencoding; 0.75 is RoMAE's ratio for images, audio and UEA.

    normalise_targets: predict each patch less its mean, over its deviation (for patches;
    RoMAE uses it for images and audio).
    mask_ratio_to: above 0, each row's ratio is uniform between `mask_ratio` and this.
    likelihood: "squared" (the paper); "gaussian" and "crps" train a mean and a deviation, by
    the normal's log-likelihood or its continuous ranked probability score. The decoder must
    predict both (`predicts = "normal"`; a recipe sees to it).
    view: an augmentation of what is seen; what is predicted stays clean.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["masked_tokens"] = "masked_tokens"
    mask_ratio: float = Field(default=0.75, gt=0, lt=1)
    mask_ratio_to: float = Field(default=0.0, ge=0, lt=1)
    mask: MaskKind = "uniform"
    likelihood: Likelihood = "squared"
    normalise_targets: bool = False
    view: ViewConfig = ViewConfig()

    @model_validator(mode="after")
    def _ratios_in_order(self) -> MaskedTokensConfig:
        if self.mask_ratio_to and self.mask_ratio_to <= self.mask_ratio:
            raise ValueError(
                f"mask_ratio_to {self.mask_ratio_to:g} is not above mask_ratio "
                f"{self.mask_ratio:g}; choose a larger one, or 0 for a fixed ratio"
            )
        return self


class MaskedTokens(nn.Module):
    """loss = sum(w (prediction - value)^2) / sum(w) over hidden and observed elements.

    Values on the scale of what is seen, where the encoder normalises.
    w is the inputs' weight (trust from observation errors), 1 where there is none. A row
    with one token hides none; a batch with nothing hidden has loss 0 and count 0.
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, decoder: Decoder, config: MaskedTokensConfig) -> None:
        super().__init__()
        self.encoder, self.decoder, self.config = encoder, decoder, config

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch under masks drawn from `rng`, keyed by series."""
        config = self.config
        view = draw_view(batch.inputs, batch.index, rng, config.view)
        tokens, shown = (self.encoder.tokenise(one) for one in (view.clean, view.seen))
        hidden = draw_mask(tokens, batch.index, rng, self._ratio(batch, rng), config.mask)
        seen = shown.select(*keep_indices(shown.valid & ~hidden))
        asked = tokens.select(*keep_indices(hidden))
        features = self.encoder(seen)
        predicted = self.decoder(features, asked.without_values())
        goal = normalised(asked) if config.normalise_targets else asked.values
        if features.scale is not None and not config.normalise_targets:
            # in deviations of the whole row: beside that of a nearly constant visible part a
            # hidden spike would be worth thousands. The unit weighs, no prediction reads it
            unit = row_deviation(tokens)
            goal = (goal - features.scale.center) / unit
            predicted = _in_units(predicted, features.scale, unit)
        weight = asked.observed.float()
        if asked.weight is not None:
            weight = weight * asked.weight
        # float32: a mean over thousands of elements in bf16 would lose digits
        predicted, goal, count = predicted.float(), goal.float(), weight.sum()
        size = goal.shape[-1]
        _check_outputs(predicted.shape[-1], size, config.likelihood)
        squares = (predicted[..., :size] - goal).square() * weight
        mse = squares.sum() / count.clamp(min=1e-9)
        if config.likelihood == "squared":
            return Loss(mse, count, parts={"mse": mse.detach()})
        loss = LIKELIHOODS[config.likelihood](predicted[..., :size], predicted[..., size:], goal)
        total = (loss * weight).sum() / count.clamp(min=1e-9)
        return Loss(total, count, parts={"mse": mse.detach()})

    def _ratio(self, batch: Batch, rng: torch.Generator) -> Ratio:
        """Return the mask ratio, of each row where it varies."""
        low, high = self.config.mask_ratio, self.config.mask_ratio_to
        if high <= low:
            return low
        return low + (high - low) * keyed_uniform(rng, batch.index, 1)[:, 0]

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder and the decoder survive."""
        return {"encoder": as_module(self.encoder), "decoder": as_module(self.decoder)}


def _in_units(predicted: Tensor, scale: Scale, unit: Tensor) -> Tensor:
    """Return predictions less the centre, in units of the row: far from 0 it would take digits."""
    size = scale.center.shape[-1]
    mean, rest = predicted[..., :size].float(), predicted[..., size:].float()
    mean = mean * scale.spread / unit
    return torch.cat([mean, rest], -1) if rest.shape[-1] else mean


def _check_outputs(found: int, size: int, likelihood: Likelihood) -> None:
    wanted = size if likelihood == "squared" else 2 * size
    if found != wanted:
        kind = "value" if likelihood == "squared" else "normal"
        raise RecipeError(
            f"the decoder gives {found} numbers for a token of {size} values; likelihood "
            f"{likelihood!r} needs {wanted}: set stages.0.decoder.predicts={kind}"
        )


def normalised(tokens: Tokens, eps: float = 1e-6) -> Float[Tensor, "batch tokens size"]:
    """Return each token's observed values less their mean, over their unbiased deviation."""
    real = tokens.observed.to(tokens.values.dtype)
    count = real.sum(-1, keepdim=True)
    mean = (tokens.values * real).sum(-1, keepdim=True) / count.clamp(min=1)
    centred = (tokens.values - mean) * real
    variance = centred.square().sum(-1, keepdim=True) / (count - 1).clamp(min=1)
    return centred / (variance + eps).sqrt()
