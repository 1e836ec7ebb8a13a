"""HiMAE's encoder: residual convolutions that halve the rate at each level.

HiMAE, arXiv 2510.25785, sec. 3, and its public inference code. Where we depart: samples that
were not measured are treated as hidden ones are; statistics of normalisation come from what is
visible; several ways to show that a sample is absent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.conv import PyramidConfig, ResidualBlock, channels_last, hops, receptive_fields
from caesura.nn.normalise import Kind, Normalise, Statistics, at_least_float
from caesura.signal.patch import sample_tokens
from caesura.types import Features, Grid, Level, Scale, Tokens


class ConvPyramidConfig(PyramidConfig):
    """Sizes of the encoder, fine to coarse; the base sizes are the paper's.

    absent: what stands where nothing was observed: "zero" (the paper: the middle of a min-max
    window), "mean" of the row's channel, a "learned" value of each channel, or "flag": zero,
    and an input more for each channel that says where.
    statistics, kind: see `nn.normalise`.
    center, spread: of each channel, for fixed statistics; the training data give them.
    """

    type: Literal["conv_pyramid"] = "conv_pyramid"
    absent: Literal["zero", "mean", "learned", "flag"] = "zero"
    kind: Kind = "min-max"
    statistics: Statistics = "window"
    center: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()


class ConvPyramid(nn.Module):
    """Encodes a Grid of any length to one level of features a block, fine to coarse.

    Level d of T samples has ceil(T / hop_d) places, `widths[d]` wide; place i stands at sample
    i hop_d. Features are defined at every place; one is `valid` where its hop holds an observed
    sample. Beyond `Grid.valid` everything is zero, as the convolutions' own padding is, so that
    padding changes nothing (in evaluation: batch statistics of a training do count it).
    """

    consumes = Grid
    reads_tokens = False
    order: Literal["full", "causal"] = "full"
    summary_width = 0

    def __init__(self, config: ConvPyramidConfig) -> None:
        super().__init__()
        self.config = config
        self.normalise = Normalise(
            config.channels, config.kind, config.statistics, config.center, config.spread
        )
        shown = torch.zeros(config.channels, 1)
        self.absent = nn.Parameter(shown) if config.absent == "learned" else None
        inputs = config.channels * (2 if config.absent == "flag" else 1)
        blocks = []
        for width, stride in zip(config.widths, config.steps, strict=True):
            blocks.append(ResidualBlock(inputs, width, config.kernel, stride, config.norm))
            inputs = width
        self.blocks = nn.ModuleList(blocks)
        channels_last(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each level."""
        return self.config.widths

    def scale_of(self, inputs: Grid) -> Scale:
        """Return what an input is normalised by."""
        scale: Scale = self.normalise(inputs)
        return scale

    def tokenise(self, inputs: Grid | Tokens) -> Tokens:
        """Return a token for each sample, of all channels."""
        return sample_tokens(inputs)

    def forward(self, inputs: Grid, every_layer: bool = False) -> Features:
        """Encode; the layers are the levels, so `every_layer` changes nothing."""
        scale = self.scale_of(inputs)
        x = self._shown(inputs, scale)[:, :, None].contiguous(memory_format=torch.channels_last)
        seen = inputs.observed.any(1)
        inside = torch.ones_like(seen) if inputs.valid is None else inputs.valid
        levels = []
        fields = receptive_fields(self.config.kernel, self.config.steps)
        for block, hop, field in zip(self.blocks, hops(self.config.steps), fields, strict=True):
            real = None if inputs.valid is None else inputs.valid[:, None, None, ::hop].to(x.dtype)
            x = block(x, real)
            there = self._level(x, seen, hop, field, inputs.rate_hz)
            levels.append(replace(there, valid=there.valid & inside[:, ::hop]))
        return Features(tuple(levels), scale=scale)

    def _shown(self, inputs: Grid, scale: Scale) -> Tensor:
        """Return what the first block sees: normalised values, and what stands for absent ones."""
        absent = ~inputs.observed
        values = scale.normalised(at_least_float(inputs.values)).float().masked_fill(absent, 0.0)
        if self.absent is not None:
            values = torch.where(absent, self.absent, values)
        elif self.config.absent == "mean":
            count = inputs.observed.sum(-1, keepdim=True).clamp(min=1)
            values = torch.where(absent, values.sum(-1, keepdim=True) / count, values)
        elif self.config.absent == "flag":
            values = torch.cat([values, absent.to(values.dtype)], dim=1)
        if inputs.valid is not None and self.config.absent != "zero":
            values = values * inputs.valid[:, None]
        return values

    def _level(
        self, x: Tensor, seen: Bool[Tensor, "batch time"], hop: int, field: int, rate: float | None
    ) -> Level:
        batch, _, _, places = x.shape
        at = torch.arange(places, device=x.device, dtype=torch.float32) * hop
        cells = F.max_pool1d(seen.float()[:, None], hop, hop, padding=hop // 2)[:, 0, :places]
        return Level(
            features=x[:, :, 0].mT,
            valid=F.pad(cells, (0, places - cells.shape[-1])) > 0,
            positions=at[None, :, None].expand(batch, -1, 1),
            hop_s=None if rate is None else hop / rate,
            reach_s=None if rate is None else field / rate,
        )
