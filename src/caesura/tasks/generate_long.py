"""Series longer than a window: tile after tile, each drawn given the end of the one before.

A generator of windows has seen windows in part, so that it can go on from what is there. A plan, of
a run at a lower rate, says how the whole runs: then tiles do not lose their way, and how deep a
model is need not grow with the horizon. Ours; TimeMAR's authors leave longer horizons open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.errors import DataError, RecipeError
from caesura.tasks.generate import SamplingSettings, check_memory, in_units, sampling_of
from caesura.tasks.impute import draw_windows
from caesura.tasks.needs import Trained
from caesura.training.inference import row_slices

Floats = NDArray[np.floating[Any]]

_SERIES_AT_A_TIME = 64
"""Series that are drawn together: random numbers are used up in their order."""
_DRAWS = 8
"""Draws of a tile, of which the one is taken that best meets what is known."""
_SMOOTH = 2.0
"""How flat the error at known samples goes on beyond them: at 1 smooth channels had seams."""
_WHOLE = 0.02
"""Relative distance of a ratio of rates from a whole number that is taken as none."""


def generate_long(
    run: Trained,
    count: int,
    steps: int,
    *,
    plan: Trained | None = None,
    seed: int = 0,
    settings: SamplingSettings | None = None,
    condition: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Return (count, variables, steps) in the table's units; half of each tile is known before.

    plan: a run on the same variables at a rate some whole times lower, whose samples every tile
    goes through. It needs no more than its own window for `ratio x window` steps, and is tiled too
    where more are asked for.
    """
    settings, sampling = settings or SamplingSettings(), sampling_of(run)
    if count < 1 or steps < 1:
        raise DataError(f"{count} series of {steps} steps; ask for one at least")
    if sampling.binned or settings.gaps:
        raise RecipeError(
            "series with gaps or irregular times are made as windows; leave out --steps, or "
            "pre-train with a longer --window"
        )
    check_memory(count, sampling, steps)
    rng = torch.Generator().manual_seed(seed)
    window, hop = sampling.window, max(1, sampling.window // 2)
    tiles = 1 + max(0, -(-(steps - window) // hop))
    whole = np.full((count, len(sampling.means), window + (tiles - 1) * hop), np.nan)
    if plan is not None:
        ratio = _ratio(run, plan)
        points = -(-whole.shape[2] // ratio)
        known = generate_long(
            plan, count, points, seed=seed + 1, settings=settings, condition=condition
        )
        whole[..., ::ratio] = known[..., : whole[..., ::ratio].shape[2]]
    for rows in row_slices(count, _SERIES_AT_A_TIME):
        shown = None if condition is None else condition[rows]
        for tile in range(tiles):
            own = np.s_[rows, :, tile * hop : tile * hop + window]
            whole[own] = _nearest(run, whole[own], rng, shown, settings)
    return in_units(whole[..., :steps], sampling)


def _nearest(
    run: Trained,
    windows: Floats,
    rng: torch.Generator,
    condition: NDArray[np.float32] | None,
    settings: SamplingSettings,
) -> NDArray[np.float64]:
    """Return of each window the draw that comes nearest to what is known of it, by itself."""
    draws = 1 if np.isnan(windows).all() else _DRAWS
    if condition is not None:
        condition = condition.repeat(draws, 0)
    found = draw_windows(run, windows, draws, rng, condition, settings, _SMOOTH)
    best: NDArray[np.float64] = found.values[np.arange(len(windows)), found.misfit.argmin(1)]
    return best


def _ratio(run: Trained, plan: Trained) -> int:
    """Return how many steps of a run are one of its plan; a RecipeError where it cannot be one."""
    own, coarse = sampling_of(run), sampling_of(plan)
    if plan.schema.variables != run.schema.variables:
        raise RecipeError(
            f"the plan knows {', '.join(plan.schema.variables)}, this run "
            f"{', '.join(run.schema.variables)}; train both on the same table"
        )
    ratio = own.rate_hz / coarse.rate_hz
    if ratio < 2 - _WHOLE or abs(ratio / round(ratio) - 1) > _WHOLE:
        raise RecipeError(
            f"the plan has {coarse.rate_hz:.6g} steps a second, this run {own.rate_hz:.6g}; a plan "
            f"needs a whole part of it, e.g. pretrain timemar --rate {own.rate_hz / 8:.6g}"
        )
    return round(ratio)
