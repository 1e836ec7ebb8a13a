"""What a decoder's mean leaves out, as noise that can be drawn.

A decoder of codes predicts means, so that what it cannot tell would be missing from synthetic
series: white noise would come out flat. Each channel's rest follows an autoregression of order 1,
and its innovations are correlated over channels. Ours; TimeMAR has nothing of the kind.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_MOST = 0.98
"""Largest autoregressive weight, so that noise stays bounded."""


class Residual(nn.Module):
    """Noise (rows, channels, time) like the rests it was measured on; none before."""

    memory: Tensor
    factor: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(channels))
        self.register_buffer("factor", torch.zeros(channels, channels))

    @torch.no_grad()
    def measure(
        self,
        rest: Float[Tensor, "rows channels time"],
        observed: Bool[Tensor, "rows channels time"],
    ) -> None:
        """Fit memory and innovations to rests, where they and their neighbours were observed."""
        seen = observed.double()
        rest = rest.double() * seen
        pair = seen[..., 1:] * seen[..., :-1]
        lagged = (rest[..., 1:] * rest[..., :-1]).sum((0, 2)) / pair.sum((0, 2)).clamp(min=1)
        power = rest.square().sum((0, 2)) / seen.sum((0, 2)).clamp(min=1)
        memory = (lagged / power.clamp(min=1e-12)).clamp(-_MOST, _MOST)
        new = (rest[..., 1:] - memory[:, None] * rest[..., :-1]) * pair
        flat, there = new.transpose(0, 1).flatten(1), pair.transpose(0, 1).flatten(1)
        covariance = (flat @ flat.T) / (there @ there.T).clamp(min=1)
        values, vectors = torch.linalg.eigh(covariance)  # pairs with gaps need not fit one another
        self.memory.copy_(memory)
        self.factor.copy_(vectors * values.clamp(min=0).sqrt())

    @torch.no_grad()
    def draw(
        self, rows: int, time: int, rng: torch.Generator
    ) -> Float[Tensor, "rows channels time"]:
        """Draw noise from its stationary distribution."""
        channels = len(self.memory)
        drawn = torch.randn(time, rows, channels, generator=rng).to(self.factor) @ self.factor.T
        now = drawn[0] / (1 - self.memory.square()).sqrt()
        found = [now]
        for step in drawn[1:]:
            now = self.memory * now + step
            found.append(now)
        return torch.stack(found, -1)
