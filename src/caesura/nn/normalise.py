"""Normalises windows of a grid by their own, by running, or by fixed statistics.

HiMAE, arXiv 2510.25785: min-max to [-1, 1] by window. The published way takes the statistics
from the whole window, hidden samples included; here only what is observed counts.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from caesura.types import Grid, Scale

Kind = Literal["min-max", "standard"]
Statistics = Literal["window", "running", "fixed"]

_SMALLEST = 1e-6
"""Spread of a window below which it counts as constant and becomes zeros (HiMAE's code)."""
_MOMENTUM = 0.01


class Normalise(nn.Module):
    """(value - center) / spread for each row and channel.

    kind: "min-max" maps the least and largest to -1 and 1; "standard" has mean 0, deviation 1.
    statistics: "window", of each row's observed samples; "running", averages over the windows
    of the training, as batch normalisation has them, the same for all rows; "fixed", the
    center and spread that are given, of each channel. The last two let a stream be read
    before its window is whole. A constant row becomes zeros. bent: asinh of what is fixed.
    """

    center: Tensor
    spread: Tensor
    seen: Tensor

    def __init__(
        self,
        channels: int,
        kind: Kind = "min-max",
        statistics: Statistics = "window",
        center: tuple[float, ...] = (),
        spread: tuple[float, ...] = (),
        bent: bool = False,
    ) -> None:
        super().__init__()
        self.kind, self.statistics, self.bent = kind, statistics, bent
        if statistics == "window":
            return
        self.register_buffer("center", torch.tensor(center or (0.0,) * channels)[:, None])
        self.register_buffer("spread", torch.tensor(spread or (1.0,) * channels)[:, None])
        self.register_buffer("seen", torch.tensor(0.0))

    def forward(self, inputs: Grid) -> Scale:
        """Return what to normalise by; in training, running statistics take the batch in."""
        if inputs.scale is not None:
            return inputs.scale
        if self.statistics == "window":
            return window_scale(inputs.values, inputs.observed, self.kind)
        if self.statistics == "running" and self.training:
            self._take_in(inputs)
        return Scale(self.center[None], self.spread[None], self.bent)

    @torch.no_grad()
    def _take_in(self, inputs: Grid) -> None:
        own = window_scale(inputs.values, inputs.observed, self.kind)
        any_seen = inputs.observed.any(-1, keepdim=True).to(own.center.dtype)
        rows = any_seen.sum(0).clamp(min=1)
        # a plain mean at first, then an exponential one
        share = torch.clamp(1 / (self.seen + 1), min=_MOMENTUM)
        self.center.lerp_((own.center * any_seen).sum(0) / rows, share)
        self.spread.lerp_((own.spread * any_seen).sum(0) / rows, share)
        self.seen += 1


def at_least_float(values: Tensor) -> Tensor:
    """Return values as float32, or as float64 where they are so: at a level far from 0."""
    return values if values.dtype is torch.float64 else values.float()


def window_scale(
    values: Float[Tensor, "batch channels time"],
    observed: Bool[Tensor, "batch channels time"],
    kind: Kind,
) -> Scale:
    """Return the scale of each row and channel by its observed samples; 0 and 1 where none."""
    values = at_least_float(values)
    count = observed.sum(-1, keepdim=True)
    if kind == "min-max":
        low = values.masked_fill(~observed, torch.inf).amin(-1, keepdim=True)
        high = values.masked_fill(~observed, -torch.inf).amax(-1, keepdim=True)
        center, spread = (low + high) / 2, (high - low) / 2
    else:
        mean = (values * observed).sum(-1, keepdim=True) / count.clamp(min=1)
        square = ((values - mean).square() * observed).sum(-1, keepdim=True)
        center, spread = mean, (square / count.clamp(min=1)).sqrt()
    none = count == 0
    center = center.masked_fill(none, 0.0)
    return Scale(center, spread.masked_fill(none | (spread <= _SMALLEST / 2), 1.0))
