"""Windows of 24: synthetic ones against unseen ones, each score beside that of real against real.

The paper's tables are not available to us, and none of its figures is quoted.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.reproduce.experiment import (
    Comparison,
    Context,
    Experiment,
    Outcome,
    Settings,
)
from caesura.reproduce.timemar.sets import DRAWN, FILES, RECORDED, Material, material
from caesura.run import Run
from caesura.tasks.critics import CRITICS
from caesura.tasks.generate import SamplingSettings, generate
from caesura.tasks.impute import fill_windows
from caesura.tasks.ridge import fit_ridge
from caesura.tasks.synthetic_scores import MOST, Scoring, score_synthetic
from caesura.workflow import pretrain

Floats = NDArray[np.floating[Any]]
SETS = (*DRAWN, *RECORDED)
_FLOOR = ", real"
QUICK_CHANGES = (
    "encoder.width=16",
    "encoder.heads=2",
    "stages.1.objective.width=16",
    "stages.1.objective.heads=2",
)
"""A model so small that a quick run takes seconds."""
_ALIKE = ("training.threads=1", "training.precision=fp32")
"""Cells of machines with and without bf16 belong to one table."""
_RIDGE_OF = 4000
"""Training windows that a ridge learns one channel from the others on."""
_HIDDEN = 0.3
"""Share of the samples of unseen windows that are filled in."""


class ShortSettings(Settings):
    """Length of windows and of the training, repetitions of critics, changes of the recipe."""

    window: int = 24
    windows: int = 10_000
    steps: int = 3000
    repeats: int = 5
    critics: tuple[str, ...] = tuple(CRITICS)
    changes: tuple[str, ...] = ()
    filled: int = 200


def generator(
    series: list[Floats], window: int, context: Context, changes: tuple[str, ...] = ()
) -> Run:
    """Return the run that was trained on series, from where a killed one stopped."""
    own = context.settings
    out = context.folder / "run"
    settings = [f"data.window={window}", *_ALIKE, *own.changes, *changes]
    return pretrain(
        series, "timemar", out, steps=own.steps, seed=context.seed, settings=settings,
        resume=(out / "recipe.toml").is_file(), on_progress=context.watch,
    )  # fmt: skip


def scored(data: Material, made: Floats, context: Context) -> dict[str, dict[str, float]]:
    """Return the measures of synthetic windows, and of real ones that trained.

    Of measures that are repeated, the mean and its standard error over the repetitions.
    """
    own = context.settings
    scoring = Scoring(repeats=own.repeats, critics=own.critics, seed=context.seed)
    rows: dict[str, dict[str, float]] = {"": {}, _FLOOR: {}}
    for one in score_synthetic(data.train, data.unseen, made, scoring):
        for row, values in (("", one.synthetic), (_FLOOR, one.floor)):
            rows[row][one.name] = float(values.mean())
            if len(values) > 1:
                spread = values.std(ddof=1) / np.sqrt(len(values))
                rows[row][f"{one.name}: standard error"] = float(spread)
    return rows


def _run(cell: str, context: Context) -> Outcome:
    own: ShortSettings = context.settings
    data = material(cell, own.window, context)
    run = generator(data.series, own.window, context)
    count = min(MOST, len(data.unseen))
    begun = time.perf_counter()
    made = generate(run, count, seed=context.seed)
    rate = count / (time.perf_counter() - begun)
    rows = {f"{cell}{name}": found for name, found in scored(data, made, context).items()}
    plain = generate(run, count, seed=context.seed, settings=SamplingSettings(noise=False))
    quiet = Scoring(repeats=own.repeats, critics=own.critics[:1], seed=context.seed)
    without = score_synthetic(data.train, data.unseen, plain, quiet)
    rows[f"{cell}, without noise"] = {one.name: float(one.synthetic.mean()) for one in without}
    rows[cell] |= {
        "windows a second": rate,
        "parameters": float(run.metrics["parameters"]),
        "minutes": run.metrics["seconds"] / 60,
        "unexplained": run.metrics["unexplained"],
        "step ratio": run.metrics["step_ratio"],
        "nats a code at temperature 2": run.metrics["validation_loss"],
    }
    rows |= _filled_in(cell, run, data.unseen, context)
    return Outcome(rows | _channel_filled_in(cell, run, data, context))


def _filled_in(
    cell: str, run: Run, unseen: Floats, context: Context
) -> dict[str, dict[str, float]]:
    """Return errors of samples hidden at random and of the last quarter, in deviations; beside
    lines between the others, and the last value."""
    own: ShortSettings = context.settings
    rng = np.random.default_rng(context.seed)
    some = unseen[np.sort(rng.permutation(len(unseen))[: own.filled])].astype(np.float64)
    spread = unseen.std((0, 2))[:, None] + 1e-12
    later = np.zeros(some.shape, dtype=bool)
    later[..., -(own.window // 4) :] = True
    rows = {}
    for name, hidden in (("points", rng.random(some.shape) < _HIDDEN), ("the last quarter", later)):
        kept = np.where(hidden, np.nan, some)
        kept[np.isnan(kept).all(2)] = some[np.isnan(kept).all(2)]
        missing = np.isnan(kept)
        lower, value, upper = fill_windows(run, kept, seed=context.seed)
        error = ((value - some) / spread)[missing]
        inside = ((lower <= some) & (some <= upper))[missing]
        line = ((_lines(kept) - some) / spread)[missing]
        rows[f"{cell}, {name} filled"] = {
            "RMSE": float(np.sqrt(np.mean(error**2))),
            "RMSE of lines": float(np.sqrt(np.mean(line**2))),
            "share within 90 %": float(inside.mean()),
        }
    return rows


def _channel_filled_in(
    cell: str, run: Run, data: Material, context: Context
) -> dict[str, dict[str, float]]:
    """Return errors of a channel that is hidden whole, each in turn, in deviations; beside a ridge
    from the samples of the others, and its mean."""
    own: ShortSettings = context.settings
    rng = np.random.default_rng(context.seed)
    some = data.unseen[np.sort(rng.permutation(len(data.unseen))[: own.filled])]
    some = some.astype(np.float64)
    spread = data.unseen.std((0, 2)) + 1e-12
    train = data.train[rng.permutation(len(data.train))[:_RIDGE_OF]].astype(np.float64)
    half, channels = len(train) // 2, some.shape[1]
    errors: list[list[Floats]] = [[], [], []]
    inside = []
    for channel in range(channels):
        mine = some[channel::channels]
        kept = mine.copy()
        kept[:, channel] = np.nan
        lower, value, upper = fill_windows(run, kept, seed=context.seed)
        fit, later = (
            (np.delete(part, channel, 1).reshape(len(part), -1), part[:, channel])
            for part in (train[:half], train[half:])
        )
        ridge = fit_ridge(*fit, *later)
        said = ridge.predict(np.delete(mine, channel, 1).reshape(len(mine), -1))
        true = mine[:, channel]
        guesses = (value[:, channel], said, np.full_like(true, train[:, channel].mean()))
        for kind, guess in zip(errors, guesses, strict=True):
            kind.append((guess - true) / spread[channel])
        inside.append((lower[:, channel] <= true) & (true <= upper[:, channel]))
    ours, ridges, means = (
        float(np.sqrt(np.mean(np.square(np.concatenate(kind))))) for kind in errors
    )
    return {
        f"{cell}, a channel filled": {
            "RMSE": ours,
            "RMSE of a ridge": ridges,
            "RMSE of the mean": means,
            "share within 90 %": float(np.concatenate(inside).mean()),
        }
    }


def _lines(kept: Floats) -> Floats:
    at = np.arange(kept.shape[2])
    out = kept.copy()
    for row in out.reshape(-1, kept.shape[2]):
        seen = np.isfinite(row)
        row[~seen] = np.interp(at[~seen], at[seen], row[seen]) if seen.any() else 0.0
    return out


_LEGACY = next(iter(CRITICS))
SHORT = Experiment(
    name="timemar-24",
    title="Synthetic windows of 24 against unseen ones (arXiv 2601.11184)",
    settings={
        "quick": ShortSettings(
            windows=300, steps=20, repeats=1, critics=(_LEGACY,), filled=20,
            changes=QUICK_CHANGES,
        ),
        "medium": ShortSettings(),
        "full": ShortSettings(steps=20_000),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": ("Sines",), "medium": SETS, "full": SETS},
    cost={"quick": "1 minute", "medium": "10 minutes a cell", "full": "1 hour a cell"},
    run=_run,
    comparisons=tuple(
        Comparison(name, name + _FLOOR, f"discriminative score, {critic}")
        for name in SETS
        for critic in CRITICS
    ),
    data=FILES,
    free=("quick",),
    goal="discriminative score less that of real windows: 0.03 at most; copying ratio at least 0.9 "
    "of that of real windows; 1,000 windows of 24 x 6 a second on a core",
    notes=(
        "'real': windows that trained against windows that are held out (the floor). Held out: 20 "
        "blocks of time with gaps of a window; of what is drawn, other seeds.",
        "Scores are means of five critics' seeds; timegan's critic has half as many hidden units "
        "as there are channels.",
    ),
)  # fmt: skip
