"""Quantises a sequence coarse to fine: each scale codes what the coarser ones left over.

The residual form of VAR (Tian et al. 2024, arXiv 2404.02905) in one dimension, with one codebook
for all scales that follows its vectors by moving averages (van den Oord et al. 2017, arXiv
1711.00937, appendix A). TimeMAR (arXiv 2601.11184, sec. 4.3) says no more than "shared codebook".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

Draw = Callable[[int], Tensor]
"""Gives uniform numbers in [0, 1), (batch, count), a row each from its own key."""
_CHUNK = 1024
"""Vectors whose scores are held at a time: 2 MB at 512 codes, which stays in the cache."""
_OFFERED = 1 / 16
"""Share of a step's vectors that are offered to codes nobody uses."""
_LEAST_USE = 0.05
"""Mean uses a step below which a code is replaced by an offered vector."""


class QuantiserConfig(BaseModel):
    """Settings of the codebook and the scales.

    ratio: of the places of a scale to those of the one before; scales: given instead. again: how
    often the finest scale is coded once more, each time what is left then. decay: of the moving
    averages. refiners: small convolutions that smooth a scale's codes, shared by
    neighbouring scales. beta: weight of the commitment of vectors to codes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: int = Field(default=512, gt=1, le=65_536)
    width: int = Field(default=32, gt=0, le=4096)
    ratio: float = Field(default=2.0, gt=1)
    scales: tuple[int, ...] = ()
    again: int = Field(default=0, ge=0, le=256)
    decay: float = Field(default=0.99, gt=0, lt=1)
    beta: float = Field(default=0.25, ge=0)
    refiners: int = Field(default=2, ge=0, le=16)


def geometric_scales(places: int, ratio: float) -> tuple[int, ...]:
    """Return 1 to `places`, each about `ratio` times the one before."""
    found = [1]
    while found[-1] < places:
        found.append(min(places, max(found[-1] + 1, math.ceil(found[-1] * ratio))))
    return tuple(found)


def nearest_codes(
    vectors: Float[Tensor, "rows width"], codes: Float[Tensor, "codes width"]
) -> Int64[Tensor, " rows"]:
    """Return the code nearest to each vector, in float32, without the distances themselves.

    |v - c|^2 is least where |c|^2 / 2 - v c is: one product and a sum, in chunks.
    """
    with torch.autocast(vectors.device.type, enabled=False):
        codes, half = codes.float(), codes.float().square().sum(1) / 2
        parts = [
            _least(torch.addmm(half, part.float(), codes.T, alpha=-1))
            for part in torch.split(vectors, _CHUNK)
        ]
    return torch.cat(parts)


def _least(scores: Float[Tensor, "rows codes"]) -> Int64[Tensor, " rows"]:
    """Return the place of the least score; numpy finds it ten times as fast as torch on a CPU."""
    if scores.device.type != "cpu":
        return scores.argmin(1)
    return torch.from_numpy(scores.detach().numpy().argmin(1))


class Quantised(NamedTuple):
    """What quantising gives.

    codes: (batch, places of a scale) of each scale, coarse to fine. partial: (batch, width,
    places), the sum of the scales up to each. commitment: of vectors to sums, and of sums to
    vectors, mean over scales, of each row. carry: what the codebook learns from.
    """

    codes: list[Tensor]
    partial: list[Tensor]
    commitment: Tensor
    carry: Mapping[str, Tensor]


class ScaleQuantiser(nn.Module):
    """A codebook, and how codes of several scales make a sequence.

    `codes` moves by `learn`, once a step, never by a gradient; codes that are hardly used become
    vectors of the last batch, which is how the book begins too.
    """

    codes: Tensor
    hits: Tensor
    sums: Tensor

    def __init__(self, config: QuantiserConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codes", torch.randn(config.codes, config.width) * 0.01)
        self.register_buffer("hits", torch.zeros(config.codes))
        self.register_buffer("sums", torch.zeros(config.codes, config.width))
        self.refine = nn.ModuleList(
            [
                nn.Conv1d(config.width, config.width, 3, padding=1, padding_mode="replicate")
                for _ in range(config.refiners)
            ]
        )

    def scales(self, places: int) -> tuple[int, ...]:
        """Return the places of each scale of a sequence; a list of others is a ValueError."""
        given, more = self.config.scales, (places,) * self.config.again
        if not given:
            return geometric_scales(places, self.config.ratio) + more
        if given[-1] != places or list(given) != sorted(set(given)):
            raise ValueError(f"scales {given} for {places} places; they must rise to it")
        return given + more

    def forward(
        self,
        latent: Float[Tensor, "batch width places"],
        draw: Draw,
        corrupted: float = 0.0,
    ) -> Quantised:
        """Quantise; a share of the codes is replaced by any others before later scales see them.

        `codes` are the right ones for what the scales before have left, replaced ones included: so
        finer scales learn to mend coarser ones.
        """
        wanted = latent.detach().float()
        scales = self.scales(latent.shape[-1])
        so_far = torch.zeros_like(wanted)
        codes, partial, commitments = [], [], []
        vectors, chosen = [], []
        for number, places in enumerate(scales):
            left = wanted - so_far.detach()
            part = F.adaptive_avg_pool1d(left, places).mT.flatten(0, 1)
            code = nearest_codes(part, self.codes).view(len(latent), places)
            vectors.append(part.view(len(latent), places, -1))
            chosen.append(code)
            used = _corrupted(code, draw, len(self.codes), corrupted) if corrupted else code
            so_far = so_far + self._laid_out(used, number, scales)
            codes.append(code)
            partial.append(so_far)
            near = (so_far.detach() - latent.float()).square().mean((1, 2))
            commitments.append(self.config.beta * near + (so_far - wanted).square().mean((1, 2)))
        carry = self._learned_from(torch.cat(vectors, 1), torch.cat(chosen, 1), draw)
        return Quantised(codes, partial, torch.stack(commitments).mean(0), carry)

    def add(self, so_far: Tensor, code: Tensor, number: int, places: int) -> Tensor:
        """Return the sum of scales with one more: `number` in the scales of `places`."""
        return so_far + self._laid_out(code, number, self.scales(places))

    def _laid_out(self, code: Tensor, number: int, scales: tuple[int, ...]) -> Tensor:
        """Return a scale's codes (batch, places) as (batch, width, all places), smoothed."""
        at = F.embedding(code, self.codes.float()).mT
        if code.shape[1] != scales[-1]:
            at = F.interpolate(at, size=scales[-1], mode="linear", align_corners=False)
        if not self.refine:
            return at
        share = number / max(len(scales) - 1, 1)
        refine = self.refine[round(share * (len(self.refine) - 1))]
        smoothed: Tensor = 0.5 * at + 0.5 * refine(at).float()
        return smoothed

    def _learned_from(self, vectors: Tensor, chosen: Tensor, draw: Draw) -> dict[str, Tensor]:
        """Return uses and sums of each code, and some vectors laid on codes by chance."""
        with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
            flat, size = vectors.flatten(0, 1), len(self.codes)
            ones = torch.ones(len(flat), 1, device=flat.device)
            offered = draw(chosen.shape[1]).flatten() < _OFFERED
            slot = (draw(chosen.shape[1]) * size).long().flatten()
            return {
                "code_hits": _count(chosen.flatten(), ones, size)[:, 0],
                "code_sums": _count(chosen.flatten(), flat, size),
                "offered": _count(slot[offered], ones[offered], size)[:, 0],
                "offered_sums": _count(slot[offered], flat[offered], size),
            }

    @torch.no_grad()
    def learn(self, carry: Mapping[str, Tensor]) -> None:
        """Move the codes to the averages of their vectors; replace those that are hardly used."""
        kept = self.config.decay
        self.hits.mul_(kept).add_(carry["code_hits"].to(self.hits), alpha=1 - kept)
        self.sums.mul_(kept).add_(carry["code_sums"].to(self.sums), alpha=1 - kept)
        used = self.hits > _LEAST_USE
        self.codes.copy_(
            torch.where(used[:, None], self.sums / self.hits.clamp(min=1e-9)[:, None], self.codes)
        )
        offered = carry["offered"].to(self.hits)
        fresh = ~used & (offered > 0)
        vector = carry["offered_sums"].to(self.sums) / offered.clamp(min=1)[:, None]
        self.codes.copy_(torch.where(fresh[:, None], vector, self.codes))
        self.sums.copy_(torch.where(fresh[:, None], vector, self.sums))
        self.hits.copy_(torch.where(fresh, torch.ones_like(self.hits), self.hits))

    def usage(self, codes: list[Tensor]) -> dict[str, Tensor]:
        """Return how many codes some sequences use, and their perplexity."""
        count = torch.bincount(torch.cat([c.flatten() for c in codes]), minlength=len(self.codes))
        share = count / count.sum()
        return {
            "codes_in_use": (count > 0).sum().float(),
            "perplexity": torch.special.entr(share).sum().exp(),
        }


def _corrupted(code: Tensor, draw: Draw, codes: int, share: float) -> Tensor:
    drawn, other = draw(code.shape[1]), (draw(code.shape[1]) * codes).long()
    return torch.where(drawn < share, other, code)


def _count(which: Tensor, what: Tensor, size: int) -> Tensor:
    """Return the sum of rows by number, (size, columns)."""
    total = torch.zeros(size, what.shape[1], device=what.device)
    return total.index_add_(0, which, what.float())
