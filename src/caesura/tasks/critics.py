"""Classifiers that try to tell synthetic windows from real ones, all repetitions at once.

TimeGAN (Yoon et al. 2019) trains one small GRU five times over and reports |accuracy - 1/2|. Here
the repetitions are copies within one model: their small products fill the machine together.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.parallel_gru import ParallelGRU
from caesura.system import freed_memory_kept
from caesura.training.precision import refuse_dynamic_teams

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Critic:
    """A kind of classifier and how it is trained; `hidden` 0: half of the channels (TimeGAN)."""

    kind: str
    hidden: int
    steps: int
    lr: float


CRITICS = {
    "timegan": Critic("gru", 0, 2000, 1e-3),
    "gru": Critic("gru", 64, 600, 3e-3),
    "conv": Critic("conv", 32, 600, 3e-3),
}
"""TimeGAN's has half as many hidden units as there are channels. The others see more: a GRU of 64,
and two layers of convolutions."""
_BATCH = 128
_MOST_BYTES = 1 << 29
"""What the repetitions that are trained as one model may keep of a step; more follow after."""


class BlockGRU(nn.Module):
    """Several GRUs side by side, each with a linear head."""

    def __init__(self, copies: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.gru = ParallelGRU(copies, inputs, hidden)
        bound = hidden**-0.5
        self.head = nn.Parameter(torch.empty(copies, 1, hidden).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(copies, 1, 1))

    @staticmethod
    def room(steps: int, inputs: int, hidden: int) -> int:
        """Return the bytes that a copy keeps of a step of training."""
        return 4 * 2 * _BATCH * steps * (6 * hidden + 2 * inputs + 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return what copies say at each step (time, rows, copies).

        Of windows (time, copies, inputs, rows).
        """
        said: Tensor = self.head @ self.gru(x) + self.bias
        return said[:, :, 0].mT

    def pool(self, windows: Tensor) -> Tensor:
        """Return windows (count, channels, time) as `scores` reads them."""
        return windows.permute(2, 0, 1).contiguous()

    def scores(self, pool: Tensor, rows: Tensor) -> Tensor:
        """Return what each copy says at the end of its own windows, by their places in the pool.

        rows and the scores: (rows, copies).
        """
        said: Tensor = self.head @ self.gru(own_windows(pool, rows))[-1] + self.bias
        return said[:, 0].mT


def own_windows(pool: Tensor, rows: Tensor) -> Tensor:
    """Return what each copy reads (time, copies, channels, rows) of a pool (time, count, channels).

    rows: (rows, copies).
    """
    picked = pool.index_select(1, rows.mT.flatten())
    return picked.view(len(pool), rows.shape[1], rows.shape[0], -1).mT


class BlockConv(nn.Module):
    """Several convolutional networks side by side, as one of grouped convolutions."""

    def __init__(self, copies: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.copies = copies
        sizes = (inputs, hidden, 2 * hidden)
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(copies * a, copies * b, 5, padding=2, groups=copies)
                for a, b in itertools.pairwise(sizes)
            ]
        )
        self.head = nn.Conv1d(copies * 4 * hidden, copies, 1, groups=copies)

    def pool(self, windows: Tensor) -> Tensor:
        """Return windows (count, channels, time) as `scores` reads them."""
        return windows

    def scores(self, pool: Tensor, rows: Tensor) -> Tensor:
        """Return what each copy says of its own windows, by their places in the pool.

        rows and the scores: (rows, copies).
        """
        y = pool.index_select(0, rows.flatten()).view(len(rows), -1, pool.shape[-1])
        for layer in self.layers:
            y = F.relu(layer(y))
        parts = y.view(len(y), self.copies, -1, y.shape[-1])
        both = torch.cat([parts.mean(-1), parts.amax(-1)], 2).flatten(1, 2)
        said: Tensor = self.head(both[..., None])[..., 0]
        return said


