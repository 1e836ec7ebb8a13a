"""Scores of the codes of each scale, given the coarser scales and what is known besides.

TimeMAR's second stage, arXiv 2601.11184, sec. 4.3, with what its authors leave open: a condition of
a series (a vector, dropped at times so that it can be made stronger by guidance, Ho and Salimans
2022, arXiv 2207.12598), and samples that are known, which make one model impute and forecast too.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.dual_path import DilatedBlock
from caesura.nn.scale_transformer import Cache, ScaleTransformer, ScaleTransformerConfig


class ScalePrior(nn.Module):
    """From sums of coarser scales to scores of the next one's codes.

    latent: width of the sums; conditions: numbers of a series; channels: of the samples that may
    be known; halvings: of their rate down to the latent places.
    """

    def __init__(
        self,
        config: ScaleTransformerConfig,
        codes: int,
        latent: int,
        conditions: int,
        channels: int,
        halvings: int,
    ) -> None:
        super().__init__()
        width = config.width
        self.word = nn.Linear(latent, width)
        self.start = nn.Parameter(torch.randn(width) * 0.02)
        self.unknown = nn.Parameter(torch.randn(width) * 0.02)
        self.condition = (
            nn.Sequential(nn.Linear(conditions, width), nn.SiLU(), nn.Linear(width, width))
            if conditions
            else None
        )
        self.known = KnownSamples(channels, width, halvings)
        self.transformer = ScaleTransformer(config)
        self.score = nn.Linear(width, codes)
        with torch.no_grad():
            self.score.weight.mul_(0.02)  # even scores at first (VAR)

    def forward(
        self,
        sums: Sequence[Float[Tensor, "batch latent places"]],
        sizes: Sequence[int],
        known: Float[Tensor, "batch width places"],
        condition: Float[Tensor, "batch conditions"] | None = None,
        dropped: Bool[Tensor, " batch"] | None = None,
        first: int = 0,
        cache: Cache | None = None,
    ) -> list[Tensor]:
        """Return scores (batch, places, codes) of each of some scales, from `first` on.

        sizes: their places. sums: of the scales before each but scale 0, at any resolution.
        known: what `KnownSamples` says. dropped: rows whose condition is not shown.
        """
        rows = len(known)
        shown = self.unknown.expand(rows, -1)
        if condition is not None and self.condition is not None:
            shown = self.condition(condition)
            if dropped is not None:
                shown = torch.where(dropped[:, None], self.unknown, shown)
        sums = list(sums)
        parts = []
        for number, places in enumerate(sizes, first):
            if number == 0:
                x = (self.start + shown)[:, None].expand(-1, places, -1)
            else:
                x = self.word(F.adaptive_avg_pool1d(sums.pop(0), places).mT)
            parts.append(x + F.adaptive_avg_pool1d(known, places).mT)
        found = self.transformer(torch.cat(parts, 1), shown, sizes, first, cache)
        scores: Tensor = self.score(found)
        return list(torch.split(scores, list(sizes), 1))


class KnownSamples(nn.Module):
    """Reads samples that are known, (batch, channels, time), down to the latent places."""

    def __init__(self, channels: int, width: int, halvings: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(2 * channels, width, 3, padding=1)
        self.down = nn.ModuleList(
            [
                nn.Sequential(nn.Conv1d(width, width, 4, stride=2, padding=1), DilatedBlock(width))
                for _ in range(halvings)
            ]
        )
        self.multiple = 2**halvings

    def forward(
        self,
        values: Float[Tensor, "batch channels time"],
        seen: Bool[Tensor, "batch channels time"],
    ) -> Float[Tensor, "batch width places"]:
        """Return what is known near each place."""
        x = torch.cat([values * seen, seen.to(values.dtype)], 1)
        x = F.pad(x, (0, -x.shape[-1] % self.multiple))
        read: Tensor = self.enter(x)
        for halve in self.down:
            read = halve(read)
        return read
