"""Read-outs from features: dropout, norm, linear."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.nn.dropout import drop
from caesura.nn.norm import RMSNorm
from caesura.types import Encoder, Features, Level

Pooling = Literal["auto", "cls", "mean", "cls+mean", "mean+last", "levels", "levels+max"]
POOLINGS: tuple[Pooling, ...] = (
    "auto", "cls", "mean", "cls+mean", "mean+last", "levels", "levels+max"
)  # fmt: skip


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
        self.dropout = dropout
        self.norm = RMSNorm(width)
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows outputs"]:
        """Map the last axis to the outputs."""
        y: Tensor = self.linear(self.norm(drop(x, self.dropout, self.training)))
        return y


class StandardisedHead(nn.Module):
    """Standardise each input by fixed numbers, then dropout and a linear layer with bias.

    Set from a linear probe (`start`) it answers as that probe does. NaN, of what was not
    observed, counts as the centre.

    limit: deviations from the centre that an input counts as at most; 0: no limit. One value far
    outside of what a linear model was fitted to would rule its answer.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, width: int, outputs: int, dropout: float = 0.0, limit: float = 0.0) -> None:
        super().__init__()
        self.dropout, self.limit = dropout, limit
        self.register_buffer("center", torch.zeros(width))
        self.register_buffer("spread", torch.ones(width))
        self.linear = nn.Linear(width, outputs)

    def forward(self, x: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows outputs"]:
        """Map the last axis to the outputs."""
        scaled = torch.nan_to_num((x.float() - self.center) / self.spread)
        if self.limit:
            scaled = scaled.clamp(-self.limit, self.limit)
        y: Tensor = self.linear(drop(scaled, self.dropout, self.training))
        return y

    @torch.no_grad()
    def start(self, center: Tensor, spread: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Become the linear map of standardised inputs with this weight (outputs, width)."""
        for own, given in zip(
            (self.center, self.spread, self.linear.weight, self.linear.bias),
            (center, spread, weight, bias),
            strict=True,
        ):
            own.copy_(given)


def pooled(features: Features, pooling: Pooling) -> Float[Tensor, "batch dim"]:
    """Return one vector a series: [CLS], the mean over real places, or several joined.

    "mean" is that of the last level, "mean+last" adds its last real place, from which a forecast
    goes on; "levels" are those of all levels, fine to coarse;
    "levels+max" adds their maxima, for events that fill little of a window; "auto" is [CLS]
    and mean where there is a [CLS], else all levels.
    """
    if pooling == "levels+max":
        both = [read(level) for read in (mean_of, max_of) for level in features.levels]
        return torch.cat(both, dim=-1)
    if pooling == "levels" or (pooling == "auto" and features.summary is None):
        return torch.cat([mean_of(level) for level in features.levels], dim=-1)
    mean = mean_of(features.levels[-1])
    if pooling == "mean+last":
        return torch.cat([mean, last_of(features.levels[-1])], dim=-1)
    if features.summary is None or pooling == "mean":
        return mean
    return features.summary if pooling == "cls" else torch.cat([features.summary, mean], dim=-1)


def mean_of(level: Level) -> Float[Tensor, "batch dim"]:
    """Return the mean over the real places of a level."""
    real = level.valid[..., None].to(level.features.dtype)
    return (level.features * real).sum(1) / real.sum(1).clamp(min=1)


def last_of(level: Level) -> Float[Tensor, "batch dim"]:
    """Return the last real place of a level; the first place where there is none."""
    places = torch.arange(level.valid.shape[1], device=level.valid.device)
    last = (places * level.valid).amax(1)
    return level.features[torch.arange(len(last), device=last.device), last]


def max_of(level: Level) -> Float[Tensor, "batch dim"]:
    """Return the maximum over the real places of a level; 0 where there is none."""
    hidden = ~level.valid[..., None]
    most = level.features.masked_fill(hidden, -torch.inf).amax(1)
    return torch.where(level.valid.any(1)[:, None], most, torch.zeros_like(most))


def pooled_width(encoder: Encoder, pooling: Pooling) -> int:
    """Return the width of `pooled` for this encoder's features."""
    width, summary = encoder.widths[-1], encoder.summary_width
    if pooling == "levels" or (pooling == "auto" and not summary):
        return sum(encoder.widths)
    if pooling == "levels+max":
        return 2 * sum(encoder.widths)
    if pooling == "mean+last":
        return 2 * width
    if not summary or pooling == "mean":
        return width
    return summary if pooling == "cls" else summary + width
