"""DINO: a student says of any view of a series what its moving average says of a global one.

Caron et al. 2021, arXiv 2104.14294; Sinkhorn-Knopp centring and KoLeo from DINOv2, Oquab et al.
2023, arXiv 2304.07193. The dividend's code (arXiv 2605.19462) lets the teacher drop units, moves
its centre on validation batches and takes one pair of full-length views; here the teacher
evaluates, validation changes nothing, and views are crops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.gather import is_spread, summed
from caesura.nn.heads import Pooling, pooled, pooled_width
from caesura.nn.projector import Projector
from caesura.nn.teacher import follow, frozen_copy, momentum_at
from caesura.signal.collapse import signs_of_collapse
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import CropConfig, several_views
from caesura.types import Batch, Encoder, Features, Loss, as_module


class DinoConfig(BaseModel):
    """Settings; temperatures and momenta are the paper's, the head is small as our encoders are.

    centring: "ema" moves a centre of the teacher's scores (centre_momentum); "sinkhorn"
    balances the prototypes within each batch. koleo: weight of the spread of the student's
    global vectors; 0: off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["dino"] = "dino"
    view: ViewConfig = ViewConfig()
    crops: CropConfig = CropConfig(local_views=2)
    pooling: Pooling = "auto"
    prototypes: int = Field(default=256, gt=1, le=10**6)
    hidden: int = Field(default=256, gt=0, le=65_536)
    bottleneck: int = Field(default=64, gt=0, le=65_536)
    student_temperature: float = Field(default=0.1, gt=0)
    teacher_temperature: float = Field(default=0.04, gt=0)
    momentum: float = Field(default=0.996, ge=0, lt=1)
    centring: Literal["ema", "sinkhorn"] = "ema"
    centre_momentum: float = Field(default=0.9, ge=0, lt=1)
    koleo: float = Field(default=0.0, ge=0)


class _Head(nn.Module):
    """Projector, unit length, and cosines with prototypes of unit length."""

    def __init__(self, width: int, config: DinoConfig) -> None:
        super().__init__()
        self.projector = Projector(width, config.hidden, config.bottleneck)
        self.prototypes = nn.Linear(config.bottleneck, config.prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        unit = F.normalize(self.projector(x).float(), dim=-1)
        with torch.autocast(x.device.type, enabled=False):  # temperatures of 0.04 need the digits
            return F.linear(unit, F.normalize(self.prototypes.weight.float(), dim=-1))


class Dino(nn.Module):
    """loss = mean over pairs of H(teacher's shares of a global view, student's of another view).

    The teacher is what survives: it averages the student's last steps. Its loss says nothing
    of its quality (a collapse lowers it), so the last weights are kept.
    """

    needs_random_batches = True
    comparable = False
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {"centre": "mean"}  # never changed
    centre: Tensor

    def __init__(self, encoder: Encoder, config: DinoConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        self.head = _Head(pooled_width(encoder, config.pooling), config)
        self.teacher, self.teacher_head = frozen_copy(encoder), frozen_copy(self.head)
        self.register_buffer("centre", torch.zeros(config.prototypes))

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch of views drawn from `rng`, keyed by series."""
        config = self.config
        views = several_views(batch.inputs, batch.index, rng, config.crops, config.view)
        vectors = [pooled(self.encoder(view), config.pooling) for view in views]
        said = [self.head(vector) for vector in vectors]
        with torch.no_grad():
            taught = [self._teach(view) for view in views[: config.crops.global_views]]
        count = torch.tensor(float(len(batch.index)), device=said[0].device)
        log_shares = [(one / config.student_temperature).log_softmax(-1) for one in said]
        terms = [
            -(shares * other).sum(-1).mean()
            for g, (shares, _, _) in enumerate(taught)
            for v, other in enumerate(log_shares)
            if v != g
        ]
        cross_entropy = torch.stack(terms).mean()
        total = cross_entropy
        parts = {"cross_entropy": cross_entropy.detach()}
        if config.koleo:
            seen = vectors[: config.crops.global_views]
            spread = torch.stack([koleo(vector) for vector in seen]).mean()
            total = total + config.koleo * spread
            parts["koleo"] = spread.detach()
        if not self.training:
            mean_shares = torch.stack([shares for shares, _, _ in taught]).mean((0, 1))
            parts |= signs_of_collapse(taught[0][2], taught[1][2])
            parts["prototypes_in_use"] = torch.special.entr(mean_shares).sum().exp()
        centre = torch.stack([logits for _, logits, _ in taught]).mean((0, 1))
        return Loss(total, count, parts=parts, carry={"centre": centre})

    def _teach(self, view: object) -> tuple[Tensor, Tensor, Tensor]:
        """Return the teacher's shares, scores and vectors of a view."""
        features: Features = self.teacher(view)
        vector = pooled(features, self.config.pooling)
        logits: Tensor = self.teacher_head(vector)
        temperature = self.config.teacher_temperature
        if self.config.centring == "sinkhorn":
            return sinkhorn(logits / temperature), logits, vector
        return ((logits - self.centre) / temperature).softmax(-1), logits, vector

    def train(self, mode: bool = True) -> Dino:
        """Keep the teacher evaluating."""
        super().train(mode)
        as_module(self.teacher).train(False)
        self.teacher_head.train(False)
        return self

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Move the teacher and the centre."""
        momentum = momentum_at(self.config.momentum, progress)
        follow(as_module(self.teacher), as_module(self.encoder), momentum)
        follow(self.teacher_head, self.head, momentum)
        kept = self.config.centre_momentum
        self.centre.mul_(kept).add_(carry["centre"].to(self.centre), alpha=1 - kept)

    def parts(self) -> Mapping[str, nn.Module]:
        """The teacher survives, as the encoder."""
        return {"encoder": as_module(self.teacher)}


def sinkhorn(
    scores: Float[Tensor, "rows prototypes"], rounds: int = 3
) -> Float[Tensor, "rows prototypes"]:
    """Return shares that sum to 1 a row and, nearly, to the same for each prototype.

    DINOv2: exp(scores), columns and rows scaled in turn; columns over all processes.
    """
    shares = (scores.float() - scores.float().max()).exp()
    if is_spread():  # one maximum for all, or the scales would differ
        top = scores.float().max()
        torch.distributed.all_reduce(top, op=torch.distributed.ReduceOp.MAX)
        shares = (scores.float() - top).exp()
    for _ in range(rounds):
        shares = shares / summed(shares.sum(0)).clamp(min=1e-30)
        shares = shares / shares.sum(1, keepdim=True).clamp(min=1e-30)
    return shares


def koleo(z: Float[Tensor, "rows dim"], eps: float = 1e-8) -> Float[Tensor, ""]:
    """Return -mean log of the distance of each unit vector to the nearest other (DINOv2).

    Neighbours are sought among the rows of this process.
    """
    unit = F.normalize(z.float(), dim=-1)
    with torch.no_grad():
        near = (unit @ unit.T).fill_diagonal_(-2).argmax(1)
    distance = torch.linalg.vector_norm(unit - unit[near], dim=-1)
    spread: Tensor = -(distance + eps).log().mean()
    return spread
