"""Pre-norm Transformer with rotary positions: RMSNorm, SiLU MLP, no biases, no final norm.

RoMAE, arXiv 2505.20535, sec. 3 and appendix; figures from its code where the text is silent.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import RecipeError
from caesura.nn.attend import padding_mask, query_mask
from caesura.nn.dropout import drop
from caesura.nn.layout import Layout, Padded
from caesura.nn.norm import RMSNorm
from caesura.nn.pack import Packed, worth_packing
from caesura.nn.rope import AxialRope


class TransformerConfig(BaseModel):
    """Size and regularisation of a Transformer; `hidden` 0 means 4 x width.

    `rope_fraction` 0 rotates nothing: order must then come with the embedding (`nn.sincos`).

    `stochastic_depth` is the drop rate of the last layer, rising linearly from 0, each branch
    and series by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=180, gt=0, le=65_536)
    heads: int = Field(default=3, gt=0, le=1024)
    depth: int = Field(default=12, ge=0, le=1000)
    hidden: int = Field(default=0, ge=0, le=262_144)
    rope_fraction: float = Field(default=0.75, ge=0, le=1)
    rope_base: float = Field(default=10_000.0, gt=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    projection_dropout: float = Field(default=0.0, ge=0, lt=1)
    stochastic_depth: float = Field(default=0.0, ge=0, lt=1)


class Attention(nn.Module):
    """Self-attention with one product for queries, keys and values, and one rotation."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.attention_dropout
        self.qkv = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.after = config.projection_dropout

    def forward(
        self, x: Float[Tensor, "*tokens width"], layout: Layout
    ) -> Float[Tensor, "*tokens width"]:
        """Mix tokens of a row by content and relative position."""
        mixed = layout.mix(self.qkv(x), self.heads, self.dropout if self.training else 0.0)
        return drop(self.out(mixed), self.after, self.training)


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
        self, x: Float[Tensor, "*tokens width"], layout: Layout
    ) -> Float[Tensor, "*tokens width"]:
        """Apply both branches."""
        x = x + self._kept(self.attention(self.norm_attention(x), layout), layout)
        mlp = self.fall(F.silu(self.rise(self.norm_mlp(x))))
        return x + self._kept(drop(mlp, self.dropout, self.training), layout)

    def _kept(self, branch: Tensor, layout: Layout) -> Tensor:
        if not (self.training and self.drop):
            return branch
        keep = torch.rand(layout.rows, device=branch.device) >= self.drop
        return branch * layout.spread(keep / (1.0 - self.drop))


class Transformer(nn.Module):
    """A stack of blocks over tokens at real-valued positions."""

    def __init__(self, config: TransformerConfig, axes: int) -> None:
        super().__init__()
        if config.width % config.heads:
            raise RecipeError(
                f"width {config.width} does not split into {config.heads} heads; "
                f"choose width {config.width - config.width % config.heads + config.heads}"
            )
        self.rope = (
            AxialRope(config.width // config.heads, axes, config.rope_fraction, config.rope_base)
            if config.rope_fraction
            else None
        )
        last = max(config.depth - 1, 1)
        self.blocks = nn.ModuleList(
            [Block(config, config.stochastic_depth * i / last) for i in range(config.depth)]
        )

    def forward(
        self,
        x: Float[Tensor, "batch tokens width"],
        positions: Float[Tensor, "batch tokens axes"],
        valid: Bool[Tensor, "batch tokens"],
        context: int | None = None,
        every_layer: bool = False,
        mask: Bool[Tensor, "batch 1 tokens tokens"] | None = None,
    ) -> list[Tensor]:
        """Return the output of the last block, or with `every_layer` of each, the last one last.

        context: how many tokens of a row all others see; later ones see themselves besides
        (queries). By default all see all real ones, or what `mask` lets them. On a CPU rows
        with much padding are packed, where there is no mask.
        """
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        # computed in float64, cast after: once here and not in each block
        angles = () if self.rope is None else tuple(p.to(dtype) for p in self.rope(positions))
        packed = Packed(valid, angles, context) if mask is None and worth_packing(valid) else None
        if packed is None:
            if mask is None:
                mask = padding_mask(valid) if context is None else query_mask(valid, context)
            layout: Layout = Padded(angles, mask)
        else:
            layout, x = packed, packed.pack(x)
        layers = [x]
        for block in self.blocks:
            x = block(x, layout)
            layers.append(x)
        chosen = layers[1:] if every_layer and self.blocks else layers[-1:]
        return chosen if packed is None else [packed.unpack(layer) for layer in chosen]


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
