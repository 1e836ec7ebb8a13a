"""A decoder that computes the queried places only: they read the context and leave it as it is.

RoMAE's decoder (`decoders.point_transformer`) sends all observations through its layers again,
though only the mask tokens' outputs are used. Here a layer is cross-attention and an MLP on
the queries alone. Ours; the paper has none.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.attend import padding_mask
from caesura.nn.cross import CrossBlock
from caesura.nn.heads import LinearHead
from caesura.nn.norm import RMSNorm
from caesura.nn.rope import AxialRope
from caesura.nn.sincos import sin_cos
from caesura.nn.summary import CLS_GAP, with_summary
from caesura.nn.transformer import TransformerConfig, truncated_normal_
from caesura.types import Features, Tokens


class CrossDecoderConfig(TransformerConfig):
    """Sizes of the decoder; fields as in `decoders.point_transformer`."""

    type: Literal["cross_attention"] = "cross_attention"
    depth: int = Field(default=2, ge=1)
    encoder_width: int = Field(default=180, gt=0, le=65_536)
    position_axes: int = Field(default=1, gt=0, le=64)
    values_per_token: int = Field(default=1, gt=0, le=2**20)
    channels: int = Field(default=0, ge=0, le=10**7)
    predicts: Literal["value", "normal"] = "value"
    absolute_positions: bool = False


class CrossDecoder(nn.Module):
    """Predicts the values at a query's positions from the last level and the summary.

    Queries never see one another.
    """

    def __init__(self, config: CrossDecoderConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise RecipeError(
                f"width {config.width} does not split into {config.heads} heads; choose others"
            )
        self.config = config
        self.enter = nn.Linear(config.encoder_width, config.width)
        self.norm = RMSNorm(config.width)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.channel_embedding = (
            nn.Embedding(config.channels, config.width) if config.channels else None
        )
        self.rope = AxialRope(
            config.width // config.heads,
            config.position_axes,
            config.rope_fraction,
            config.rope_base,
        )
        self.blocks = nn.ModuleList([CrossBlock(config) for _ in range(config.depth)])
        outputs = config.values_per_token * (2 if config.predicts == "normal" else 1)
        self.head = LinearHead(config.width, outputs)
        truncated_normal_(self)
        # all queries are equal before they attend, and a norm of zeros has no gradient
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.04, b=0.04)

    def forward(self, features: Features, query: Tokens) -> Float[Tensor, "batch tokens size"]:
        """Predict (batch, queries, values per token); the query's values are never read."""
        level = features.levels[-1]
        context = self.enter(level.features)
        x = self.mask_token.expand(*query.valid.shape, -1)
        if self.config.absolute_positions:
            context = context + sin_cos(level.positions, self.config.width)
            x = x + sin_cos(query.positions, self.config.width)
        places, valid, asked_at = level.positions, level.valid, query.positions
        if features.summary is not None:
            summary = self.enter(features.summary)
            context, places, valid = with_summary(summary, context, places, valid)
            asked_at = asked_at + CLS_GAP
        if self.channel_embedding is not None:
            x = x + self.channel_embedding(query.positions[..., -1].round().long())
        context, mask = self.norm(context), padding_mask(valid)
        angles, own = self.rope(asked_at), self.rope(places)
        for block in self.blocks:
            x = block(x, context, mask, angles, own)
        predicted: Tensor = self.head(x)
        return predicted
