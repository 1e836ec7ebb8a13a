"""Distillation: a small encoder learns to say what a large one says of the same series.

The teacher's vectors are computed once and come as targets, so that any run can teach, also one
that reads its data in another form. Each feature of the teacher counts alike: standardised over
the training series (after Romero et al. 2015, FitNets; OnDevice-FM distils HiMAE so).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from caesura.nn.heads import Pooling, pooled, pooled_width
from caesura.nn.norm import has_batch_statistics
from caesura.types import Batch, Encoder, Loss, as_module


class DistilConfig(BaseModel):
    """Settings: the width of the teacher's vector, and which vector of the student is compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["distil"] = "distil"
    outputs: int = Field(default=1, gt=0, le=10**6)
    pooling: Pooling = "auto"


class Distil(nn.Module):
    """loss = mean over series and features of (linear(student) - teacher)^2.

    `target` of the batch: the teacher's standardised vectors, float (batch, outputs); a loss
    of 1 is that of saying nothing.
    """

    comparable = True
    target: Literal["none", "required"] = "required"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: DistilConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        self.needs_random_batches = has_batch_statistics(as_module(encoder))
        self.match = nn.Linear(pooled_width(encoder, config.pooling), config.outputs)

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch; draws nothing from `rng`."""
        if batch.target is None:
            raise ValueError("distillation needs the teacher's vectors as targets; got none")
        said = self.match(pooled(self.encoder(batch.inputs), self.config.pooling)).float()
        each = (said - batch.target.float()).square().mean(-1)
        count = torch.tensor(float(len(each)), device=each.device)
        total = each.mean()
        return Loss(total, count, parts={"mse": total.detach()})

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The student survives."""
        return {"encoder": as_module(self.encoder)}
