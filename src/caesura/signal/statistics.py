"""Plain statistics of what a model sees of a series, beside its features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from caesura.types import Grid, Tokens

STATISTICS = ("count", "mean", "last", "std", "min", "max", "first")
"""Of each channel and value, in this order; the count as log(1 + count)."""


def input_statistics(inputs: Grid | Tokens, channels: int) -> Float[Tensor, "batch statistics"]:
    """Return the statistics of each channel and value of each row, NaN where none was observed.

    Args:
        inputs: a batch; the last position axis of tokens numbers the channel, where there are
            several. First and last are by time, whatever the order of the tokens.
        channels: channels of the schema that tokens may be of; a grid has its own.

    Returns:
        (batch, channels x values x 7), float32.
    """
    values, seen, time = _by_channel(inputs, channels)
    count = seen.sum(-1)
    several = count.clamp(min=1)
    mean = (values * seen).sum(-1) / several
    deviation = (values - mean[..., None]).abs() * seen
    widest = deviation.amax(-1, keepdim=True)
    relative = deviation / torch.where(widest > 0, widest, 1.0)  # squares of small units vanish
    std = widest[..., 0] * (relative.square().sum(-1) / several).sqrt()
    least = torch.where(seen, values, torch.inf).amin(-1)
    most = torch.where(seen, values, -torch.inf).amax(-1)
    first = torch.where(seen, time, torch.inf).argmin(-1, keepdim=True)
    last = torch.where(seen, time, -torch.inf).argmax(-1, keepdim=True)
    ends = [values.gather(-1, place)[..., 0] for place in (last, first)]
    known = torch.stack([mean, ends[0], std, least, most, ends[1]], dim=-1)
    known = torch.where((count > 0)[..., None], known, torch.nan)
    return torch.cat([torch.log1p(count.float())[..., None], known], dim=-1).flatten(1)


def _by_channel(inputs: Grid | Tokens, channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return values, which were seen, and times, each (batch, channels x values, places)."""
    if isinstance(inputs, Grid):
        values, seen = inputs.values.float(), inputs.observed
        if inputs.valid is not None:
            seen = seen & inputs.valid[:, None]
        time = torch.arange(values.shape[-1], device=values.device, dtype=values.dtype)
        return values, seen, time.expand_as(values)
    rows, places, size = inputs.values.shape
    code = torch.zeros_like(inputs.valid, dtype=torch.long)
    if inputs.positions.shape[-1] > 1:
        code = inputs.positions[..., -1].round().long()
    member = code[..., None] == torch.arange(channels, device=code.device)
    real = (inputs.observed & inputs.valid[..., None])[:, :, None, :] & member[..., None]
    shape = (rows, channels * size, places)
    wide = inputs.values.float()[:, :, None, :].expand(rows, places, channels, size)
    time = inputs.positions[:, None, :, 0].float().expand(shape)
    return wide.permute(0, 2, 3, 1).reshape(shape), real.permute(0, 2, 3, 1).reshape(shape), time
