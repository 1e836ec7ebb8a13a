"""Pre-norm Transformer with rotary positions: RMSNorm, SiLU MLP, no biases, no final norm.

RoMAE, arXiv 2505.20535, sec. 3 and appendix; figures from its code where the text is silent.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import RecipeError
from caesura.nn.attend import attend
from caesura.nn.rope import AxialRope, rotate


class TransformerConfig(BaseModel):
    """Size and regularisation of a Transformer; `hidden` 0 means 4 x width.

    `stochastic_depth` is the drop rate of the last layer, rising linearly from 0, each branch
    and series by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=180, gt=0)
    heads: int = Field(default=3, gt=0)
    depth: int = Field(default=12, ge=0)
    hidden: int = Field(default=0, ge=0)
    rope_fraction: float = Field(default=0.75, ge=0, le=1)
    rope_base: float = Field(default=10_000.0, gt=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    projection_dropout: float = Field(default=0.0, ge=0, lt=1)
    stochastic_depth: float = Field(default=0.0, ge=0, lt=1)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) times a weight, the mean in float32; eps from RoMAE's code."""

    def __init__(self, width: int, eps: float = 1e-12) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows width"]:
        """Normalise the last axis."""
        with torch.autocast(x.device.type, enabled=False):
            wide = F.rms_norm(x.float(), self.weight.shape, self.weight, self.eps)
        return wide.to(x.dtype)


class Attention(nn.Module):
    """Self-attention with one product for queries, keys and values, and one rotation."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.attention_dropout
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.after = config.projection_dropout

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        angles: tuple[Tensor, Tensor],
        mask: Bool[Tensor, "batch 1 #tokens tokens"],
    ) -> Float[Tensor, "batch tokens width"]:
        """Mix tokens by content and relative position."""
        qkv = self.qkv(x).unflatten(-1, (3 * self.heads, -1)).transpose(1, 2)
        turned = rotate(qkv[:, : 2 * self.heads], *angles)
        q, k = turned[:, : self.heads], turned[:, self.heads :]
        dropout = self.dropout if self.training else 0.0
        mixed = attend(q, k, qkv[:, 2 * self.heads :], mask, dropout)
        return F.dropout(self.out(mixed.transpose(1, 2).flatten(2)), self.after, self.training)


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)); in training a branch may be dropped."""

    def __init__(self, config: TransformerConfig, drop: float) -> None:
        super().__init__()
        hidden = config.hidden or 4 * config.width
        self.norm_attention, self.norm_mlp = RMSNorm(config.width), RMSNorm(config.width)
        self.attention = Attention(config)
        self.rise = nn.Linear(config.width, hidden, bias=False)
        self.fall = nn.Linear(hidden, config.width, bias=False)
        self.dropout, self.drop = config.dropout, drop

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        angles: tuple[Tensor, Tensor],
        mask: Bool[Tensor, "batch 1 #tokens tokens"],
    ) -> Float[Tensor, "batch tokens width"]:
        """Apply both branches."""
        x = x + self._kept(self.attention(self.norm_attention(x), angles, mask))
        mlp = self.fall(F.silu(self.rise(self.norm_mlp(x))))
        return x + self._kept(F.dropout(mlp, self.dropout, self.training))

    def _kept(self, branch: Tensor) -> Tensor:
        if not (self.training and self.drop):
            return branch
        keep = torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.drop
        return branch * keep / (1.0 - self.drop)


class Transformer(nn.Module):
    """A stack of blocks over tokens at real-valued positions."""

    def __init__(self, config: TransformerConfig, axes: int) -> None:
        super().__init__()
        if config.width % config.heads:
            raise RecipeError(
                f"width {config.width} does not split into {config.heads} heads; "
                f"choose width {config.width - config.width % config.heads + config.heads}"
            )
        self.rope = AxialRope(
            config.width // config.heads, axes, config.rope_fraction, config.rope_base
        )
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            [Block(config, config.stochastic_depth * i / last) for i in range(config.depth)]
        )

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens axes"],
        mask: Bool[Tensor, "batch 1 #tokens tokens"],
    ) -> list[Tensor]:
        """Return the output of each block, the last one last."""
        return list(self._layers(x, positions, mask))

    def _layers(self, x: Tensor, positions: Tensor, mask: Tensor) -> Iterator[Tensor]:
        angles = self.rope(positions)
        for block in self.blocks:
            x = block(x, angles, mask)
            yield x


def truncated_normal_(module: nn.Module) -> None:
    """Initialise from normals cut at two deviations: matrices by width, embeddings 1, biases 0.

    RoMAE's classifier takes 0.02 for all, which is 1 / sqrt(3 x inputs) at 833 inputs; the
    same rule at a width of 96 gives 0.06. With 0.02 there a pre-training stood at a
    validation loss of .454 where this form reached .389 (docs/log.md).
    """
    for child in module.modules():
        if isinstance(child, nn.Linear):
            _cut_normal_(child.weight, (3 * child.in_features) ** -0.5)
            if child.bias is not None:
                nn.init.zeros_(child.bias)
        elif isinstance(child, nn.Embedding):
            _cut_normal_(child.weight, 1.0)


def _cut_normal_(weight: Tensor, std: float) -> None:
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
