"""HiMAE's decoder: transposed convolutions back to the samples, over skips from each level.

HiMAE, arXiv 2510.25785, sec. 3, and its public inference code. `skips = false` leaves the
finer levels out (the paper's ablation).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.conv import DoubleConv, PyramidConfig, channels_last, hops, time_deconv
from caesura.types import Features, Grid, Tokens


class ConvDecoderConfig(PyramidConfig):
    """Sizes of the decoder; widths and strides are those of the encoder it reads.

    output: "tanh" (the paper; for windows scaled to [-1, 1] as a whole) or "linear": a hidden
    sample may lie outside what the visible ones span.
    """

    type: Literal["conv_pyramid"] = "conv_pyramid"
    skips: bool = True
    output: Literal["linear", "tanh"] = "linear"


class ConvDecoder(nn.Module):
    """Predicts every sample of a Grid, (batch, channels, time), on the encoder's scale.

    Each step up is cropped to the length of the level it joins, so that any length works.
    """

    def __init__(self, config: ConvDecoderConfig) -> None:
        super().__init__()
        self.config = config
        steps = config.steps
        up, join = [], []
        for (fine, coarse), stride in zip(
            reversed(list(pairwise(config.widths))), reversed(steps[1:]), strict=True
        ):
            up.append(time_deconv(coarse, fine, config.kernel, stride))
            inputs = 2 * fine if config.skips else fine
            join.append(DoubleConv(inputs, fine, config.kernel, config.norm))
        self.up = nn.ModuleList(up)
        self.join = nn.ModuleList(join)
        self.out = time_deconv(config.widths[0], config.channels, config.kernel, steps[0])
        channels_last(self)

    def forward(
        self, features: Features, query: Grid | Tokens
    ) -> Float[Tensor, "batch channels time"]:
        """Predict the samples of a Grid; what it holds is never read."""
        if isinstance(query, Tokens):
            raise RecipeError(
                "the decoder conv_pyramid answers on a grid alone; use point_transformer to ask "
                "at any time"
            )
        *finer, last = [level.features.mT[:, :, None] for level in features.levels]
        x = last
        reach = reversed(hops(self.config.steps)[:-1])
        for up, join, skip, hop in zip(self.up, self.join, reversed(finer), reach, strict=True):
            x = up(x)[..., : skip.shape[-1]]
            real = None if query.valid is None else query.valid[:, None, None, ::hop].to(x.dtype)
            x = x if real is None else x * real  # as if there were nothing beyond the end
            x = join(torch.cat([x, skip], dim=1) if self.config.skips else x, real)
        out: Tensor = self.out(x)[:, :, 0, : query.values.shape[-1]]
        return out.tanh() if self.config.output == "tanh" else out
