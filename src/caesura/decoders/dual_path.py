"""TimeMAR's decoder: trend and coarse season first, which then guide the fine season.

TimeMAR, arXiv 2601.11184, sec. 4.2. The fine path asks the coarse season that was decoded, never
the true one: there is none when a series is generated. It asks at the low rate that a coarse
season has, which says the same.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import DataError
from caesura.nn.dual_path import DilatedBlock, DualPathConfig, Mixer, centres
from caesura.nn.margins import Margins
from caesura.nn.residual import Residual
from caesura.nn.sincos import sin_cos
from caesura.nn.timing import Timing
from caesura.types import Features, Grid


class DualPathDecoderConfig(DualPathConfig):
    """Sizes; `guided`: whether the fine path asks the coarse season (off is an ablation).
    `presence`: also say how likely each sample was measured, for data with gaps."""

    type: Literal["dual_path"] = "dual_path"
    guided: bool = True
    presence: bool = False


class DualPathDecoder(nn.Module):
    """Predicts the samples of a Grid from the latent places of `encoders.dual_path`.

    A prediction is a mean: `noise` holds what is missing to a sample, in deviations that are
    predicted beside it; `margins` what bends both into the distribution of each channel; `timing`
    how what was measured hangs together beyond its probability.
    """

    def __init__(self, config: DualPathDecoderConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.noise = Residual(config.channels, 2**config.halvings)
        self.margins = Margins(config.channels)
        self.coarse = _Rise(config)
        self.basis = _Basis(config.channels, config.rank) if config.rank else None
        self.trend = nn.Conv1d(width, config.rows, 3, padding=1)
        self.spread = nn.Conv1d(width, config.channels, 3, padding=1)
        if config.presence:
            self.presence = nn.Conv1d(width, config.channels, 3, padding=1)
            self.timing = Timing(config.channels).requires_grad_(False)  # has a stage of its own
        if config.paths == "dual":
            self.season = nn.Conv1d(width, config.rows, 3, padding=1)
            self.fine = _Rise(config)
            self.detail = nn.Conv1d(width, config.rows, 3, padding=1)
            if config.guided:
                self.key = nn.Linear(config.rows, width)
                self.mix = Mixer(width, config.heads)
                self.after = DilatedBlock(width)

    def time_prior(self) -> Timing | None:
        """Return the prior of sampling times; None: all samples count as measured."""
        return self.timing if self.config.presence else None

    def forward(self, features: Features, query: Grid, split: bool = False) -> Float[Tensor, "..."]:
        """Predict the samples of a query, (batch, channels, time), on the scale of the features.

        split: give trend, coarse and fine part, which sum to it, and the logarithm of the deviation
        of what they leave, (batch, 4, channels, time), and with `presence` the logits of being
        measured as a fifth. The deviation is read from features as they are: no gradient goes
        through them.
        """
        latent, time = features.levels[-1].features.mT, query.values.shape[-1]
        if latent.shape[-1] * 2**self.config.halvings < time:
            raise DataError(
                f"{latent.shape[-1]} places of {2**self.config.halvings} samples are less than the "
                f"{time} samples that are asked for"
            )
        rough = self.coarse(latent)
        trend = self.trend(rough)[..., :time]
        if self.config.paths == "single":
            return self._joined([trend], rough[..., :time], split)
        season = _low_rate(self.season(rough)[..., :time], self.config.hop)
        x = self.fine(latent)[..., :time]
        if self.config.guided:
            x = self.after(self._guided(x, season.low).contiguous())
        detail = self.detail(F.silu(x))
        return self._joined([trend, season.whole, detail], x, split)

    def _joined(self, parts: list[Tensor], x: Tensor, split: bool) -> Tensor:
        """Return the sum of parts in the channels, or each beside the deviation read from x."""
        nothing = torch.zeros_like(parts[0])
        found = torch.stack(parts + [nothing] * (3 - len(parts)), 1)
        found = found if split else found.sum(1)
        if self.basis is not None:
            found = self.basis(found)
        if not split:
            return found
        whole = [found, self._spread(x)[:, None]]
        if self.config.presence:
            whole.append(self.presence(F.silu(x))[:, None])
        return torch.cat(whole, 1)

    def _spread(self, x: Tensor) -> Tensor:
        """Return log deviations (batch, channels, time), bounded so that none explodes.

        They change slowly: a level that was missed keeps for long, and times a deviation that
        leaps it would leap, too.
        """
        said = _low_rate(self.spread(F.silu(x.detach())), self.config.hop).whole
        return 4 * torch.tanh(said / 4) - 2

    def _guided(self, x: Tensor, low: Tensor) -> Tensor:
        """Return fine features (batch, width, time) with what they ask the coarse season."""
        keys, width = self.key(low.mT), x.shape[1]
        at = centres(keys.shape[1], self.config.hop, x)
        keys = keys + sin_cos(at[None, :, None], width)
        when = torch.arange(x.shape[-1], device=x.device, dtype=torch.float32)
        asked: Tensor = self.mix(x.mT + sin_cos(when[None, :, None], width), keys)
        return asked.mT


class _Slow(NamedTuple):
    """One value for `hop` samples, and the lines between them."""

    low: Tensor
    whole: Tensor


def _low_rate(x: Tensor, hop: int) -> _Slow:
    time = x.shape[-1]
    padded = F.pad(x, (0, -time % hop), mode="replicate")
    low = F.avg_pool1d(padded, hop)
    wide = F.interpolate(low, scale_factor=float(hop), mode="linear", align_corners=False)
    return _Slow(low, wide[..., :time])


class _Basis(nn.Module):
    """Channels as sums of directions; these begin as those that the encoder reads, and learn."""

    def __init__(self, channels: int, rank: int) -> None:
        super().__init__()
        self.directions = nn.Parameter(torch.randn(channels, rank) / rank**0.5)

    def forward(self, coefficients: Tensor) -> Tensor:
        made: Tensor = self.directions @ coefficients
        return made


class _Rise(nn.Module):
    """Convolutions that double the rate `halvings` times."""

    def __init__(self, config: DualPathConfig) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Conv1d(config.latent, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    DilatedBlock(width),
                    nn.Upsample(scale_factor=2.0),
                    nn.Conv1d(width, width, 3, padding=1),
                )
                for _ in range(config.halvings)
            ]
        )
        self.leave = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        risen: Tensor = self.leave(F.silu(x))
        return risen
