"""Long series by overlapping chunks: what is lost where attention sees a part at a time.

Past arXiv 2505.20535, whose limitations (sec. 6) name the quadratic cost of long series. One
model trains on random windows; the same weights then interpolate each series whole and in
chunks that overlap by half, each query answered from the chunk whose middle is nearest.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from caesura.data.queries import Queries
from caesura.data.synthetic.smooth import SmoothCurves
from caesura.data.synthetic.waves import waves
from caesura.reproduce.experiment import Context, Experiment, Outcome, Settings
from caesura.reproduce.romae.runs import pretrained
from caesura.run import Run
from caesura.tasks.interpolate import predict_scaled

Array = NDArray[np.float64]
_NOISE = 0.1


class ChunkSettings(Settings):
    """`length`: steps of a series; half of them are observed. Chunks are in observations."""

    train: int = 300
    test: int = 60
    length: int = 1_500
    window: int = 188
    chunks: tuple[int, ...] = (24, 47, 94, 188, 375, 750)
    steps: int = 700


def _series(kind: str, count: int, length: int, seed: int) -> Array:
    """Return clean series of some length; a step is a hundredth of the slowest wave's period."""
    times = np.arange(length) / 100
    rng = np.random.default_rng(seed)
    if kind == "smooth curves":
        references = np.arange(0, times[-1] + 0.1, 0.1)
        return SmoothCurves(times, references).draw(count, seed)[0]
    modes = rng.integers(1, 9, (count, 2)).astype(np.float64)
    if kind == "wave":
        modes[:, 1] = np.nan
    return waves(modes, times, rng)


def _run(cell: str, context: Context) -> Outcome:
    own: ChunkSettings = context.settings
    rng = np.random.default_rng(700 + context.seed)

    def observed(clean: Array) -> Array:
        noisy = clean + _NOISE * rng.standard_normal(clean.shape)
        return np.where(rng.random(clean.shape) < 0.5, noisy, np.nan)

    train = observed(_series(cell, own.train, own.length, 100 + context.seed))
    clean = _series(cell, own.test, own.length, 90_000 + context.seed)
    test = observed(clean)
    settings = (f"training.max_tokens={own.window}", "training.patience=0",
                "data.scaling=standard")  # fmt: skip
    run = pretrained(context, list(train[:, None]), {}, settings, own.steps)
    rows = {}
    for chunk in own.chunks:
        rows[f"{cell}, chunks of {chunk}"] = _figures(run, test, clean, chunk)
    return Outcome(rows)


def _figures(run: Run, test: Array, clean: Array, chunk: int) -> dict[str, float]:
    """Return the error of the unobserved steps and the time it took, with chunks of one size."""
    cut = run.recipe.training.model_copy(update={"max_tokens": chunk})
    view = replace(run, recipe=run.recipe.model_copy(update={"training": cut}))
    store = run.open(list(test[:, None]))
    series, step = np.nonzero(np.isnan(test))
    first = np.isfinite(test).argmax(1)  # a series counts from its first observation
    inside = step > first[series]
    series, step = series[inside], step[inside]
    queries = Queries(series, (step - first[series]).astype(np.float64), np.zeros(len(step), int))
    begun = time.process_time()
    scaled = predict_scaled(view, store, queries)
    seconds = time.process_time() - begun
    scale = run.schema.scales[0][0]
    gap = scaled * scale.scale + scale.center - clean[series, step]
    return {"MSE to the clean curve": float(np.square(gap).mean()),
            "ms a series": 1e3 * seconds / len(test)}  # fmt: skip


_KINDS = ("wave", "two waves", "smooth curves")
CHUNKS = Experiment(
    name="romae-chunks",
    title="Past the paper: long series whole and in overlapping chunks",
    settings={
        "quick": ChunkSettings(train=24, test=4, length=300, window=75, chunks=(38, 150), steps=10),
        "medium": ChunkSettings(),
        "full": ChunkSettings(train=2_000, test=500, steps=20_000),
    },
    seeds={"quick": 1, "medium": 3, "full": 3},
    cells={"quick": _KINDS[:1], "medium": _KINDS, "full": _KINDS},
    cost={"quick": "10 s", "medium": "4 min a cell and seed", "full": "hours"},
    run=_run,
    goal="the chunk from which nothing is lost, and what it saves",
    notes=(
        "The model has seen windows of 188 observations (375 steps): longer ones are beyond what "
        "it was trained on.",
    ),
)
