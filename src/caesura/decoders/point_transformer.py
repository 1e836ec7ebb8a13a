"""RoMAE's decoder: mask tokens at the queried positions attend to the encoded observations.

arXiv 2505.20535, sec. 3.1. The paper lets mask tokens see one another; then the answer at
one time depends on what else is asked, and the times of hidden observations inform it. Ours
see the context and themselves; `queries="joint"` restores the paper's way.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from caesura.nn.heads import LinearHead
from caesura.nn.sincos import sin_cos
from caesura.nn.summary import with_summary
from caesura.nn.transformer import Transformer, TransformerConfig, truncated_normal_
from caesura.types import Features, Tokens


class PointDecoderConfig(TransformerConfig):
    """Sizes of the decoder; `encoder_width` is the width of the features it reads.

    predicts: "normal" gives means, then as many raw deviations (`nn.likelihood`).
    """

    type: Literal["point_transformer"] = "point_transformer"
    depth: int = Field(default=2, ge=0)
    encoder_width: int = Field(default=180, gt=0, le=65_536)
    position_axes: int = Field(default=1, gt=0, le=64)
    values_per_token: int = Field(default=1, gt=0, le=2**20)
    channels: int = Field(default=0, ge=0, le=10**7)
    queries: Literal["independent", "joint"] = "independent"
    predicts: Literal["value", "normal"] = "value"
    absolute_positions: bool = False


class PointDecoder(nn.Module):
    """Predicts the values at a query's positions from the last level and the summary."""

    def __init__(self, config: PointDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.enter = nn.Linear(config.encoder_width, config.width)
        self.mask_token = nn.Parameter(torch.zeros(config.width))  # zero: RoMAE's code
        self.channel_embedding = (
            nn.Embedding(config.channels, config.width) if config.channels else None
        )
        self.transformer = Transformer(config, config.position_axes)
        outputs = config.values_per_token * (2 if config.predicts == "normal" else 1)
        self.head = LinearHead(config.width, outputs)
        truncated_normal_(self)

    def forward(self, features: Features, query: Tokens) -> Float[Tensor, "batch tokens size"]:
        """Predict (batch, queries, values per token); the query's values are never read."""
        level = features.levels[-1]
        x, valid = self.enter(level.features), level.valid
        asked = self.mask_token.expand(x.shape[0], query.valid.shape[1], -1)
        if self.channel_embedding is not None:
            asked = asked + self.channel_embedding(query.positions[..., -1].round().long())
        if self.config.absolute_positions:
            x = x + sin_cos(level.positions, self.config.width)
            asked = asked + sin_cos(query.positions, self.config.width)
        context = x.shape[1]
        x = torch.cat([x.to(asked.dtype), asked], dim=1)
        positions = torch.cat([level.positions, query.positions], dim=1)
        valid = torch.cat([valid, query.valid], dim=1)
        if features.summary is not None:
            summary = self.enter(features.summary)
            x, positions, valid = with_summary(summary, x, positions, valid)
            context += 1
        joint = self.config.queries == "joint"
        last = self.transformer(x, positions, valid, None if joint else context)[-1]
        predicted: Tensor = self.head(last[:, context:])
        return predicted
