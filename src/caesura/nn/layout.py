"""How the tokens of a batch lie in memory, and how attention mixes them there.

A block of the Transformer treats tokens one by one, but for two things that ask which row a
token belongs to: attention and stochastic depth. Both go through a layout, so that the same
block runs on padded rows and on packed tokens (`nn.pack`).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from caesura.nn.attend import attend
from caesura.nn.rope import rotate

Angles = tuple[Tensor, ...]
"""What turns each token, from `nn.rope`: two of (rows, 1, tokens, width of a head), or none."""


@runtime_checkable
class Layout(Protocol):
    """Where the tokens lie."""

    rows: int
    """Number of series."""

    def mix(self, qkv: Tensor, heads: int, dropout: float) -> Tensor:
        """Attend within each row: (..., 3 x width) to (..., width)."""

    def spread(self, per_row: Float[Tensor, " rows"]) -> Tensor:
        """Give each token the number of its row, to be multiplied with (..., width)."""


class Padded:
    """Tokens as (rows, most tokens, width)."""

    def __init__(self, angles: Angles, mask: Bool[Tensor, "rows 1 #tokens tokens"]) -> None:
        self.angles, self.mask, self.rows = angles, mask, mask.shape[0]

    def mix(self, qkv: Tensor, heads: int, dropout: float) -> Tensor:
        """Attend under the mask."""
        return mix_heads(qkv, heads, self.angles, self.mask, dropout)

    def spread(self, per_row: Float[Tensor, " rows"]) -> Tensor:
        """Return (rows, 1, 1)."""
        return per_row[:, None, None]


def mix_heads(
    qkv: Float[Tensor, "rows tokens triple"],
    heads: int,
    angles: Angles,
    mask: Bool[Tensor, "rows 1 #tokens tokens"],
    dropout: float,
) -> Float[Tensor, "rows tokens width"]:
    """Rotate queries and keys in one go, attend, and join the heads."""
    split = qkv.reshape(*qkv.shape[:2], 3 * heads, -1).transpose(1, 2)
    turned, v = torch.split(split, [2 * heads, heads], dim=1)
    if angles:
        turned = rotate(turned, *angles)
    q, k = turned.chunk(2, dim=1)
    return attend(q, k, v, mask, dropout).transpose(1, 2).flatten(2)
