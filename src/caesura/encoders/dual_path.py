"""TimeMAR's encoder: trend and coarse season through one path, the fine season through its own.

TimeMAR, arXiv 2601.11184, sec. 4.2. The text names the parts; sizes, the form of the attention in
the frequency domain (time asks the bins of the spectrum) and the fusion are our choice.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.basis import ChannelBasis
from caesura.nn.decompose import Components, Decomposition
from caesura.nn.dual_path import DilatedBlock, DualPathConfig, Mixer, centres
from caesura.nn.normalise import Normalise, at_least_float
from caesura.nn.sincos import sin_cos
from caesura.signal.patch import sample_tokens
from caesura.types import Features, Grid, Level, Scale, Tokens

_TURNS = 100.0
"""Position of the highest frequency, where a sample is 1 apart from the next."""


class DualPathEncoderConfig(DualPathConfig):
    """Sizes, and what the data give: the lengths of the trend's averages, center and spread.

    bins: of the spectrum that are looked at, the lowest. explained: share of the channels' variance
    by which `rank` is chosen where it is not given; 0: channels are read as they are. scaling:
    "standard" by mean and deviation; "asinh" by median and quartile range, logarithmic beyond
    that, for values that span magnitudes.
    """

    type: Literal["dual_path"] = "dual_path"
    kernels: tuple[int, ...] = Field(default=(3, 7, 13), min_length=1, max_length=16)
    bins: int = Field(default=128, gt=0, le=65_536)
    explained: float = Field(default=0.0, ge=0, le=1)
    center: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    scaling: Literal["standard", "asinh"] = "standard"

    @model_validator(mode="after")
    def _read_by_one_scale(self) -> DualPathEncoderConfig:
        if self.scaling == "asinh" and (self.rank or self.explained):
            raise ValueError(
                "a basis is of channels by their deviations; leave out scaling=asinh, or rank and "
                "explained"
            )
        return self


class DualPathEncoder(nn.Module):
    """Encodes a Grid of any length to one level of ceil(T / 2^halvings) places.

    Samples that were not observed are zeros, beside a flag a channel that says so.
    """

    consumes = Grid
    reads_tokens = False
    order: Literal["full", "causal"] = "full"
    summary_width = 0

    def __init__(self, config: DualPathEncoderConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.normalise = Normalise(
            config.channels, "standard", "fixed", config.center, config.spread,
            bent=config.scaling == "asinh",
        )  # fmt: skip
        self.basis = ChannelBasis(config.channels, config.rank) if config.rank else None
        self.decompose = Decomposition(config.kernels, config.hop)
        self.coarse = _Path(config)
        self.which = nn.Parameter(torch.randn(2, width, 1) * 0.1)
        paths = 1
        if config.paths == "dual":
            paths = 3
            self.fine = _Path(config)
            self.bin = nn.Linear(2 * config.rows, width)
            self.mix = Mixer(width, config.heads)
        self.fuse = nn.Conv1d(paths * width, config.latent, 1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of the one level."""
        return (self.config.latent,)

    @property
    def hop(self) -> int:
        """Samples of a place."""
        return 1 << self.config.halvings

    def scale_of(self, inputs: Grid) -> Scale:
        """Return what an input is normalised by."""
        scale: Scale = self.normalise(inputs)
        return scale

    def tokenise(self, inputs: Grid | Tokens) -> Tokens:
        """Return a token for each sample, of all channels."""
        return sample_tokens(inputs)

    def components(self, inputs: Grid, scale: Scale) -> Components:
        """Return trend, coarse and fine part of the normalised values, or of what a basis keeps."""
        parts, _ = self._parts(inputs, scale)
        if self.basis is None:
            return parts
        return Components(*(self.basis.channels(part) for part in parts))

    def _parts(self, inputs: Grid, scale: Scale) -> tuple[Components, Tensor]:
        """Return the parts of what is read (batch, rows, time), and how much of it is missing."""
        values = scale.normalised(at_least_float(inputs.values)).float() * inputs.observed
        absent = (~inputs.observed).float()
        if self.basis is not None:
            values, absent = self.basis.read(values, inputs.observed)
        if self.config.paths == "single":
            nothing = torch.zeros_like(values)
            return Components(values, nothing, nothing), absent
        seen = inputs.observed if self.basis is None else absent < 1
        return self.decompose(values, seen), absent

    def forward(self, inputs: Grid, every_layer: bool = False) -> Features:
        """Encode; there is one layer, so `every_layer` changes nothing."""
        scale = self.scale_of(inputs)
        parts, absent = self._parts(inputs, scale)
        if self.config.paths == "single":
            found = [self.coarse(parts.trend, absent, self.which[0])]
        else:
            fine = self.fine(parts.fine, absent, self.which[0])
            found = [
                self.coarse(parts.trend, absent, self.which[0]),
                self.coarse(parts.coarse, absent, self.which[1]),
                self.mix(fine.mT, self._spectrum(parts.fine)).mT,
            ]
        latent = self.fuse(torch.cat(found, 1)).mT
        at = centres(latent.shape[1], self.hop, latent)
        pad = latent.shape[1] * self.hop - inputs.values.shape[-1]
        seen = F.pad(inputs.observed.any(1), (0, pad)).view(latent.shape[0], -1, self.hop).any(-1)
        level = Level(
            features=latent,
            valid=seen,
            positions=at[None, :, None].expand(latent.shape[0], -1, 1),
            hop_s=None if inputs.rate_hz is None else self.hop / inputs.rate_hz,
        )
        return Features((level,), scale=scale)

    def _spectrum(self, fine: Tensor) -> Float[Tensor, "batch bins width"]:
        """Return a key for each of the lowest bins: its phase and size in all channels."""
        with torch.autocast(fine.device.type, enabled=False):
            bins = torch.fft.rfft(fine.float(), norm="ortho")[..., : self.config.bins]
        keys = self.bin(torch.cat([bins.real, bins.imag], 1).mT)
        share = torch.arange(keys.shape[1], device=fine.device) / fine.shape[-1]
        named: Tensor = keys + sin_cos(share[None, :, None] * _TURNS, keys.shape[-1])
        return named


class _Path(nn.Module):
    """Convolutions that halve the rate `halvings` times; the length is made to fit at the end."""

    def __init__(self, config: DualPathConfig) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Conv1d(2 * config.rows, width, 3, padding=1)
        self.down = nn.ModuleList(
            [
                nn.Sequential(nn.Conv1d(width, width, 4, stride=2, padding=1), DilatedBlock(width))
                for _ in range(config.halvings)
            ]
        )
        self.leave = nn.Conv1d(width, width, 3, padding=1)
        self.multiple = 2**config.halvings

    def forward(self, part: Tensor, absent: Tensor, which: Tensor) -> Tensor:
        pad = -part.shape[-1] % self.multiple
        if pad:
            part, absent = F.pad(part, (0, pad)), F.pad(absent, (0, pad), value=1.0)
        x = self.enter(torch.cat([part, absent], 1)) + which
        for halve in self.down:
            x = halve(x)
        left: Tensor = self.leave(F.silu(x))
        return left
