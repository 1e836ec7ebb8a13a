"""Which samples of a window are known to a generator: none, points, all but a block, a past, some
channels. A model that has seen them all can generate, impute and forecast."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from caesura.signal.noise import keyed_uniform


def show_part(
    observed: Bool[Tensor, "batch channels time"],
    index: Int64[Tensor, " batch"],
    rng: torch.Generator,
    share: float,
) -> Bool[Tensor, "batch channels time"]:
    """Return what is shown of a share of the rows, nothing of the others; keyed by row.

    A row that is shown has one of four kinds, as likely as one another, each with its own
    share of samples: points of each channel, all but a block, the past, whole channels.
    """
    rows, channels, time = observed.shape
    drawn = keyed_uniform(rng, index, 4)
    kind = (drawn[:, 1] * 4).long()
    kept = drawn[:, 2].clamp(0.05, 0.95)[:, None, None]
    points = keyed_uniform(rng, index, channels * time).view(rows, channels, time) < kept
    place = torch.arange(time, device=observed.device).expand(rows, channels, time)
    length = ((1 - kept) * time).ceil()
    first = (drawn[:, 3][:, None, None] * (time - length + 1)).floor()
    outside = (place < first) | (place >= first + length)
    past = place < time - length
    whole = (keyed_uniform(rng, index, channels) < kept[:, :, 0])[..., None].expand_as(observed)
    kinds = torch.stack([points, outside, past, whole], 1)
    shown = kinds[torch.arange(rows, device=observed.device), kind]
    return shown & observed & (drawn[:, 0] < share)[:, None, None]
