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
_FEW = 1000
"""Pairs of measured samples that count as much as what is expected without them."""
_BESIDE = (1.0, 0.25)
"""Weights of pairs one and two samples nearer or further apart in what is expected of a lag."""
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
        """Fit to rests; windows of less than two vectors have no memory.

        Where samples are missing, each covariance is of those where both were measured, and drawn
        towards what other places of a vector say, since of two that seldom meet it says nothing.
        """
        rest = rest.double() * observed
        self.edges.copy_(self._edges_of(rest, observed))
        rest = rest / self._profile(rest.shape[-1])
        vectors, seen = self._vectors(rest), self._vectors(observed.double())
        width, several = vectors.shape[-1], vectors.shape[1] > 1
        rows, there = (_pairs(x) if several else x.flatten(0, 1) for x in (vectors, seen))
        whole = bool(observed.all())
        if whole:
            joint = rows.T @ rows / len(rows)
        else:
            joint = _of_gaps(rows, there, *_by_lag(rest, observed, self.hop * (1 + several)))
        own, after = joint[:width, :width], joint[-width:, -width:]
        with_next = joint[width:, :width] if several else torch.zeros_like(own)
        # own and after differ little, but their mean is no covariance of neighbours: noise that is
        # smooth would jump where a vector begins
        ridge = _RIDGE * own.diagonal().mean().clamp(min=1e-12)
        solvable = own + ridge * torch.eye(width, dtype=own.dtype, device=own.device)
        memory = torch.linalg.solve(solvable, with_next.T).T
        largest = torch.linalg.eigvals(memory).abs().max()
        memory = memory * (_MOST / largest.clamp(min=_MOST))
        first, factor = _root(own), _root(after - memory @ own @ memory.T)
        if not whole:
            memory, first, factor = _settled(memory, factor, own.diagonal(), vectors.shape[1])
        self.memory.copy_(memory)
        self.first.copy_(first)
        self.factor.copy_(factor)

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


def _by_lag(
    rest: Float[Tensor, "rows channels time"],
    observed: Bool[Tensor, "rows channels time"],
    many: int,
) -> tuple[Float[Tensor, "lags channels channels"], Float[Tensor, " channels"]]:
    """Return correlations of samples up to `many` - 1 apart, the later channel last, over the whole
    windows, and deviations of channels.

    Of few pairs a channel's own are drawn to those of lags beside, and all others to 0.
    """
    time, seen = rest.shape[-1], observed.double()
    sums: list[Tensor] = []
    counts: list[Tensor] = []
    for lag in range(many):
        for found, x in ((sums, rest), (counts, seen)):
            early, late = x[..., : max(time - lag, 0)], x[..., lag:]
            found.append(torch.einsum("nit, njt -> ij", early, late))
    power, count = sums[0].diagonal(), counts[0].diagonal()
    deviation = (power / count.clamp(min=1)).sqrt().clamp(min=1e-12)
    for found in (sums, counts):  # its own sample says nothing of those beside it
        found[0] = found[0] - torch.diag(found[0].diagonal())
        found[:0] = [x.T for x in found[:0:-1]]
    total, pairs = torch.stack(sums) / deviation / deviation[:, None], torch.stack(counts)
    own = _beside(total.diagonal(dim1=1, dim2=2)) / (_beside(pairs.diagonal(dim1=1, dim2=2)) + _FEW)
    expected = torch.diag_embed(own)
    correlation = (total + _FEW * expected) / (pairs + _FEW)
    correlation[many - 1].fill_diagonal_(1.0)
    return correlation, deviation


def _beside(x: Float[Tensor, "lags ..."]) -> Float[Tensor, "lags ..."]:
    """Return the sum of what stands one and two lags from each, by weights."""
    found = torch.zeros_like(x)
    for apart, weight in enumerate(_BESIDE, 1):
        found[apart:] += weight * x[:-apart]
        found[:-apart] += weight * x[apart:]
    return found


def _of_gaps(
    rows: Float[Tensor, "n width"],
    seen: Float[Tensor, "n width"],
    correlation: Float[Tensor, "lags channels channels"],
    deviation: Float[Tensor, " channels"],
) -> Float[Tensor, "width width"]:
    """Return the covariance of rows of which some numbers were seen, near what lags lead to expect.

    Means over different rows need not fit one another: of what comes out the nearest covariance is
    taken, with the variances that were measured.
    """
    many = (len(correlation) + 1) // 2
    place = torch.arange(many, device=correlation.device)
    expected = (
        correlation[many - 1 + place - place[:, None]].transpose(1, 2).flatten(2).flatten(0, 1)
    )
    size = deviation.repeat(many)
    rows = rows / size
    found = (rows.T @ rows + _FEW * expected) / (seen.T @ seen + _FEW)
    root = _root(found)
    nearest = root @ root.T
    size = size * (found.diagonal() / nearest.diagonal().clamp(min=1e-12)).sqrt()
    return nearest * size * size[:, None]


def _root(covariance: Tensor) -> Tensor:
    """Return a factor of the nearest covariance that is one."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    factor: Tensor = vectors * values.clamp(min=0).sqrt()
    return factor


def _settled(
    memory: Float[Tensor, "width width"],
    factor: Float[Tensor, "width width"],
    variance: Float[Tensor, " width"],
    steps: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return memory, first and factor of noise that has a variance from its first vector on.

    Where covariances were pieced together, what follows would be wider than what goes before. It
    starts as it would be after `steps` vectors at least, in sizes that make its variance right.
    """
    later, jump = factor @ factor.T, memory
    for _ in range(max(1, (steps - 1).bit_length())):
        later, jump = later + jump @ later @ jump.T, jump @ jump
    size = (variance / later.diagonal().clamp(min=1e-12 * float(variance.mean()))).sqrt()[:, None]
    return memory * size / size.T.clamp(min=1e-12), size * _root(later), size * factor
