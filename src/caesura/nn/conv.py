"""Convolutions over time for HiMAE's pyramid: blocks, their norms, their receptive fields.

A series of C channels is an image one pixel high, kept channels-last: the same products as
`nn.Conv1d`, for which this torch has faster kernels (docs/results/edge.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

Norm = Literal["batch", "group"]
_GROUPS = 8


class PyramidConfig(BaseModel):
    """Sizes that an encoder and the decoder of its levels share, fine to coarse.

    strides: of each level; none given means 2 everywhere. norm: "batch" (the paper) or "group".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(default=1, gt=0, le=65_536)
    widths: tuple[int, ...] = Field(default=(16, 32, 64, 128, 256), min_length=1, max_length=16)
    kernel: int = Field(default=5, ge=3, le=1001)
    strides: tuple[int, ...] = ()
    norm: Norm = "batch"

    @model_validator(mode="after")
    def _fits(self) -> PyramidConfig:
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel {self.kernel} is even; choose {self.kernel + 1}")
        if self.strides and len(self.strides) != len(self.widths):
            raise ValueError(
                f"{len(self.strides)} strides for {len(self.widths)} widths; give one a level, or "
                "none for strides of 2"
            )
        if any(width <= 0 or width > 65_536 for width in self.widths):
            raise ValueError(f"widths {self.widths} must lie in 1..65536")
        if any(stride <= 0 for stride in self.strides):
            raise ValueError(f"strides {self.strides} must be positive")
        return self

    @property
    def steps(self) -> tuple[int, ...]:
        """Stride of each level."""
        return self.strides or (2,) * len(self.widths)


def time_conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = False
) -> nn.Conv2d:
    """Return a convolution over the last axis, padded by half of its (odd) kernel."""
    half = kernel // 2
    return nn.Conv2d(inputs, outputs, (1, kernel), (1, stride), (0, half), bias=bias)


class StridedPoint(nn.Conv2d):
    """A 1 x 1 convolution of every `stride`-th place.

    The places are taken first: oneDNN's own strided form writes past its buffers for less than
    eight channels, channels-last, on CPUs with AVX2 alone (docs/log.md).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, (1, stride), bias=False)

    def forward(
        self, x: Float[Tensor, "batch inputs 1 time"]
    ) -> Float[Tensor, "batch outputs 1 places"]:
        """Return ceil(time / stride) places."""
        return F.conv2d(x[..., :: self.stride[1]], self.weight, self.bias)


def time_deconv(inputs: int, outputs: int, kernel: int, stride: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution whose output is `stride` times as long."""
    # (M - 1) stride - 2 (kernel // 2) + kernel + extra = M stride, for an odd kernel
    extra = stride - 1
    return nn.ConvTranspose2d(
        inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), output_padding=(0, extra)
    )


def channels_last(module: nn.Module) -> None:
    """Lay the kernels of all convolutions out channels-last."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def normalisation(norm: Norm, width: int) -> nn.Module:
    """Return batch normalisation (the paper), or group normalisation, which knows no batch."""
    if norm == "batch":
        return nn.BatchNorm2d(width)
    return nn.GroupNorm(min(_GROUPS, width), width)


class ResidualBlock(nn.Module):
    """gelu(main + shortcut): two convolutions, the first strided, beside a strided 1 x 1 one."""

    def __init__(self, inputs: int, width: int, kernel: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.first = time_conv(inputs, width, kernel, stride)
        self.first_norm = normalisation(norm, width)
        self.second = time_conv(width, width, kernel)
        self.second_norm = normalisation(norm, width)
        self.shortcut = StridedPoint(inputs, width, stride)
        self.shortcut_norm = normalisation(norm, width)

    def forward(
        self,
        x: Float[Tensor, "batch inputs 1 time"],
        real: Float[Tensor, "batch 1 1 places"] | None = None,
    ) -> Float[Tensor, "batch width 1 places"]:
        """Return ceil(time / stride) places; zero where `real` is 0, between the two as well."""
        between = F.gelu(self.first_norm(self.first(x)))
        if real is not None:
            between = between * real
        main = self.second_norm(self.second(between))
        out = F.gelu(main + self.shortcut_norm(self.shortcut(x)))
        return out if real is None else out * real


class DoubleConv(nn.Module):
    """(convolution, norm, gelu) twice."""

    def __init__(self, inputs: int, width: int, kernel: int, norm: Norm) -> None:
        super().__init__()
        self.first = time_conv(inputs, width, kernel)
        self.first_norm = normalisation(norm, width)
        self.second = time_conv(width, width, kernel)
        self.second_norm = normalisation(norm, width)

    def forward(
        self,
        x: Float[Tensor, "batch inputs 1 time"],
        real: Float[Tensor, "batch 1 1 time"] | None = None,
    ) -> Float[Tensor, "batch width 1 time"]:
        """Return as many places; zero where `real` is 0, between the two as well."""
        for conv, norm in ((self.first, self.first_norm), (self.second, self.second_norm)):
            x = F.gelu(norm(conv(x)))
            x = x if real is None else x * real
        return x


def hops(strides: Sequence[int]) -> tuple[int, ...]:
    """Return the samples from one place to the next at each level."""
    found, hop = [], 1
    for stride in strides:
        hop *= stride
        found.append(hop)
    return tuple(found)


def receptive_fields(kernel: int, strides: Sequence[int]) -> tuple[int, ...]:
    """Return the samples that a place of each level sees, both convolutions of a block counted.

    R_d = R_(d-1) + (kernel - 1) (hop_(d-1) + hop_d): 13, 37, 85, 181, 373 for kernel 5 and
    strides of 2. The paper's formula leaves the second convolution out (5, 13, 29, 61, 125).
    """
    found, field, before = [], 1, 1
    for hop in hops(strides):
        field += (kernel - 1) * (before + hop)
        before = hop
        found.append(field)
    return tuple(found)
