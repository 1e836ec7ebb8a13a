"""Splits series into a trend, a coarse seasonal part and what is left, gaps left out.

TimeMAR, arXiv 2601.11184, sec. 4.2, after FEDformer's mixture of moving averages; kernels and
rates are our choice, the paper's are not known to us. At ends and gaps an average is of the
samples that are there, where FEDformer repeats the first and the last.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class Components(NamedTuple):
    """Parts (batch, channels, time) that sum to the values where those were observed."""

    trend: Tensor
    coarse: Tensor
    fine: Tensor


def trend_kernels(window: int) -> tuple[int, ...]:
    """Return odd lengths near an eighth, a quarter and a half of a window; 25 too from 96 on."""
    wanted = [window // 8, window // 4, window // 2] + ([25] if window >= 96 else [])
    return tuple(sorted({max(3, one // 2 * 2 + 1) for one in wanted}))


def observed_average(
    values: Float[Tensor, "batch channels time"],
    observed: Bool[Tensor, "batch channels time"],
    kernel: int,
) -> Float[Tensor, "batch channels time"]:
    """Return the mean of the observed samples within half a kernel; of all, where there is none."""
    seen = observed.to(values.dtype)
    half = kernel // 2
    total = F.avg_pool1d(values * seen, kernel, 1, half)
    share = F.avg_pool1d(seen, kernel, 1, half)
    whole = (values * seen).sum(-1, keepdim=True) / seen.sum(-1, keepdim=True).clamp(min=1)
    return torch.where(share > 0, total / share.clamp(min=1e-6), whole)


class Decomposition(nn.Module):
    """values = trend + coarse + fine at every observed sample.

    trend: a mixture of moving averages, the share of each a softmax of a linear map of the
    sample's value. coarse: the rest, averaged over `hop` samples and joined by lines. Each
    window by itself.
    """

    def __init__(self, kernels: tuple[int, ...], hop: int) -> None:
        super().__init__()
        self.kernels, self.hop = kernels, hop
        self.gate = nn.Linear(1, len(kernels))

    def forward(
        self,
        values: Float[Tensor, "batch channels time"],
        observed: Bool[Tensor, "batch channels time"],
    ) -> Components:
        """Return the three parts; the fine one is 0 where nothing was observed."""
        averages = torch.stack([observed_average(values, observed, k) for k in self.kernels], -1)
        known = torch.where(observed, values, averages.mean(-1))
        share = self.gate(known[..., None]).softmax(-1)
        trend = (averages * share).sum(-1)
        season = (values - trend) * observed
        coarse = self.spread(self.low(season, observed), values.shape[-1])
        return Components(trend, coarse, (season - coarse) * observed)

    def low(self, season: Tensor, observed: Tensor) -> Float[Tensor, "batch channels low"]:
        """Return the mean of each `hop` samples; 0 where none was observed."""
        pad = -season.shape[-1] % self.hop
        seen = F.pad(observed.to(season.dtype), (0, pad))
        total = F.avg_pool1d(F.pad(season, (0, pad)) * seen, self.hop)
        return total / F.avg_pool1d(seen, self.hop).clamp(min=1e-6)

    def spread(self, low: Tensor, time: int) -> Float[Tensor, "batch channels time"]:
        """Return lines between the means, each at the middle of its samples."""
        wide = F.interpolate(low, scale_factor=float(self.hop), mode="linear", align_corners=False)
        return wide[..., :time]
