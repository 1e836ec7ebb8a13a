"""RoMAE's encoder: a Transformer over observations at continuous positions.

arXiv 2505.20535, sec. 3. Ours beside it: a learned channel embedding (the channel axis tells
where to find a channel, the embedding which one it is), and flags of unobserved elements.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.attend import causal_mask
from caesura.nn.sincos import sin_cos
from caesura.nn.summary import with_summary
from caesura.nn.transformer import Transformer, TransformerConfig, truncated_normal_
from caesura.signal.center import less_own_mean
from caesura.signal.patch import patch_grid
from caesura.signal.scale import token_scale
from caesura.types import Features, Grid, Level, Scale, Tokens


class PointTransformerConfig(TransformerConfig):
    """Sizes of the encoder.

    channels: entries of the channel embedding, looked up by the last position axis; 0: none.
    missing_flags: tell the encoder which elements of a token were not observed, for tokens
    of several values; without, 0 and "not measured" look alike.
    relative_scale: also feed each value less its channel's mean in the series, times this;
    0: off. For series that differ far more between than within, like stars of all
    magnitudes. The mean is over what the encoder sees: hidden values do not reach it.
    absolute_positions: add sines and cosines of the positions; with rope_fraction 0 they are
    the only ones (the paper's comparison).
    patch: above 0, it reads a regular grid, cut into patches of so many samples.
    normalise: "window" subtracts, of each row and channel, the mean of what the encoder sees
    and divides by its deviation (patches alone): hidden samples have no part in it.
    order: "causal" lets a token see earlier ones alone, in the order of the row, which from the
    data door is that of time; normalisation then takes what was seen up to each token.
    """

    type: Literal["point_transformer"] = "point_transformer"
    position_axes: int = Field(default=1, gt=0, le=64)
    values_per_token: int = Field(default=1, gt=0, le=2**20)
    cls: bool = True
    channels: int = Field(default=0, ge=0, le=10**7)
    missing_flags: bool = False
    relative_scale: float = Field(default=0.0, ge=0)
    absolute_positions: bool = False
    patch: int = Field(default=0, ge=0, le=2**16)
    normalise: Literal["off", "window"] = "off"
    order: Literal["full", "causal"] = "full"

    @model_validator(mode="after")
    def _can_normalise(self) -> PointTransformerConfig:
        if self.normalise == "window" and not self.patch:
            raise ValueError(
                "normalise=window needs patches of a grid; set patch, or relative_scale for "
                "observations at any times"
            )
        return self


class PointTransformer(nn.Module):
    """Encodes Tokens to one level of features and, with `cls`, a summary.

    Positions are real numbers, at least 0 from the data door. [CLS] has position 0 on every
    axis and tokens are moved by 1. Without [CLS] a shift of all positions changes nothing.
    """

    reads_tokens = True

    def __init__(self, config: PointTransformerConfig) -> None:
        super().__init__()
        self.config = config
        if config.patch and config.values_per_token % config.patch:
            raise RecipeError(
                f"a token of {config.values_per_token} values is no whole number of channels of "
                f"{config.patch} samples; leave values_per_token to the data"
            )
        inputs = config.values_per_token * (2 if config.relative_scale else 1)
        self.projection = nn.Linear(inputs, config.width)
        self.flags = (
            nn.Linear(config.values_per_token, config.width, bias=False)
            if config.missing_flags
            else None
        )
        self.channel_embedding = (
            nn.Embedding(config.channels, config.width) if config.channels else None
        )
        self.cls = nn.Parameter(torch.zeros(config.width)) if config.cls else None
        self.transformer = Transformer(config, config.position_axes)
        truncated_normal_(self)
        if config.patch:
            # a constant window is 0 after normalisation; at 0 exactly every norm of the stack
            # multiplies the gradient by 1 / sqrt(eps), and the first step overflows
            nn.init.trunc_normal_(self.projection.bias, std=0.1, a=-0.2, b=0.2)
        if self.cls is not None:
            nn.init.trunc_normal_(self.cls, std=0.02, a=-0.04, b=0.04)

    @property
    def consumes(self) -> type[Grid] | type[Tokens]:
        """A grid where it cuts patches, else tokens."""
        return Grid if self.config.patch else Tokens

    @property
    def order(self) -> Literal["full", "causal"]:
        """Whether a token sees all others or earlier ones alone."""
        return self.config.order

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of the one level."""
        return (self.config.width,)

    @property
    def summary_width(self) -> int:
        """Width of [CLS], 0 without it."""
        return self.config.width if self.config.cls else 0

    def tokenise(self, inputs: Grid | Tokens) -> Tokens:
        """Return Tokens as they are, and the patches of a Grid."""
        if isinstance(inputs, Tokens):
            return inputs
        if not self.config.patch:
            raise TypeError("a PointTransformer without patches reads Tokens; set patch for a Grid")
        return patch_grid(inputs, self.config.patch)

    def forward(self, inputs: Grid | Tokens, every_layer: bool = False) -> Features:
        """Encode; with `every_layer` the levels are the outputs of the layers, first to last."""
        rate = inputs.rate_hz if isinstance(inputs, Grid) else None
        tokens = self.tokenise(inputs)
        scale = self._scale(tokens)
        x = self._embed(tokens, scale)
        positions, valid = tokens.positions, tokens.valid
        if self.cls is not None:
            x, positions, valid = with_summary(self.cls.expand(x.shape[0], -1), x, positions, valid)
        mask = None
        if self.order == "causal":
            mask = causal_mask(valid, summary=self.cls is not None)
        layers = self.transformer(x, positions, valid, every_layer=every_layer, mask=mask)
        first = 0 if self.cls is None else 1
        hop = None if rate is None else self.config.patch / rate
        levels = tuple(
            Level(layer[:, first:], tokens.valid, tokens.positions, hop) for layer in layers
        )
        return Features(levels, None if self.cls is None else layers[-1][:, 0], scale)

    def _scale(self, tokens: Tokens) -> Scale | None:
        if self.config.normalise == "off":
            return None
        channels = self.config.values_per_token // self.config.patch
        return token_scale(tokens, channels, causal=self.order == "causal")

    def _embed(self, inputs: Tokens, scale: Scale | None) -> Tensor:
        values = inputs.values
        if scale is not None:
            values = torch.where(inputs.observed, scale.normalised(values), 0.0)
        if self.config.relative_scale:
            relative = self.config.relative_scale * less_own_mean(inputs, self.config.channels)
            values = torch.cat([values, relative], dim=-1)
        x: Tensor = self.projection(values.to(self.projection.weight.dtype))
        if self.flags is not None:
            x = x + self.flags((~inputs.observed).to(x.dtype))
        if self.channel_embedding is not None:
            x = x + self.channel_embedding(inputs.positions[..., -1].round().long())
        if self.config.absolute_positions:
            x = x + sin_cos(inputs.positions, self.config.width)
        # the stream that all layers add to stays in float32 under bf16 autocast
        return x.to(self.projection.weight.dtype)
