"""Read-outs from features: dropout, norm, linear."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.norm import RMSNorm
from caesura.types import Encoder, Features

Pooling = Literal["cls", "mean", "cls+mean"]
POOLINGS: tuple[Pooling, ...] = ("cls", "mean", "cls+mean")


def checked_pooling(text: str) -> Pooling:
    """Return the read-out of this name, or raise a RecipeError that lists the known ones."""
    for known in POOLINGS:
        if text == known:
            return known
    raise RecipeError(f"unknown pooling {text!r}; known: {', '.join(POOLINGS)}")


class LinearHead(nn.Module):
    """Dropout, RMSNorm and a linear layer with bias (RoMAE's head)."""

    def __init__(self, width: int, outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = RMSNorm(width)
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows outputs"]:
        """Map the last axis to the outputs."""
        y: Tensor = self.linear(self.norm(self.dropout(x)))
        return y


def pooled(features: Features, pooling: Pooling) -> Float[Tensor, "batch dim"]:
    """Return one vector a series: [CLS], the mean over real tokens, or both joined."""
    level = features.levels[-1]
    real = level.valid[..., None].to(level.features.dtype)
    mean = (level.features * real).sum(1) / real.sum(1).clamp(min=1)
    if features.summary is None or pooling == "mean":
        return mean
    return features.summary if pooling == "cls" else torch.cat([features.summary, mean], dim=-1)


def pooled_width(encoder: Encoder, pooling: Pooling) -> int:
    """Return the width of `pooled` for this encoder's features."""
    width, summary = encoder.widths[-1], encoder.summary_width
    if not summary or pooling == "mean":
        return width
    return summary if pooling == "cls" else summary + width
