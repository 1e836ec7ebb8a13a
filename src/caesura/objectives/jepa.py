"""JEPA: from a part of a series, predict what a teacher's features of the rest will be.

Assran et al. 2023 (I-JEPA), arXiv 2301.08243; TS-JEPA in the dividend, arXiv 2605.19462. Its
code penalises the variance over the positions within a series, which features of the position
alone satisfy; the term here is over the series of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import RecipeError
from caesura.nn.attend import padding_mask
from caesura.nn.cross import CrossBlock
from caesura.nn.heads import mean_of
from caesura.nn.norm import RMSNorm
from caesura.nn.rope import AxialRope
from caesura.nn.teacher import follow, frozen_copy, momentum_at
from caesura.nn.transformer import TransformerConfig, truncated_normal_
from caesura.objectives.vicreg import covariance_penalty, variance_hinge
from caesura.signal.collapse import effective_rank, uniformity
from caesura.signal.mask import draw_mask, keep_indices
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import draw_view
from caesura.types import Batch, Encoder, Features, Loss, Tokens, as_module


class JepaConfig(BaseModel):
    """Settings; two blocks of a quarter of the tokens each are the dividend's.

    view: what the student sees of the series; the teacher sees it clean.
    width, heads, depth: of the predictor, a stack of cross-attention. variance, covariance:
    weights of the terms that keep the predictions from collapsing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["jepa"] = "jepa"
    view: ViewConfig = ViewConfig()
    blocks: int = Field(default=2, gt=0, le=64)
    block_ratio: float = Field(default=0.25, gt=0, lt=1)
    width: int = Field(default=64, gt=0, le=65_536)
    heads: int = Field(default=2, gt=0, le=1024)
    depth: int = Field(default=1, gt=0, le=100)
    momentum: float = Field(default=0.996, ge=0, lt=1)
    variance: float = Field(default=1.0, ge=0)
    covariance: float = Field(default=0.04, ge=0)
    position_axes: int = Field(default=1, gt=0, le=64)
    channels: int = Field(default=0, ge=0, le=10**7)


class _Predictor(nn.Module):
    """Mask tokens at the hidden places read the context's features."""

    def __init__(self, width: int, config: JepaConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise RecipeError(
                f"predictor width {config.width} does not split into {config.heads} heads"
            )
        shape = TransformerConfig(width=config.width, heads=config.heads)
        self.enter = nn.Linear(width, config.width)
        self.norm, self.last = RMSNorm(config.width), RMSNorm(config.width)
        self.mask_token = nn.Parameter(torch.zeros(config.width))
        self.channel_embedding = (
            nn.Embedding(config.channels, config.width) if config.channels else None
        )
        self.rope = AxialRope(config.width // config.heads, config.position_axes)
        self.blocks = nn.ModuleList([CrossBlock(shape) for _ in range(config.depth)])
        self.leave = nn.Linear(config.width, width)
        truncated_normal_(self)
        nn.init.trunc_normal_(self.mask_token, std=0.02, a=-0.04, b=0.04)

    def forward(self, features: Features, asked: Tokens) -> Tensor:
        level = features.levels[-1]
        context = self.norm(self.enter(level.features))
        x = self.mask_token.expand(*asked.valid.shape, -1)
        if self.channel_embedding is not None:
            x = x + self.channel_embedding(asked.positions[..., -1].round().long())
        angles, own = self.rope(asked.positions), self.rope(level.positions)
        mask = padding_mask(level.valid)
        for block in self.blocks:
            x = block(x, context, mask, angles, own)
        predicted: Tensor = self.leave(self.last(x))
        return predicted


class Jepa(nn.Module):
    """loss = mse(predicted, layer norm of the teacher's features) over hidden tokens
    + variance hinge + covariance penalty of each series' mean prediction over the batch.
    """

    needs_random_batches = True
    comparable = False
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: JepaConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        self.predictor = _Predictor(encoder.widths[-1], config)
        self.teacher = frozen_copy(encoder)

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch under blocks drawn from `rng`, keyed by series."""
        config = self.config
        view = draw_view(batch.inputs, batch.index, rng, config.view)
        clean, tokens = (self.encoder.tokenise(one) for one in (view.clean, view.seen))
        hidden = self._blocks(clean, batch, rng)
        seen = tokens.select(*keep_indices(tokens.valid & ~hidden))
        places, real = keep_indices(hidden)
        asked = clean.select(places, real)
        predicted = self.predictor(self.encoder(seen), asked.without_values()).float()
        with torch.no_grad():
            known: Features = self.teacher(clean)
            whole = known.levels[-1].features.float()
            goal = F.layer_norm(whole, whole.shape[-1:])
            goal = goal.gather(1, places[..., None].expand(-1, -1, goal.shape[-1]))
        weight = real.float()[..., None]
        count = real.sum().float()
        error = ((predicted - goal).square() * weight).sum() / count.clamp(min=1)
        error = error / goal.shape[-1]
        each = (predicted * weight).sum(1) / weight.sum(1).clamp(min=1)
        variance, covariance = variance_hinge(each), covariance_penalty(each)
        total = error + config.variance * variance + config.covariance * covariance
        named = {"mse": error, "variance": variance, "covariance": covariance}
        parts = {name: value.detach() for name, value in named.items()}
        if not self.training:
            vectors = mean_of(known.levels[-1])
            parts |= {"effective_rank": effective_rank(vectors), "uniformity": uniformity(vectors)}
        return Loss(total, count, parts=parts)

    def _blocks(self, tokens: Tokens, batch: Batch, rng: torch.Generator) -> Tensor:
        """Return True on the tokens of several blocks that do not overlap; one token is left."""
        hidden = torch.zeros_like(tokens.valid)
        left = tokens
        for done in range(self.config.blocks):
            # of what is left, so that each block has its share of the whole
            share = min(self.config.block_ratio / (1 - self.config.block_ratio * done), 0.99)
            hidden = hidden | draw_mask(left, batch.index, rng, share, "block")
            left = Tokens(tokens.values, tokens.observed, tokens.positions, tokens.valid & ~hidden)
        return hidden

    def train(self, mode: bool = True) -> Jepa:
        """Keep the teacher evaluating."""
        super().train(mode)
        as_module(self.teacher).train(False)
        return self

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Move the teacher."""
        momentum = momentum_at(self.config.momentum, progress)
        follow(as_module(self.teacher), as_module(self.encoder), momentum)

    def parts(self) -> Mapping[str, nn.Module]:
        """The teacher survives, as the encoder."""
        return {"encoder": as_module(self.teacher)}
