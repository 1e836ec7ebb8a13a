"""A Transformer over scales: each place sees all places of its own and of coarser scales.

Next-scale prediction of VAR (Tian et al. 2024, arXiv 2404.02905) in one dimension; RMSNorm and
SiLU as elsewhere here, rotary positions in place of a table so that other lengths fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import RecipeError
from caesura.nn.attend import attend
from caesura.nn.dropout import drop
from caesura.nn.norm import RMSNorm
from caesura.nn.rope import AxialRope, rotate

_LENGTH = 64.0
"""Rotary units of a whole series; the places of every scale lie within them."""
MOST_SCALES = 32
"""Scales that have an embedding of their own."""
_ALONE_FROM = 16
"""Places from which a scale attends by itself: fewer are not worth products of their own."""


class ScaleTransformerConfig(BaseModel):
    """Size of the Transformer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=128, gt=0, le=65_536)
    heads: int = Field(default=4, gt=0, le=1024)
    depth: int = Field(default=4, ge=1, le=1000)
    dropout: float = Field(default=0.1, ge=0, lt=1)


def scale_mask(sizes: Sequence[int], device: torch.device) -> Bool[Tensor, "1 1 places places"]:
    """Let each place see its own scale and the coarser ones, whose sizes come first."""
    scale = torch.repeat_interleave(
        torch.arange(len(sizes), device=device), torch.tensor(sizes, device=device)
    )
    return (scale[None, :] <= scale[:, None])[None, None]


class Group(NamedTuple):
    """Places that attend together: from `start` to `end`, under a mask or to all keys up to it."""

    start: int
    end: int
    mask: Bool[Tensor, "1 1 places places"] | None


def groups_of(sizes: Sequence[int], device: torch.device) -> list[Group]:
    """Return the small scales as one group under their mask, and each larger scale by itself."""
    small = [places < _ALONE_FROM for places in sizes]
    few = small.index(False) if False in small else len(sizes)
    first = sum(sizes[:few])
    found = [Group(0, first, scale_mask(sizes[:few], device) if few > 1 else None)] * (few > 0)
    for places in sizes[few:]:
        found.append(Group(first, first + places, None))
        first += places
    return found


def attend_by_scale(
    q: Float[Tensor, "batch heads places width"],
    k: Float[Tensor, "batch heads places width"],
    v: Float[Tensor, "batch heads places width"],
    groups: Sequence[Group],
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads places width"]:
    """Return what each place takes from its own and coarser scales, as under `scale_mask`.

    A scale of many places asks the keys up to its own end and no others, which spares two fifths
    of the pairs of ten scales.
    """
    found = [
        attend(q[..., start:end, :], k[..., :end, :], v[..., :end, :], mask, dropout)
        for start, end, mask in groups
    ]
    return torch.cat(found, -2)


class Cache:
    """Keys and values of the scales so far, of each block."""

    def __init__(self, depth: int) -> None:
        self.kept: list[tuple[Tensor, Tensor] | None] = [None] * depth

    @property
    def places(self) -> int:
        """Number of places that are kept."""
        return 0 if self.kept[0] is None else self.kept[0][0].shape[-2]

    def join(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values with those before, and keep them."""
        before = self.kept[block]
        if before is not None:
            k, v = torch.cat([before[0], k], -2), torch.cat([before[1], v], -2)
        self.kept[block] = (k, v)
        return k, v


class ScaleTransformer(nn.Module):
    """Blocks whose norms a condition shifts and scales (adaLN, shared by all blocks)."""

    def __init__(self, config: ScaleTransformerConfig) -> None:
        super().__init__()
        if config.width % config.heads:
            raise RecipeError(
                f"width {config.width} does not split into {config.heads} heads; choose "
                f"{config.width + config.heads - config.width % config.heads}"
            )
        self.config = config
        self.rope = AxialRope(config.width // config.heads, 1, 1.0)
        self.level = nn.Embedding(MOST_SCALES, config.width)
        self.modulate = nn.Linear(config.width, 4 * config.width)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.blocks = nn.ModuleList([_Block(config) for _ in range(config.depth)])
        self.norm = RMSNorm(config.width)

    def forward(
        self,
        x: Float[Tensor, "batch places width"],
        condition: Float[Tensor, "batch width"],
        sizes: Sequence[int],
        first: int = 0,
        cache: Cache | None = None,
    ) -> Float[Tensor, "batch places width"]:
        """Return what each place knows of the codes that stand there.

        sizes: of the scales in `x`, of which `first` is the number of the first. With a cache `x`
        holds one scale, and the coarser ones come from there.
        """
        at = [(torch.arange(n, device=x.device) + 0.5) * (_LENGTH / n) for n in sizes]
        angles = self.rope(torch.cat(at)[None, :, None])
        angles = tuple(part.to(x.dtype) for part in angles)
        number = torch.arange(first, first + len(sizes), device=x.device).clamp(max=MOST_SCALES - 1)
        x = x + torch.repeat_interleave(
            self.level(number), torch.tensor(sizes, device=x.device), dim=0
        )
        shifts = self.modulate(F.silu(condition))[:, None].chunk(4, -1)
        groups = groups_of(sizes, x.device)
        for place, block in enumerate(self.blocks):
            x = block(x, shifts, angles, groups, cache, place)
        known: Tensor = self.norm(x)
        return known


class _Block(nn.Module):
    def __init__(self, config: ScaleTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.dropout = config.heads, config.dropout
        self.norm_attention, self.norm_mlp = RMSNorm(width), RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.rise = nn.Linear(width, 4 * width, bias=False)
        self.fall = nn.Linear(4 * width, width, bias=False)

    def forward(
        self,
        x: Tensor,
        shifts: tuple[Tensor, ...],
        angles: tuple[Tensor, Tensor],
        groups: Sequence[Group],
        cache: Cache | None,
        place: int,
    ) -> Tensor:
        scale, shift, scale_mlp, shift_mlp = shifts
        inner = self.norm_attention(x) * (1 + scale) + shift
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(inner).chunk(3, -1)
        )
        q, k = rotate(q.contiguous(), *angles), rotate(k.contiguous(), *angles)
        dropout = self.dropout if self.training else 0.0
        if cache is not None:  # one scale, which sees itself and all that is kept
            mixed = attend(q, *cache.join(place, k, v), None, dropout)
        else:
            mixed = attend_by_scale(q, k, v, groups, dropout)
        x = x + self._dropped(self.out(mixed.transpose(1, 2).flatten(2)))
        inner = self.norm_mlp(x) * (1 + scale_mlp) + shift_mlp
        moved: Tensor = x + self._dropped(self.fall(F.silu(self.rise(inner))))
        return moved

    def _dropped(self, branch: Tensor) -> Tensor:
        return drop(branch, self.dropout, self.training)
