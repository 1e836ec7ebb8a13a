"""What a place of each level sees, in seconds: the axis of a probe of resolutions."""

from __future__ import annotations

import torch

from caesura.tasks.needs import Trained, need
from caesura.training.inference import evaluating, move
from caesura.types import Features, Grid

Span = tuple[float | None, float | None]


def level_reach(run: Trained, count: int) -> list[Span]:
    """Return (hop, receptive field) of each level in seconds; None where an encoder has none."""
    sampling = run.schema.sampling
    if sampling is None:
        return [(None, None)] * count
    encoder = need(run, "encoder")
    blank = torch.zeros(1, len(run.schema.variables), sampling.window)
    grid = Grid(blank, torch.ones_like(blank, dtype=torch.bool), rate_hz=sampling.rate_hz)
    with evaluating(encoder) as device:
        found: Features = encoder(move(grid, device), every_layer=True)
    return [(level.hop_s, level.reach_s) for level in found.levels]


def level_names(run: Trained, count: int) -> list[str]:
    """Return "level 1", ... of an encoder with resolutions, "layer 1", ... of any other."""
    resolutions = len(need(run, "encoder").widths)
    kind = "level" if resolutions > 1 else "layer"
    return [f"{kind} {place + 1}" for place in range(count)]
