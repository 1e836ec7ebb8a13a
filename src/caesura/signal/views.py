"""Augmentations: random views of a series, for any objective.

Latent objectives compare views; generative ones see a view and predict the clean series. The
wavelet views are those of the pre-training dividend, arXiv 2605.19462 (db4, three levels; soft
thresholds and noise on the details); the others are its controls. Every draw is keyed by series.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Int64
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from caesura.signal.grid_views import GRID_VIEWS
from caesura.signal.noise import keyed_uniform
from caesura.signal.token_views import TOKEN_VIEWS, without
from caesura.signal.view_config import ViewConfig, check_view
from caesura.types import Grid, Tokens


class View(NamedTuple):
    """What is seen, and the clean input of the same samples or tokens at the same places."""

    seen: Grid | Tokens
    clean: Grid | Tokens


class CropConfig(BaseModel):
    """How many views of a series are compared, and what share of it each shows.

    Global views show much of it, local ones little (DINO's multi-crop). A share of 1 is the
    whole: views then differ by the augmentation alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    global_views: int = Field(default=2, ge=2, le=16)
    local_views: int = Field(default=0, ge=0, le=64)
    global_share: tuple[float, float] = (0.5, 1.0)
    local_share: tuple[float, float] = (0.2, 0.5)

    @model_validator(mode="after")
    def _in_order(self) -> CropConfig:
        for low, high in (self.global_share, self.local_share):
            if not 0 < low <= high <= 1:
                raise ValueError(f"shares {low:g} to {high:g}; they lie between 0 and 1, in order")
        return self


def several_views(
    inputs: Grid | Tokens,
    index: Int64[Tensor, " batch"],
    rng: torch.Generator,
    crops: CropConfig,
    config: ViewConfig,
) -> list[Grid | Tokens]:
    """Return the global views, then the local ones: a part of the series each, augmented."""
    shares = [crops.global_share] * crops.global_views + [crops.local_share] * crops.local_views
    views = []
    for low, high in shares:
        part = inputs if low == 1 else crop_time(inputs, index, rng, low, high)
        views.append(draw_view(part, index, rng, config).seen)
    return views


def draw_view(
    inputs: Grid | Tokens,
    index: Int64[Tensor, " batch"],
    rng: torch.Generator,
    config: ViewConfig,
) -> View:
    """Return a view of each row; a crop is clean itself, all else is a corruption of `inputs`."""
    check_view(config, isinstance(inputs, Grid))
    if config.kind == "none":
        return View(inputs, inputs)
    if config.kind == "crop":
        part = crop_time(inputs, index, rng, config.crop, 1.0)
        if isinstance(part, Grid):
            part = stretched(part, inputs.values.shape[-1])
        return View(part, part)
    if isinstance(inputs, Tokens):
        return View(TOKEN_VIEWS[config.kind](inputs, index, rng, config), inputs)
    return View(GRID_VIEWS[config.kind](inputs, index, rng, config), inputs)


def crop_time(
    inputs: Grid | Tokens,
    index: Int64[Tensor, " batch"],
    rng: torch.Generator,
    low: float,
    high: float,
) -> Grid | Tokens:
    """Return a contiguous part of each row, of one share between `low` and `high` of its length.

    The share is one draw for the batch, so that rows of one length stay so; the place is keyed
    by series. On Tokens a part of those in order of time.
    """
    share = low + (high - low) * float(torch.rand((), generator=rng))
    place = keyed_uniform(rng, index, 1)
    if isinstance(inputs, Grid):
        return _cropped_grid(inputs, share, place)
    time = inputs.positions[..., 0].masked_fill(~inputs.valid, torch.inf)
    rank = time.argsort(dim=1, stable=True).argsort(dim=1)
    first, length = _span(inputs.valid.sum(1, keepdim=True), share, place)
    return without(inputs, (rank < first) | (rank >= first + length))


def stretched(grid: Grid, length: int) -> Grid:
    """Resample a grid to `length` samples by linear interpolation; gaps stay gaps."""
    real = (
        torch.full((len(grid.values), 1), grid.values.shape[-1], device=grid.values.device)
        if grid.valid is None
        else grid.valid.sum(1, keepdim=True)
    )
    at = (
        torch.arange(length, device=grid.values.device)
        * (real - 1).clamp(min=0)
        / max(length - 1, 1)
    )
    left = at.floor().long().clamp(max=grid.values.shape[-1] - 1)
    right = torch.minimum(left + 1, (real - 1).clamp(min=0))
    part = (at - left)[:, None]

    def pick(x: Tensor, place: Tensor) -> Tensor:
        return x.gather(2, place[:, None].expand(-1, x.shape[1], -1))

    values = pick(grid.values, left) * (1 - part) + pick(grid.values, right) * part
    observed = pick(grid.observed, left) & pick(grid.observed, right)
    return Grid(values * observed, observed, rate_hz=grid.rate_hz)


def _span(real: Tensor, share: float, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return first place and length of a part, one place at least."""
    length = (real * share - 1e-6).ceil().long().clamp(min=1)
    first = (place.to(real.device) * (real - length + 1).clamp(min=1)).floor().long()
    return first, length


def _cropped_grid(grid: Grid, share: float, place: Tensor) -> Grid:
    time = grid.values.shape[-1]
    real = torch.full((len(grid.values), 1), time, device=grid.values.device)
    if grid.valid is not None:
        real = grid.valid.sum(1, keepdim=True)
    first, length = _span(real, share, place)
    steps = torch.arange(int(length.max()), device=grid.values.device)
    inside = steps < length
    where = (first + steps).clamp(max=time - 1)

    def pick(x: Tensor) -> Tensor:
        return x.gather(2, where[:, None].expand(-1, x.shape[1], -1))

    observed = pick(grid.observed) & inside[:, None]
    return replace(
        grid,
        values=pick(grid.values) * observed,
        observed=observed,
        weight=None if grid.weight is None else pick(grid.weight),
        valid=None if bool(inside.all()) else inside,
    )
