"""The [CLS] token: first in the row, alone at position 0."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

CLS_GAP = 1.0
"""Real tokens start here where [CLS] sits at 0, so that none has its position."""


def with_summary(
    summary: Float[Tensor, "batch width"],
    x: Float[Tensor, "batch tokens width"],
    positions: Float[Tensor, "batch tokens axes"],
    valid: Bool[Tensor, "batch tokens"],
) -> tuple[Tensor, Tensor, Tensor]:
    """Put [CLS] first, at position 0 on every axis, and move the tokens out of its way.

    Positions from the data door are at least 0, so that no observation lies at [CLS].
    """
    x = torch.cat([summary[:, None].to(x.dtype), x], dim=1)
    moved = F.pad(positions + CLS_GAP, (0, 0, 1, 0))
    return x, moved, F.pad(valid, (1, 0), value=True)
