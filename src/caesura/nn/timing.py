"""What is measured when, step after step: a prior of sampling times beside that of values.

Codes say where a series is dense; how gaps follow one another (a telescope's nights, a nurse's
rounds) is learned here. Ours; TimeMAR knows regular series alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class Timing(nn.Module):
    """A recurrent network over the steps of a grid, and over the channels within a step.

    It reads what was measured a step before, how long ago each channel was and what the codes say
    of the step; a channel also reads those before it in the same step.
    """

    def __init__(self, channels: int, width: int = 128) -> None:
        super().__init__()
        self.read = nn.GRU(3 * channels + 1, width, batch_first=True)
        self.say = nn.Linear(width, channels)
        self.within = nn.Parameter(torch.zeros(channels, channels))

    def forward(
        self,
        hints: Float[Tensor, "batch channels time"],
        observed: Bool[Tensor, "batch channels time"],
        history: Bool[Tensor, "batch channels time"] | None = None,
    ) -> Float[Tensor, "batch channels time"]:
        """Return the logits of each sample's being measured, given all that came before it.

        history: what is taken to have been measured in earlier steps; None: `observed`.
        """
        history = observed if history is None else history
        step = torch.arange(1, history.shape[-1] + 1, device=hints.device)
        last = torch.cummax(step * history, -1).values
        since, before = step - _before(last), _before(history.to(hints.dtype))
        state, _ = self.read(torch.cat([hints, before, *_ages(since)], 1).mT)
        within = self.within.tril(-1) @ observed.to(hints.dtype)
        said: Tensor = hints + self.say(state).mT + within
        return said

    @torch.no_grad()
    def draw(
        self, hints: Float[Tensor, "batch channels time"], rng: torch.Generator
    ) -> Bool[Tensor, "batch channels time"]:
        """Draw what is measured, a step and a channel at a time."""
        rows, channels, time = hints.shape
        uniform = torch.rand(time, channels, rows, generator=rng).to(hints.device)
        there = torch.zeros(rows, channels, device=hints.device)
        since = torch.ones_like(there)
        within, state, found = self.within.tril(-1), None, []
        for step in range(time):
            hint = hints[..., step]
            inputs = torch.cat([hint, there, *_ages(since)], 1)
            said, state = self.read(inputs[:, None], state)
            scores = hint + self.say(said[:, 0])
            there = torch.zeros_like(there)
            for channel in range(channels):
                score = scores[:, channel] + there @ within[channel]
                there[:, channel] = (uniform[step, channel] < score.sigmoid()).float()
            since = torch.where(there > 0, 1.0, since + 1)
            found.append(there > 0)
        return torch.stack(found, -1)


def _before(x: Tensor) -> Tensor:
    """Return each step's forerunner, 0 before the first."""
    return torch.cat([torch.zeros_like(x[..., :1]), x[..., :-1]], -1)


def _ages(since: Tensor) -> tuple[Tensor, Tensor]:
    """Return how the steps since each channel, and since any, are read: by their logarithm."""
    return since.log(), since.amin(1, keepdim=True).log()
