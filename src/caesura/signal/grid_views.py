"""Augmentations of regular series that keep every sample at its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from caesura.signal.noise import keyed_normal, keyed_uniform
from caesura.signal.view_config import ViewConfig, between, deviation
from caesura.signal.wavelet import bands, decompose, most_levels, recompose
from caesura.types import Grid


def _grid_normal(grid: Grid, index: Tensor, rng: torch.Generator) -> Tensor:
    rows, channels, time = grid.values.shape
    drawn = keyed_normal(rng, index, time * channels).to(grid.values)
    return drawn.view(rows, time, channels).mT  # by time first: padding changes no draw


def _changed(grid: Grid, values: Tensor) -> Grid:
    return replace(grid, values=values * grid.observed)


def _jittered(grid: Grid, index: Tensor, rng: torch.Generator, config: ViewConfig) -> Grid:
    noise = _grid_normal(grid, index, rng)
    if config.jitter:
        spread = config.jitter * deviation(grid.values, grid.observed, -1)
    else:
        other = _wavelet(grid, index, rng, config.model_copy(update={"kind": "dwt"}))
        gap = (other.values - grid.values).square().sum(-1, keepdim=True)
        spread = (gap / grid.observed.sum(-1, keepdim=True).clamp(min=1)).sqrt()
    return _changed(grid, grid.values + spread * noise)


def _scaled_grid(grid: Grid, index: Tensor, rng: torch.Generator, config: ViewConfig) -> Grid:
    factor = between(config.scale, keyed_uniform(rng, index, grid.values.shape[1]))
    return _changed(grid, grid.values * factor.to(grid.values)[..., None])


def _time_masked(grid: Grid, index: Tensor, rng: torch.Generator, config: ViewConfig) -> Grid:
    """Hide a span of a share up to `mask` of the row."""
    draws = keyed_uniform(rng, index, 2).to(grid.values)
    time = grid.values.shape[-1]
    real = (
        torch.full((len(draws), 1), time, device=draws.device)
        if grid.valid is None
        else grid.valid.sum(1, keepdim=True)
    )
    length = (draws[:, :1] * config.mask * real).floor()
    first = (draws[:, 1:] * (real - length)).floor()
    step = torch.arange(time, device=draws.device)
    hidden = ((step >= first) & (step < first + length))[:, None]
    observed = grid.observed & ~hidden
    return replace(grid, values=grid.values * observed, observed=observed)


def _frequency_masked(grid: Grid, index: Tensor, rng: torch.Generator, config: ViewConfig) -> Grid:
    """Remove a band of a share up to `mask` of the frequencies above 0."""
    draws = keyed_uniform(rng, index, 2).to(grid.values)
    spectrum = torch.fft.rfft(bridged(grid))
    count = spectrum.shape[-1] - 1
    length = (draws[:, :1] * config.mask * count).floor()
    first = 1 + (draws[:, 1:] * (count - length)).floor()
    step = torch.arange(spectrum.shape[-1], device=draws.device)
    removed = ((step >= first) & (step < first + length))[:, None]
    kept = spectrum.masked_fill(removed, 0)
    return _changed(grid, torch.fft.irfft(kept, n=grid.values.shape[-1]))


def _wavelet(grid: Grid, index: Tensor, rng: torch.Generator, config: ViewConfig) -> Grid:
    """Change the detail bands of the bridged series, and keep the gaps."""
    time = grid.values.shape[-1]
    levels = min(config.levels, max(most_levels(config.wavelet, time), 1))
    whole = bridged(grid)
    found = bands(decompose(whole, config.wavelet, levels), config.wavelet, levels, time)
    unit = deviation(grid.values, grid.observed, -1)
    kind = config.kind
    draws = keyed_uniform(rng, index, 3 + levels).to(whole)
    changed = found
    if kind in ("dwt", "dwt_soft"):
        changed = [found[0], *(_soft(band, config.soft) for band in found[1:])]
    if kind in ("dwt", "dwt_high"):
        spread = between(config.high, draws[:, :1])[..., None] * unit
        drawn = keyed_normal(rng, index, sum(b.shape[1] * b.shape[2] for b in found[1:])).to(whole)
        noise = torch.split(drawn, [b.shape[1] * b.shape[2] for b in found[1:]], dim=1)
        noisy = [b + spread * n.view(b.shape) for b, n in zip(found[1:], noise, strict=True)]
        if kind == "dwt":
            first = (draws[:, 1] < 0.5)[:, None, None]
            pairs = zip(changed, [found[0], *noisy], strict=True)
            changed = [torch.where(first, soft, high) for soft, high in pairs]
        else:
            changed = [found[0], *noisy]
    if kind == "dwt_band_scale":
        factors = between(config.scale, draws[:, 2:])
        changed = [b * factors[:, k, None, None] for k, b in enumerate(found)]
    if kind == "dwt_low_pass":
        changed = [found[0], *(torch.zeros_like(band) for band in found[1:])]
    values = recompose(torch.cat(changed, -1), config.wavelet, levels, time)
    return _changed(grid, values)


def _soft(band: Tensor, share: float) -> Tensor:
    threshold = share * band.abs().amax(-1, keepdim=True)
    return band.sign() * (band.abs() - threshold).clamp(min=0)


def bridged(grid: Grid) -> Float[Tensor, "batch channels time"]:
    """Return a grid's values with gaps and padding filled: on a line between neighbours, or by
    the nearest one at the ends; 0 in a channel without any."""
    step = torch.arange(grid.values.shape[-1], device=grid.values.device).expand_as(grid.values)
    if bool(grid.observed.all()):
        return grid.values
    before = torch.where(grid.observed, step, -1).cummax(-1).values
    after = torch.where(grid.observed, step, step.shape[-1]).flip(-1).cummin(-1).values.flip(-1)
    left = torch.where(before < 0, after, before).clamp(max=step.shape[-1] - 1)
    right = torch.where(after >= step.shape[-1], before, after).clamp(min=0)
    part = (step - left) / (right - left).clamp(min=1)
    return grid.values.gather(-1, left) * (1 - part) + grid.values.gather(-1, right) * part


GRID_VIEWS: dict[str, Callable[[Grid, Tensor, torch.Generator, ViewConfig], Grid]] = {
    "jitter": _jittered,
    "scale": _scaled_grid,
    "time_mask": _time_masked,
    "frequency_mask": _frequency_masked,
    "dwt": _wavelet,
    "dwt_soft": _wavelet,
    "dwt_high": _wavelet,
    "dwt_band_scale": _wavelet,
    "dwt_low_pass": _wavelet,
}
