"""Classifiers that try to tell synthetic windows from real ones, all repetitions at once.

TimeGAN (Yoon et al. 2019) trains one small GRU five times over and reports |accuracy - 1/2|. Here
the repetitions are blocks of one model: their small products fill the machine together.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

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
_TOGETHER = 64
"""Hidden units of all repetitions that are trained as one model: more would be slower."""


class BlockGRU(nn.Module):
    """Several GRUs side by side, as one whose weights between them are zero."""

    def __init__(self, copies: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.shape = (copies, inputs, hidden, outputs)
        self.gru = nn.GRU(copies * inputs, copies * hidden, batch_first=True)
        self.head = nn.Parameter(torch.empty(copies, hidden, outputs))
        self.bias = nn.Parameter(torch.zeros(copies, 1, outputs))
        bound = hidden**-0.5
        for weight in (*self.gru.parameters(), self.head):
            nn.init.uniform_(weight, -bound, bound)
        eye = torch.eye(copies)
        for name, size in (("weight_ih_l0", inputs), ("weight_hh_l0", hidden)):
            mask = torch.kron(eye, torch.ones(hidden, size)).repeat(3, 1)
            weight = getattr(self.gru, name)
            weight.data.mul_(mask)
            weight.register_hook(lambda grad, mask=mask: grad * mask)

    def forward(self, x: Tensor) -> Tensor:
        """Return (copies, rows, time, outputs) of windows (copies, rows, time, inputs)."""
        copies, _, hidden, _ = self.shape
        _, rows, time, _ = x.shape
        states, _ = self.gru(x.permute(1, 2, 0, 3).reshape(rows, time, -1))
        by_copy = states.view(rows, time, copies, hidden).permute(2, 0, 1, 3)
        said: Tensor = by_copy @ self.head[:, None] + self.bias[:, None]
        return said


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

    def forward(self, x: Tensor) -> Tensor:
        """Return (copies, rows) scores of windows (copies, rows, time, inputs)."""
        y = x.permute(1, 0, 3, 2).flatten(1, 2)
        for layer in self.layers:
            y = F.relu(layer(y))
        parts = y.view(len(y), self.copies, -1, y.shape[-1])
        both = torch.cat([parts.mean(-1), parts.amax(-1)], 2).flatten(1, 2)
        scores: Tensor = self.head(both[..., None])[..., 0].T
        return scores


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
    one, two = (
        torch.from_numpy(some[rng.permutation(len(some))[:count]]).mT.contiguous()
        for some in (a, b)
    )
    hidden = critic.hidden or max(1, a.shape[1] // 2)
    size = repeats if critic.kind == "conv" else max(1, min(repeats, _TOGETHER // hidden))
    found = []
    for first in range(0, repeats, size):
        copies = min(size, repeats - first)
        found.append(_scores(one, two, critic, hidden, copies, seed + first))
    return np.concatenate(found)


def _scores(
    real: Tensor, synthetic: Tensor, critic: Critic, hidden: int, copies: int, seed: int
) -> Floats:
    count = len(real)
    held = max(1, count // 5)
    rng = torch.Generator().manual_seed(seed)
    order = torch.stack([torch.randperm(count, generator=rng) for _ in range(2 * copies)])
    order = order.view(2, copies, count)
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        made: Any = (
            BlockConv(copies, real.shape[-1], hidden)
            if critic.kind == "conv"
            else BlockGRU(copies, real.shape[-1], hidden, 1)
        )
    say: Callable[[Tensor], Tensor] = (
        made if critic.kind == "conv" else lambda x: made(x)[:, :, -1, 0]
    )
    optimizer = torch.optim.Adam(made.parameters(), lr=critic.lr)
    batch = min(_BATCH, count - held)
    goal = torch.cat([torch.ones(copies, batch), torch.zeros(copies, batch)], 1)
    for _ in range(critic.steps):
        pick = torch.randint(held, count, (2, copies, batch), generator=rng)
        rows = order.gather(2, pick)
        loss = F.binary_cross_entropy_with_logits(
            say(torch.cat([real[rows[0]], synthetic[rows[1]]], 1)), goal
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss * copies)
        optimizer.step()
    right = torch.zeros(copies)
    with torch.no_grad():
        for begin in range(0, held, 512):
            part = order[:, :, begin : min(begin + 512, held)]
            right += (say(real[part[0]]) > 0).sum(1) + (say(synthetic[part[1]]) <= 0).sum(1)
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
    test, known = (torch.from_numpy(one).mT.contiguous() for one in (a, b))
    channels = test.shape[-1]
    inputs = [c for c in range(channels) if c != target % channels] or [0]
    hidden = max(1, channels // 2)
    rng = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.random.manual_seed(seed)
        made = BlockGRU(repeats, len(inputs), hidden, 1)
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-3)
    for _ in range(steps):
        rows = known[torch.randint(len(known), (repeats, min(_BATCH, len(known))), generator=rng)]
        said = made(rows[:, :, :-1, inputs])[..., 0].sigmoid()
        loss = (said - rows[:, :, 1:, target]).abs().mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss * repeats)
        optimizer.step()
    total = torch.zeros(repeats)
    with torch.no_grad():
        for begin in range(0, len(test), 512):
            part = test[begin : begin + 512].expand(repeats, -1, -1, -1)
            said = made(part[:, :, :-1, inputs])[..., 0].sigmoid()
            total += (said - part[:, :, 1:, target]).abs().mean(2).sum(1)
    return np.asarray((total / len(test)).numpy())


def _unit_range(real: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Return both in shares of the real ones' range, in float32."""
    low, high = real.min((0, 2), keepdims=True), real.max((0, 2), keepdims=True)
    spread = np.where(high > low, high - low, 1.0)
    return ((real - low) / spread).astype(np.float32), ((other - low) / spread).astype(np.float32)
