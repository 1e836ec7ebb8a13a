"""LeJEPA: views of a series agree, and their vectors are spread like a normal. No teacher.

Balestriero and LeCun, arXiv 2511.08544; in the pre-training dividend (arXiv 2605.19462) without
projector, on all tokens pooled, where the weight grows with the number of tokens. Here one
vector a series and view, and a weight for each sample, which means the same at any batch size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from caesura.nn.gather import summed
from caesura.nn.heads import Pooling, pooled, pooled_width
from caesura.nn.projector import Projector
from caesura.nn.sigreg import random_slices, sigreg
from caesura.signal.collapse import signs_of_collapse
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import CropConfig, several_views
from caesura.types import Batch, Encoder, Loss, as_module


class LejepaConfig(BaseModel):
    """Settings; weight 5 is the 0.02 x 256 samples of LeJEPA's minimal form.

    outputs: width of the projection; 0: the vectors themselves, no projector.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["lejepa"] = "lejepa"
    view: ViewConfig = ViewConfig()
    crops: CropConfig = CropConfig()
    pooling: Pooling = "auto"
    weight: float = Field(default=5.0, ge=0)
    slices: int = Field(default=256, gt=0, le=65_536)
    hidden: int = Field(default=256, gt=0, le=65_536)
    outputs: int = Field(default=64, ge=0, le=65_536)


class Lejepa(nn.Module):
    """loss = mean |z_v - mean of the global views|^2 / dim + weight x mean of T_v / N.

    T_v / N: `sigreg` of the vectors of view v over the batch, all processes together.
    """

    needs_random_batches = True
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: LejepaConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        width = pooled_width(encoder, config.pooling)
        self.projector: nn.Module = (
            Projector(width, config.hidden, config.outputs) if config.outputs else nn.Identity()
        )

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch of views drawn from `rng`, keyed by series."""
        config = self.config
        views = several_views(batch.inputs, batch.index, rng, config.crops, config.view)
        vectors = [pooled(self.encoder(view), config.pooling) for view in views]
        z = torch.stack([self.projector(vector).float() for vector in vectors])
        center = z[: config.crops.global_views].mean(0)
        count = torch.tensor(float(z.shape[1]), device=z.device)
        # a mean over all processes' rows, like the statistic beside it
        invariance = summed((z - center).square().mean((0, 2)).sum()) / summed(count)
        directions = random_slices(z.shape[-1], config.slices, rng, z.device)
        spread = torch.stack([sigreg(one, directions) for one in z]).mean()
        total = invariance + config.weight * spread
        parts = {"invariance": invariance.detach(), "sigreg": (spread * z.shape[1]).detach()}
        if not self.training:
            parts |= signs_of_collapse(vectors[0], vectors[1])
        return Loss(total, count, parts=parts)

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder survives; the projector has served."""
        return {"encoder": as_module(self.encoder)}
