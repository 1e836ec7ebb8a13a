"""Masked autoencoding of a grid: hide most patches of a window, predict their samples.

HiMAE, arXiv 2510.25785, sec. 3. Three departures: the published loss divides by time steps,
ours by hidden and observed elements of all channels; the published normalisation sees hidden
samples, ours the visible ones (`scale_from = "window"` restores it); the size of a patch is a
time, so that it means the same at any rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from caesura.errors import DataError
from caesura.nn.norm import has_batch_statistics
from caesura.nn.normalise import at_least_float
from caesura.signal.mask import GridMaskKind, hide_patches
from caesura.types import Batch, Decoder, Grid, Loss, ScaledEncoder, as_module

_FAR = 10.0
"""Spreads of what is visible beyond which a row's values are in units of their own: of two visible
samples that are nearly equal, all others would be thousands of spreads away and rule the loss."""


class MaskedGridConfig(BaseModel):
    """Settings of masked autoencoding on a grid; 0.8 and 50 ms (5 samples at 100 Hz) are the
    paper's.

    mask: "random" patches, a "block", or "mixed". shared: the same patches in all channels.
    patch_ms: time of a patch; it is rounded to whole samples, one at least.
    scale_from: "visible" samples, or the whole "window", hidden ones included (the paper).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["masked_grid"] = "masked_grid"
    mask_ratio: float = Field(default=0.8, gt=0, lt=1)
    mask: GridMaskKind = "random"
    shared: bool = True
    patch_ms: float = Field(default=50.0, gt=0)
    scale_from: Literal["visible", "window"] = "visible"


class MaskedGrid(nn.Module):
    """loss = sum(w (prediction - value)^2) / sum(w) over hidden and observed samples.

    Both are on the scale that the encoder normalised by. A grid without a rate is a DataError:
    a patch in milliseconds would have no size.
    """

    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: ScaledEncoder, decoder: Decoder, config: MaskedGridConfig) -> None:
        super().__init__()
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.needs_random_batches = has_batch_statistics(as_module(encoder))

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch under masks drawn from `rng`, keyed by window."""
        inputs, config = batch.inputs, self.config
        if not isinstance(inputs, Grid):
            raise TypeError(f"masked_grid takes a Grid; got {type(inputs).__name__}")
        hidden = hide_patches(
            inputs.observed,
            batch.index,
            rng,
            patch_samples(inputs, config.patch_ms),
            config.mask_ratio,
            config.mask,
            config.shared,
        )
        seen = without(inputs, hidden)
        if config.scale_from == "window":
            seen = replace(seen, scale=self.encoder.scale_of(inputs))
        features = self.encoder(seen)
        predicted = self.decoder(features, inputs.without_values()).float()
        goal = at_least_float(inputs.values)
        if features.scale is not None:
            goal = features.scale.normalised(goal).float()
            if len(features.scale.spread) > 1:  # of each row, not the same for all
                far = (goal * inputs.observed).abs().amax(-1, keepdim=True)
                unit = (far / _FAR).clamp(min=1)
                goal, predicted = goal / unit, predicted / unit
        weight = (hidden & inputs.observed).float()
        if inputs.weight is not None:
            weight = weight * inputs.weight
        count = weight.sum()
        total = ((predicted - goal).square() * weight).sum() / count.clamp(min=1e-9)
        return Loss(total, count, parts={"mse": total.detach()})

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder and the decoder survive."""
        return {"encoder": as_module(self.encoder), "decoder": as_module(self.decoder)}


def without(inputs: Grid, hidden: Tensor) -> Grid:
    """Return a grid less the hidden samples: as if they had not been measured."""
    seen = inputs.observed & ~hidden
    return replace(inputs, values=inputs.values * seen, observed=seen)


def patch_samples(inputs: Grid, patch_ms: float) -> int:
    """Return the samples of a patch, one at least."""
    if inputs.rate_hz is None:
        raise DataError("the grid has no rate, so a patch in milliseconds has no size; pass --rate")
    return max(1, round(patch_ms * inputs.rate_hz / 1000))
