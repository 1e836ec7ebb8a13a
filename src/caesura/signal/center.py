"""Values relative to the mean of their own series and channel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from caesura.types import Tokens


def less_own_mean(tokens: Tokens, channels: int) -> Float[Tensor, "batch tokens size"]:
    """Return each observed value less the mean of its channel in the row, 0 elsewhere.

    channels: number of channels, told apart by the last position axis; 0 or 1: one mean a row.
    """
    real = (tokens.observed & tokens.valid[..., None]).to(tokens.values.dtype)
    seen = tokens.values * real
    if channels > 1:
        code = tokens.positions[..., -1].round().long()[..., None].expand_as(seen)
        empty = seen.new_zeros(seen.shape[0], channels, seen.shape[2])
        total, count = (empty.scatter_add(1, code, x) for x in (seen, real))
        mean = (total / count.clamp(min=1)).gather(1, code)
    else:
        mean = seen.sum(1, keepdim=True) / real.sum(1, keepdim=True).clamp(min=1)
    return torch.where(real > 0, tokens.values - mean, 0.0)