def discriminative_scores(
    real: Floats, synthetic: Floats, critic: Critic, repeats: int = 5, seed: int = 0
) -> Floats:
    """Return |accuracy - 1/2| of each repetition on a fifth of both sets that it did not see.

    Windows (count, channels, time); both are scaled to [0, 1] by the real ones' range, and the
    larger set is thinned to the smaller.
    """
    refuse_dynamic_teams()
    a, b = _unit_range(real, synthetic)
    count = min(len(a), len(b))
    rng = np.random.default_rng(seed)
    both = np.concatenate([some[rng.permutation(len(some))[:count]] for some in (a, b)])
    hidden = critic.hidden or max(1, a.shape[1] // 2)
    size, found = repeats, []
    if critic.kind == "gru":
        size = max(1, min(repeats, _MOST_BYTES // BlockGRU.room(a.shape[2], a.shape[1], hidden)))
    with freed_memory_kept():
        for first in range(0, repeats, size):
            copies = min(size, repeats - first)
            found.append(_scores(torch.from_numpy(both), critic, hidden, copies, seed + first))
    return np.concatenate(found)


def _scores(both: Tensor, critic: Critic, hidden: int, copies: int, seed: int) -> Floats:
    """Return the scores of some copies on real windows, followed by as many synthetic ones."""
    count = len(both) // 2
    held = max(1, count // 5)
    rng = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(count, generator=rng) for _ in range(2 * copies)])
    order = order.view(2, copies, count)
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        kind = BlockConv if critic.kind == "conv" else BlockGRU
        made = kind(copies, both.shape[1], hidden)
    pool = made.pool(both)

    def say(pick: Tensor) -> Tensor:
        """Return scores (2, picked, copies) of the real and synthetic windows at these places."""
        rows = order.gather(2, pick)
        rows[1] += count
        return made.scores(pool, rows.transpose(1, 2).flatten(0, 1)).view(2, -1, copies)

    optimizer = torch.optim.Adam(made.parameters(), lr=critic.lr, fused=True)
    batch = min(_BATCH, count - held)
    goal = torch.tensor([1.0, 0.0])[:, None, None].expand(2, batch, copies)
    for _ in range(critic.steps):
        pick = torch.randint(held, count, (2, copies, batch), generator=rng)
        loss = F.binary_cross_entropy_with_logits(say(pick), goal)
        optimizer.zero_grad()
        torch.autograd.backward(loss * copies)
        optimizer.step()
    right = torch.zeros(copies)
    with torch.no_grad():
        for begin in range(0, held, 512):
            pick = torch.arange(begin, min(begin + 512, held)).expand(2, copies, -1)
            said = say(pick)
            right += (said[0] > 0).sum(0) + (said[1] <= 0).sum(0)
    return np.asarray((right / (2 * held) - 0.5).abs().numpy())


def predictive_scores(
    train: Floats,
    real: Floats,
    repeats: int = 5,
    target: int = -1,
    steps: int = 5000,
    seed: int = 0,
) -> Floats:
    """Return the mean absolute error on real windows of a GRU that learned from `train`.

    TimeGAN's score as its followers compute it: the other channels up to a time tell the target
    channel a step later; with one channel its own past does. In shares of the real range.
    """
    refuse_dynamic_teams()
    a, b = _unit_range(real, train)
    channels = real.shape[1]
    target %= channels
    inputs = [c for c in range(channels) if c != target] or [0]
    test, known = (torch.from_numpy(one).permute(2, 0, 1) for one in (a, b))
    before, after = known[:-1, :, inputs].contiguous(), known[1:, :, target, None].contiguous()
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        made = BlockGRU(repeats, len(inputs), max(1, channels // 2))
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-3, fused=True)
    batch = min(_BATCH, len(b))
    with freed_memory_kept():
        for _ in range(steps):
            rows = torch.randint(len(b), (repeats, batch), generator=rng).T
            wanted = own_windows(after, rows)[:, :, 0].mT
            loss = (made(own_windows(before, rows)).sigmoid() - wanted).abs().mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss * repeats)
            optimizer.step()
    total = torch.zeros(repeats)
    with torch.no_grad():
        for part in torch.split(test, 512, 1):
            x = part[:-1, :, inputs].mT[:, None].expand(-1, repeats, -1, -1)
            total += (made(x).sigmoid() - part[1:, :, target, None]).abs().mean(0).sum(0)
    return np.asarray((total / len(a)).numpy())


def _unit_range(real: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return both in shares of the real ones' range, in float32."""
    low, high = real.min((0, 2), keepdims=True), real.max((0, 2), keepdims=True)
    spread = np.where(high > low, high - low, 1.0)
    return ((real - low) / spread).astype(np.float32), ((other - low) / spread).astype(np.float32)
