"""What is missing, filled in: random samples, an interior block, the end, at 30, 50 and 80 %.

arXiv 2510.25785, the three generative tasks; the geometry is not printed there. Here as in
comparable work: patches at random, one block inside, one suffix. One model, trained on masks of
one kind, answers all three. Errors are of windows scaled to [-1, 1] as a whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caesura.nn.normalise import window_scale
from caesura.objectives.masked_grid import MaskedGrid, without
from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome
from caesura.reproduce.himae.mitbih import DATA, MIT_BIH, STAND_IN, read_parts
from caesura.reproduce.himae.windows import PyramidSettings, Windows, held_out_groups, pretrained
from caesura.signal.mask import hide_patches
from caesura.training.inference import row_slices, stacked
from caesura.types import Grid

_KINDS = ("random", "interior", "suffix")
_SHARES = (0.3, 0.5, 0.8)
_RANDOM, _MIXED = f"{MIT_BIH}, random masks", f"{MIT_BIH}, mixed masks"
_MASKED_AT_A_TIME = 64
"""Windows whose masks are drawn together, by one seed."""


class GenerativeSettings(PyramidSettings):
    """How many test windows are filled in."""

    test_windows: int = 600


def _run(cell: str, context: Context) -> Outcome:
    own: GenerativeSettings = context.settings
    data, test = read_parts(cell, context)
    train, held = held_out_groups(data.groups, 0.2, context.seed)
    mixed = cell.endswith("mixed masks")
    objective = pretrained(
        context, data, train, held, own.model_copy(update={"mask": "mixed" if mixed else "random"})
    )
    few = np.linspace(0, len(test.values) - 1, min(own.test_windows, len(test.values)))
    some = few.astype(np.int64)
    rows: dict[str, dict[str, float]] = {}
    name = "HiMAE, mixed masks" if mixed else "HiMAE"
    for kind in _KINDS:
        for share in _SHARES:
            found = filling_errors(objective, test, some, kind, share, context.seed, own)
            place = f"{kind} {share:.0%}"
            rows[f"{name}, {place}"] = found.pop("model")
            if not mixed:
                rows |= {f"{key}, {place}": value for key, value in found.items()}
    return Outcome(rows)


def hidden_of(grid: Grid, kind: str, share: float, seed: int, patch: int) -> Tensor:
    """Return which samples are hidden, (windows, channels, samples)."""
    rows, _, time = grid.values.shape
    if kind == "random":
        rng = torch.Generator().manual_seed(seed)
        return hide_patches(grid.observed, torch.arange(rows), rng, patch, share)
    count = int(share * time)
    first = time - count if kind == "suffix" else (time - count) // 2
    place = torch.arange(time)
    hidden = (place >= first) & (place < first + count)
    return hidden[None, None].expand_as(grid.observed).clone()


def filling_errors(
    objective: MaskedGrid,
    test: Windows,
    rows: NDArray[np.int64],
    kind: str,
    share: float,
    seed: int,
    own: PyramidSettings,
) -> dict[str, dict[str, float]]:
    """Return error and R2 of the model and of what needs none, on some test windows."""
    squares: dict[str, float] = {}
    total, spread = 0.0, 0.0
    patch = max(1, round(own.patch_ms * test.rate_hz / 1000))
    for chosen in row_slices(len(rows), _MASKED_AT_A_TIME):
        grid = test.grid(rows[chosen])
        hidden = hidden_of(grid, kind, share, seed + chosen.start, patch)
        seen = without(grid, hidden)
        whole = window_scale(grid.values, grid.observed, "min-max")
        goal = whole.normalised(grid.values)
        guesses = {"model": whole.normalised(_filled(objective, seen, grid))}
        shown = (whole.normalised(grid.values) * seen.observed).numpy()
        guesses |= {
            key: torch.from_numpy(value)
            for key, value in simple_fillings(shown, seen.observed.numpy()).items()
        }
        for key, guess in guesses.items():
            error = ((guess - goal).square() * hidden).sum()
            squares[key] = squares.get(key, 0.0) + float(error)
        mean = (goal * hidden).sum(-1, keepdim=True) / hidden.sum(-1, keepdim=True)
        spread += float(((goal - mean).square() * hidden).sum())
        total += float(hidden.sum())
    return {k: {"MSE": v / total, "R2": 1 - v / spread} for k, v in squares.items()}


def _filled(objective: MaskedGrid, seen: Grid, asked: Grid) -> Tensor:
    encoder: Any = objective.encoder
    decoder: Any = objective.decoder

    def read(grids: tuple[Grid, Grid]) -> Tensor:
        features = encoder(grids[0])
        answer = decoder(features, grids[1].without_values()).float()
        restored: Tensor = features.scale.restored(answer)
        return restored

    return torch.from_numpy(stacked((encoder, decoder), [(seen, asked)], read))


def simple_fillings(
    values: NDArray[np.float32], observed: NDArray[np.bool_]
) -> dict[str, NDArray[np.float32]]:
    """Return what needs no model: lines, the last value, the window's mean, zeros."""
    time = values.shape[-1]
    place = np.arange(time)
    line, last, mean = (np.zeros_like(values) for _ in range(3))
    for index in np.ndindex(values.shape[:-1]):
        at = np.flatnonzero(observed[index])
        known = values[index][at]
        line[index] = np.interp(place, at, known)
        last[index] = known[np.maximum(np.searchsorted(at, place, side="right") - 1, 0)]
        mean[index] = known.mean()
    return {"linear": line, "last value": last, "window mean": mean, "zeros": np.zeros_like(values)}


GENERATIVE = Experiment(
    name="himae-generative",
    title="Filling in 30, 50 and 80 % of 10 s of ECG: squared error of windows in [-1, 1]",
    settings={
        "quick": GenerativeSettings(widths=(8, 16, 32), steps=8, batch=32, test_windows=40),
        "medium": GenerativeSettings(),
        "full": GenerativeSettings(steps=6_000, batch=256, test_windows=1_980),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": (f"{STAND_IN}, random masks",), "medium": (_RANDOM, _MIXED),
           "full": (_RANDOM, _MIXED)},
    cost={"quick": "10 s", "medium": "8 min a cell and seed", "full": "hours"},
    run=_run,
    comparisons=tuple(
        Comparison(f"HiMAE, {kind} 80%", f"linear, {kind} 80%", "MSE") for kind in _KINDS
    )
    + tuple(
        Comparison(f"HiMAE, mixed masks, {kind} 80%", f"HiMAE, {kind} 80%", "MSE")
        for kind in _KINDS
    ),
    goal="squared error at 80 % missing at least 30 % under linear interpolation",
    data=DATA,
    free=("quick",),
    notes=(
        "The paper's figures are of private wrist PPG and stand in the text alone. R2: one less "
        "the error over that of each window's own mean of the hidden samples.",
    ),
)  # fmt: skip
