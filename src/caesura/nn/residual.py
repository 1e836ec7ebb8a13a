"""What a decoder's mean leaves out, as noise that can be drawn.

A decoder of codes predicts means, so that what it cannot tell would be missing from synthetic
series: white noise would come out flat. What is left has a course of its own: it is smooth within a
place of the codes, jumps between two, and keeps for long where a level was missed. So all samples
of a place, of all channels, are one vector, and each vector follows from the one before. Ours;
TimeMAR has nothing of the kind.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_MOST = 0.999
"""Largest size of an eigenvalue of the memory, so that noise stays bounded."""
_WIDEST = 512
"""Numbers of a vector beyond which it holds fewer samples of many channels."""
_RIDGE = 1e-6
"""Share of the mean variance that keeps the covariance of a vector invertible."""


class Residual(nn.Module):
    """Noise (rows, channels, time) like the rests it was measured on; none before.

    Vectors of `hop` samples of all channels: x_0 = first z_0, x_k = memory x_(k-1) + factor z_k,
    z standard normal. The covariances within a vector and of neighbouring ones are the measured
    ones, of what is left when the first and last `hop` samples of a window are divided by their
    deviations beside the others' (`edges`): codes know only one side there and miss more.
    """

    edges: Tensor
    memory: Tensor
    first: Tensor
    factor: Tensor

    def __init__(self, channels: int, hop: int) -> None:
        super().__init__()
        self.hop = max(1, min(hop, _WIDEST // channels))
        width = channels * self.hop
        for name in ("memory", "first", "factor"):
            self.register_buffer(name, torch.zeros(width, width))
        self.register_buffer("edges", torch.ones(2, self.hop))

    @torch.no_grad()
    def measure(
        self,
        rest: Float[Tensor, "rows channels time"],
        observed: Bool[Tensor, "rows channels time"],
    ) -> None:
        """Fit to rests, each covariance where both of its samples were observed.

        Windows of less than two vectors have no memory.
        """
        rest = rest.double() * observed
        self.edges.copy_(self._edges_of(rest, observed))
        seen = self._vectors(observed.double())
        vectors = self._vectors(rest / self._profile(rest.shape[-1]))
        width = vectors.shape[-1]
        if vectors.shape[1] > 1:
            joint = _covariance(_pairs(vectors), _pairs(seen))
            own, after = joint[:width, :width], joint[width:, width:]
            with_next = joint[width:, :width]
        else:
            own = after = _covariance(vectors.flatten(0, 1), seen.flatten(0, 1))
            with_next = torch.zeros_like(own)
        # own and after differ little, but their mean is no covariance of neighbours: noise that is
        # smooth would jump where a vector begins
        ridge = _RIDGE * own.diagonal().mean().clamp(min=1e-12)
        solvable = own + ridge * torch.eye(width, dtype=own.dtype, device=own.device)
        memory = torch.linalg.solve(solvable, with_next.T).T
        largest = torch.linalg.eigvals(memory).abs().max()
        memory = memory * (_MOST / largest.clamp(min=_MOST))
        self.memory.copy_(memory)
        self.first.copy_(_root(own))
        self.factor.copy_(_root(after - memory @ own @ memory.T))

    @torch.no_grad()
    def draw(
        self, rows: int, time: int, rng: torch.Generator
    ) -> Float[Tensor, "rows channels time"]:
        """Draw noise; vectors begin with the first sample."""
        width, count = len(self.memory), -(-time // self.hop)
        drawn = torch.randn(count, rows, width, generator=rng).to(self.factor)
        now = drawn[0] @ self.first.T
        found = [now]
        for step in drawn[1:]:
            now = now @ self.memory.T + step @ self.factor.T
            found.append(now)
        by_channel = torch.stack(found, 1).view(rows, count, self.hop, -1).permute(0, 3, 1, 2)
        noise: Tensor = by_channel.flatten(2)[..., :time] * self._profile(time)
        return noise

    @torch.no_grad()
    def correlation(self, lags: int) -> Float[Tensor, "channels lags"]:
        """Return how a channel's noise goes with its own of 0 to lags - 1 samples before, mean over
        places within a vector; 0 of a channel without noise."""
        width, hop = len(self.memory), self.hop
        memory, ahead = self.memory.double(), self.first.double() @ self.first.double().T
        found = torch.zeros(width // hop, lags, dtype=ahead.dtype, device=ahead.device)
        for first in range(0, lags + hop - 1, hop):  # of vectors that begin so many samples apart
            later = ahead.view(hop, -1, hop, width // hop).diagonal(dim1=1, dim2=3)
            for more in range(1 - hop, hop):
                if 0 <= (lag := first + more) < lags:
                    found[:, lag] += later.diagonal(-more).sum(-1) / hop
            ahead = memory @ ahead
        power = found[:, :1]
        return torch.where(power > 0, found / power.clamp(min=1e-12), 0.0)

    def _edges_of(self, rest: Tensor, observed: Tensor) -> Float[Tensor, "ends hop"]:
        """Return deviations of the first and the last samples beside those between, 1 where there
        are none or nothing is between."""
        hop = self.hop
        if rest.shape[-1] <= 2 * hop:
            return torch.ones_like(self.edges)
        power, count = rest.square().sum((0, 1)), observed.double().sum((0, 1))
        between = power[hop:-hop].sum() / count[hop:-hop].sum()
        found = torch.stack([(power / count)[:hop], (power / count)[-hop:]]) / between
        known = found.isfinite() & (found > 0)
        return torch.where(known, found, 1.0).sqrt()

    def _profile(self, time: int) -> Float[Tensor, " time"]:
        """Return the deviation of each sample of a window beside those between its ends."""
        found = torch.ones(time, dtype=self.edges.dtype, device=self.edges.device)
        if time > 2 * self.hop:
            found[: self.hop], found[-self.hop :] = self.edges
        return found

    def _vectors(self, x: Float[Tensor, "rows channels time"]) -> Tensor:
        """Return (rows, vectors, hop x channels); what does not fill the last one is left out, but
        of windows that are shorter than one."""
        x = x[..., : max(self.hop, x.shape[-1] // self.hop * self.hop)]
        x = nn.functional.pad(x, (0, -x.shape[-1] % self.hop))
        rows, channels, time = x.shape
        return x.view(rows, channels, time // self.hop, self.hop).permute(0, 2, 3, 1).flatten(2)


def _pairs(vectors: Tensor) -> Float[Tensor, "pairs twice"]:
    """Return each vector beside the next."""
    return torch.cat([vectors[:, :-1], vectors[:, 1:]], 2).flatten(0, 1)


def _covariance(x: Float[Tensor, "n width"], seen: Float[Tensor, "n width"]) -> Tensor:
    """Return the mean products of columns, each over rows where both were seen, made to fit one
    another: means over different rows need not."""
    found = (x.T @ x) / (seen.T @ seen).clamp(min=1)
    root = _root(found)
    return root @ root.T


def _root(covariance: Tensor) -> Tensor:
    """Return a factor of the nearest covariance that is one."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    factor: Tensor = vectors * values.clamp(min=0).sqrt()
    return factor
