"""Denoising diffusion of patches, each from its own noise and what went before it.

TimeDART (arXiv 2410.05711) as in the dividend (arXiv 2605.19462): a causal encoder gives the
context; every patch gets noise of a level of its own; a decoder reads the noised patch and the
context before it, and says the clean one. Noise schedule: the cosine of Nichol and Dhariwal
2021, arXiv 2102.09672, eq. 17.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.cross import CrossBlock
from caesura.nn.norm import RMSNorm
from caesura.nn.rope import AxialRope
from caesura.nn.sincos import sin_cos
from caesura.nn.transformer import TransformerConfig, truncated_normal_
from caesura.objectives.next_patch import check_causal, successor_weight
from caesura.signal.noise import keyed_normal, keyed_uniform
from caesura.signal.scale import row_deviation
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import draw_view
from caesura.types import Batch, Encoder, Loss, as_module


class DenoiseConfig(BaseModel):
    """Settings; `levels` noise levels, and one layer in the denoiser (TimeDART)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["denoise"] = "denoise"
    view: ViewConfig = ViewConfig()
    levels: int = Field(default=1000, gt=1, le=10**6)
    width: int = Field(default=64, gt=0, le=65_536)
    heads: int = Field(default=2, gt=0, le=1024)
    depth: int = Field(default=1, gt=0, le=100)
    position_axes: int = Field(default=1, gt=0, le=64)
    values_per_token: int = Field(default=1, gt=0, le=2**20)
    channels: int = Field(default=0, ge=0, le=10**7)


def signal_share(step: Tensor, levels: int) -> Float[Tensor, "..."]:
    """Return alpha-bar at a noise level from 0 (clean) to `levels` (noise alone).

    f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) x pi / 2), s = 0.008.
    """
    s = 0.008

    def f(t: Tensor) -> Tensor:
        return torch.cos((t / levels + s) / (1 + s) * math.pi / 2).square()

    return f(step.double()).div(f(torch.zeros((), dtype=torch.float64))).clamp(0, 1).float()


class Denoise(nn.Module):
    """loss = sum(w (D(noised x_i, context before i) - x_i)^2) / sum(w), in deviations of the row.

    noised = sqrt(a) z + sqrt(1 - a) e, z being x on the scale of the token before it. The first
    token of a row has no context and counts nothing. The encoder must be causal (RecipeError).
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: DenoiseConfig) -> None:
        super().__init__()
        check_causal(encoder, config.type)
        if config.width % config.heads:
            raise RecipeError(
                f"denoiser width {config.width} does not split into {config.heads} heads"
            )
        self.encoder, self.config = encoder, config
        shape = TransformerConfig(width=config.width, heads=config.heads)
        size, channels = config.values_per_token, config.channels
        self.enter = nn.Linear(size, config.width)
        self.level = nn.Linear(config.width, config.width)
        self.context = nn.Linear(encoder.widths[-1], config.width)
        self.channel_embedding = nn.Embedding(channels, config.width) if channels else None
        self.norm, self.last = RMSNorm(config.width), RMSNorm(config.width)
        self.rope = AxialRope(config.width // config.heads, config.position_axes)
        self.blocks = nn.ModuleList([CrossBlock(shape) for _ in range(config.depth)])
        self.leave = nn.Linear(config.width, size)
        own = (self.enter, self.level, self.context, self.blocks, self.leave)
        for module in own:  # the encoder keeps its weights
            truncated_normal_(module)

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch; `rng` draws the view, the levels and the noise."""
        view = draw_view(batch.inputs, batch.index, rng, self.config.view)
        clean, seen = (self.encoder.tokenise(one) for one in (view.clean, view.seen))
        features = self.encoder(seen)
        level = features.levels[-1]
        count, size = clean.values.shape[1:]
        goal, weight = clean.values[:, 1:], successor_weight(clean, seen)
        center, spread, unit = goal.new_zeros(1, 1, 1), goal.new_ones(1, 1, 1), row_deviation(clean)
        if features.scale is not None:
            center, spread = (x[:, :-1] for x in (features.scale.center, features.scale.spread))
        goal = goal - center  # far from 0 the centre would take digits away
        z = torch.where(clean.observed[:, 1:], goal / spread, 0.0).float()
        step = (keyed_uniform(rng, batch.index, count - 1) * self.config.levels).floor() + 1
        share = signal_share(step, self.config.levels).to(z)[..., None]
        noise = keyed_normal(rng, batch.index, (count - 1) * size).to(z).view(z.shape)
        noised = share.sqrt() * z + (1 - share).sqrt() * noise
        told = self.level(sin_cos(step.to(z)[..., None], self.config.width))
        x = self.enter(noised) + told
        if self.channel_embedding is not None:
            x = x + self.channel_embedding(clean.positions[:, 1:, -1].round().long())
        said = self._denoised(x, level.features[:, :-1], seen.valid[:, :-1],
                              clean.positions[:, 1:], level.positions[:, :-1])  # fmt: skip
        each = ((said * spread - goal).float() / unit).square() * weight
        number = weight.sum()
        total = each.sum() / number.clamp(min=1e-9)
        return Loss(total, number, parts={"mse": total.detach()})

    def _denoised(
        self, x: Tensor, context: Tensor, valid: Tensor, places: Tensor, context_places: Tensor
    ) -> Tensor:
        """Let the noised token i + 1 read the context up to token i."""
        before = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        mask = (before[None] & valid[:, None, :])[:, None]
        known = self.norm(self.context(context))
        angles, own = self.rope(places), self.rope(context_places)
        for block in self.blocks:
            x = block(x, known, mask, angles, own)
        said: Tensor = self.leave(self.last(x))
        return said.float()

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder survives."""
        return {"encoder": as_module(self.encoder)}
