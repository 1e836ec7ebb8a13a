"""Splits series into a trend, a coarse seasonal part and what is left, gaps left out.

TimeMAR, arXiv 2601.11184, sec. 4.2, after FEDformer's mixture of moving averages; kernels and
rates are our choice, the paper's are not known to us. At ends and gaps an average is of the
samples that are there, where FEDformer repeats the first and the last.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def observed_averages(
    values: Float[Tensor, "batch channels time"],
    observed: Bool[Tensor, "batch channels time"],
    kernels: Sequence[int],
) -> Float[Tensor, "kernels batch channels time"]:
    """Return means of the observed samples within half of each kernel, whose lengths are odd.

    Where nothing near was observed: the mean of all that was. Running sums make the cost of a
    kernel the same at any length; they are of float64, where the device has it, so that far sums
    take nothing from the difference of two.
    """
    seen = observed.to(values.dtype)
    totals, counts = _running(values * seen), _running(seen)
    whole = totals[..., -1:] / counts[..., -1:].clamp(min=1)
    means = []
    for kernel in kernels:
        count = _within(counts, kernel)
        means.append(torch.where(count > 0, _within(totals, kernel) / count.clamp(min=1), whole))
    return torch.stack([mean.to(values.dtype) for mean in means])


def _running(values: Float[Tensor, "batch channels time"]) -> Tensor:
    """Return the sum before each sample, and of all (batch, channels, time + 1)."""
    wide = values if values.device.type == "mps" else values.double()
    return F.pad(wide.cumsum(-1), (1, 0))


def _within(running: Tensor, kernel: int) -> Float[Tensor, "batch channels time"]:
    """Return the sums within half a kernel of each sample."""
    half = kernel // 2
    wide = F.pad(running, (half, half), mode="replicate")
    return wide[..., 2 * half + 1 :] - wide[..., : -(2 * half + 1)]


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
        averages = observed_averages(values, observed, self.kernels)
        known = torch.where(observed, values, averages.mean(0))
        slope, bias = self.gate.weight[:, 0], self.gate.bias
        share = torch.stack([known * slope[k] + bias[k] for k in range(len(slope))]).softmax(0)
        trend = (averages * share).sum(0)
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
