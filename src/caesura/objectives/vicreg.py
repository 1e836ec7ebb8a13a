"""VICReg: views agree, each feature varies over the batch, no two features say the same.

Bardes, Ponce and LeCun 2022, arXiv 2105.04906, sec. 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from caesura.nn.gather import summed
from caesura.nn.heads import Pooling, pooled, pooled_width
from caesura.nn.projector import Projector
from caesura.signal.collapse import signs_of_collapse
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import CropConfig, several_views
from caesura.types import Batch, Encoder, Loss, as_module


class VicregConfig(BaseModel):
    """Settings; 25, 25 and 1 are the paper's weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["vicreg"] = "vicreg"
    view: ViewConfig = ViewConfig()
    crops: CropConfig = CropConfig()
    pooling: Pooling = "auto"
    invariance: float = Field(default=25.0, ge=0)
    variance: float = Field(default=25.0, ge=0)
    covariance: float = Field(default=1.0, ge=0)
    hidden: int = Field(default=256, gt=0, le=65_536)
    outputs: int = Field(default=128, gt=0, le=65_536)


def variance_hinge(z: Float[Tensor, "rows dim"], eps: float = 1e-4) -> Float[Tensor, ""]:
    """Return the mean over features of max(0, 1 - deviation over the batch), all processes."""
    _, covariance = batch_moments(z)
    return torch.relu(1 - (covariance.diagonal() + eps).sqrt()).mean()


def covariance_penalty(z: Float[Tensor, "rows dim"]) -> Float[Tensor, ""]:
    """Return the sum of squared covariances of different features, over their number."""
    _, covariance = batch_moments(z)
    off = covariance.square().sum() - covariance.diagonal().square().sum()
    return off / z.shape[1]


def batch_moments(z: Float[Tensor, "rows dim"]) -> tuple[Tensor, Tensor]:
    """Return mean and unbiased covariance over the rows of all processes, in float32."""
    with torch.autocast(z.device.type, enabled=False):
        z = z.float()
        count = summed(torch.tensor(float(len(z)), device=z.device))
        mean = summed(z.sum(0)) / count
        centred = z - mean
        return mean, summed(centred.T @ centred) / (count - 1).clamp(min=1)


class Vicreg(nn.Module):
    """loss = 25 mse(z_1, z_2) + 25 hinge + 1 covariance penalty, means over pairs and views."""

    needs_random_batches = True
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: VicregConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        width = pooled_width(encoder, config.pooling)
        self.projector = Projector(width, config.hidden, config.outputs, bias=False)

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch of views drawn from `rng`, keyed by series."""
        config = self.config
        views = several_views(batch.inputs, batch.index, rng, config.crops, config.view)
        vectors = [pooled(self.encoder(view), config.pooling) for view in views]
        z = [self.projector(vector).float() for vector in vectors]
        count = torch.tensor(float(len(z[0])), device=z[0].device)
        gaps = [(a - b).square().mean(1).sum() for i, a in enumerate(z) for b in z[:i]]
        invariance = summed(torch.stack(gaps).mean()) / summed(count)
        variance = torch.stack([variance_hinge(one) for one in z]).mean()
        covariance = torch.stack([covariance_penalty(one) for one in z]).mean()
        total = (
            config.invariance * invariance
            + config.variance * variance
            + config.covariance * covariance
        )
        named = {"invariance": invariance, "variance": variance, "covariance": covariance}
        parts = {name: value.detach() for name, value in named.items()}
        if not self.training:
            parts |= signs_of_collapse(vectors[0], vectors[1])
        return Loss(total, count, parts=parts)

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder survives."""
        return {"encoder": as_module(self.encoder)}
