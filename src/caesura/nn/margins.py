"""Gives what is drawn the distribution that each channel has.

Means of codes with normal noise are spread as the real values are and distributed otherwise: a
uniform channel comes out nearly normal, and one that rests at 0 seldom meets it. Few quantiles of
both bend the one into the other. Ours; TimeMAR has nothing of the kind.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor, nn

Floats = NDArray[np.float64]

_LEVELS = np.array([0, 0.001, 0.01, 0.03, *np.arange(1, 16) / 16, 0.97, 0.99, 0.999, 1])
"""Quantiles that are met: few, so that the course of a smooth channel is not bent."""
_OFTEN = 0.01
"""Share of the samples from which on a value is met as often as it comes."""
_ATOMS = 16
"""Most values of a channel of which that is so."""
_KNOTS = len(_LEVELS) + 2 * _ATOMS
_LEAST = 100
"""Samples of a channel below which its quantiles say nothing."""
_OFF = 0.08
"""Mean distance of sorted values, in deviations, from which on a channel is bent: lines through
quantiles roughen the course of a smooth channel (docs/log.md)."""


class Margins(nn.Module):
    """Lines from quantiles of what is drawn to those of real values; as it is before `measure`.

    Never falling, and straight on beyond the ends. Where a value comes often, such as 0, all
    between the two quantiles that hold it becomes that value.
    """

    drawn: Tensor
    real: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.linspace(-1, 1, _KNOTS).repeat(channels, 1)
        self.register_buffer("drawn", line)
        self.register_buffer("real", line.clone())

    @torch.no_grad()
    def measure(
        self,
        drawn: Float[Tensor, "rows channels time"],
        real: Float[Tensor, "rows channels time"],
        observed: Bool[Tensor, "rows channels time"],
    ) -> None:
        """Meet the quantiles of the real values in channels where the drawn ones are far from them.

        Both are of the same windows, or what differs between windows would count. Channels of under
        100 samples stay as they are.
        """
        for channel in range(len(self.drawn)):
            seen = observed[:, channel]
            if int(seen.sum()) < _LEAST:
                continue
            ours, theirs = (x[:, channel][seen].double().cpu().numpy() for x in (drawn, real))
            if np.abs(np.sort(ours) - np.sort(theirs)).mean() > _OFF * theirs.std():
                knots = _knots(ours, theirs)
                self.drawn[channel], self.real[channel] = map(torch.from_numpy, knots)

    def forward(
        self, values: Float[Tensor, "rows channels time"]
    ) -> Float[Tensor, "rows channels time"]:
        """Return drawn values with the distribution of the real ones."""
        flat = values.movedim(1, 0).flatten(1).contiguous()
        drawn, real = self.drawn.to(flat), self.real.to(flat)
        right = torch.searchsorted(drawn, flat, right=True).clamp(1, _KNOTS - 1)
        x0, x1, y0, y1 = (
            knots.gather(1, side) for knots in (drawn, real) for side in (right - 1, right)
        )
        share = (flat - x0) / (x1 - x0).clamp(min=torch.finfo(flat.dtype).tiny)
        inside = y0 + share.clamp(0, 1) * (y1 - y0)
        beyond = (flat - drawn[:, -1:]).clamp(min=0) + (flat - drawn[:, :1]).clamp(max=0)
        shape = values.shape[1], values.shape[0], *values.shape[2:]
        return (inside + beyond).view(shape).movedim(0, 1)


def _knots(drawn: Floats, real: Floats) -> tuple[Floats, Floats]:
    """Return quantiles of both at the same levels, those of values that come often among them."""
    values, counts = np.unique(real, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:_ATOMS]
    often = np.sort(often[counts[often] >= _OFTEN * len(real)])
    upto = np.cumsum(counts) / len(real)
    low, high = upto[often] - counts[often] / len(real), upto[often]
    within = ((low < _LEVELS[:, None]) & (high > _LEVELS[:, None])).any(1)
    plain = _LEVELS[~within]
    levels = np.concatenate([plain, low, high])
    to = np.concatenate([np.quantile(real, plain), values[often], values[often]])
    from_ = np.quantile(drawn, levels.clip(0, 1))
    order = np.lexsort((to, levels))
    rest = (0, _KNOTS - len(order))
    return np.pad(from_[order], rest, mode="edge"), np.pad(to[order], rest, mode="edge")
