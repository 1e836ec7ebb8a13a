"""The literature's protocol: a generator sees all windows, and critics compare with the same ones.

Beside what Diffusion-TS prints (Yuan and Qiao, ICLR 2024, figures 2 and 3). A memoriser would be
best here: `timemar-24` holds windows out instead.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics import generate as measures
from caesura.reproduce.experiment import Context, Experiment, Outcome, Published, Settings
from caesura.reproduce.timemar.sets import FILES, all_windows
from caesura.reproduce.timemar.short import QUICK_CHANGES, generator
from caesura.tasks.critics import CRITICS, discriminative_scores, predictive_scores
from caesura.tasks.generate import generate
from caesura.training.precision import threads

Floats = NDArray[np.floating[Any]]

_SHORT = 24
LENGTHS = {
    "Sines": (24,),
    "Stocks": (24,),
    "ETTh1": (24, 64, 128, 256, 1024),
    "Energy": (24, 64, 128, 256),
}
_CELLS = tuple(f"{name} {length}" for name, lengths in LENGTHS.items() for length in lengths)
_PUBLISHED = {
    "discriminative score": {
        "Sines": (0.006,), "Stocks": (0.067,), "ETTh1": (0.061, 0.106, 0.144, 0.060),
        "Energy": (0.122, 0.078, 0.143, 0.290),
    },
    "predictive score": {
        "Sines": (0.093,), "Stocks": (0.036,), "ETTh1": (0.119, 0.116, 0.110, 0.109),
        "Energy": (0.250, 0.249, 0.247, 0.245),
    },
    "correlational score": {
        "Sines": (0.015,), "Stocks": (0.004,), "ETTh1": (0.049, 0.082, 0.088, 0.064),
        "Energy": (0.856, 0.672, 0.451, 0.361),
    },
}  # fmt: skip
"""Of Diffusion-TS, in the order of the lengths."""


class LegacySettings(Settings):
    """Lengths of training, windows drawn of Sines, repetitions of critics.

    short, long: how many windows are compared at most, up to 24 steps and above. predicted:
    longest window of which a predictive score is taken; at longer ones its 5,000 steps cost more
    than the training.
    """

    windows: int = 10_000
    steps: int = 3000
    short: int = 20_000
    long: int = 3000
    repeats: int = 5
    predicted: int = 64
    changes: tuple[str, ...] = ()

    def compared(self, window: int) -> int:
        """Return how many windows of a length are compared at most."""
        return self.short if window <= _SHORT else self.long


def _run(cell: str, context: Context) -> Outcome:
    name, _, length = cell.partition(" ")
    window = int(length)
    series, real = all_windows(name, window, context)
    run = generator(series, window, context)
    begun = time.perf_counter()
    made = generate(run, len(real), seed=context.seed)
    rate = len(made) / (time.perf_counter() - begun)
    half = len(real) // 2
    order = np.random.default_rng(context.seed).permutation(len(real))
    one, other = real[order[:half]], real[order[half : 2 * half]]
    rows = {cell: _scores(real, made, context), f"{cell}, real": _scores(one, other, context)}
    rows[cell] |= {
        "windows a second": rate,
        "parameters": float(run.metrics["parameters"]),
        "minutes": run.metrics["seconds"] / 60,
        "unexplained": run.metrics["unexplained"],
        "step ratio": run.metrics["step_ratio"],
        "nats a code at temperature 2": run.metrics["validation_loss"],
    }
    return Outcome(rows)


def _scores(real: Floats, made: Floats, context: Context) -> dict[str, float]:
    own: LegacySettings = context.settings
    with threads(1):
        told = discriminative_scores(real, made, CRITICS["timegan"], own.repeats, context.seed)
        found = {
            "discriminative score": float(told.mean()),
            "correlational score": measures.correlational_score(real, made),
            "correlation error a pair": measures.correlation_error(real, made),
            "deviation ratio": measures.deviation_ratio(real, made),
            "autocorrelation distance": measures.autocorrelation_distance(real, made),
        }
        if real.shape[2] <= own.predicted:
            said = predictive_scores(made, real, own.repeats, seed=context.seed)
            found["predictive score"] = float(said.mean())
    return found


LEGACY = Experiment(
    name="timemar-legacy",
    title="Synthetic windows by the literature's protocol, 24 to 1,024 steps (arXiv 2601.11184)",
    settings={
        "quick": LegacySettings(
            windows=300, steps=20, repeats=1, predicted=0, changes=QUICK_CHANGES
        ),
        "medium": LegacySettings(),
        "full": LegacySettings(steps=20_000),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": ("Sines 24",), "medium": _CELLS, "full": _CELLS},
    cost={"quick": "1 minute", "medium": "15 to 25 minutes a cell", "full": "1 hour a cell"},
    run=_run,
    published={
        (f"{name} {length}", metric): Published(value)
        for metric, sets in _PUBLISHED.items()
        for name, values in sets.items()
        for length, value in zip(LENGTHS[name], values, strict=False)
    },
    data=FILES,
    free=("quick",),
    goal="discriminative scores of 64, 128 and 256 steps below those of Diffusion-TS",
    notes=(
        "Published: Diffusion-TS (ICLR 2024, figures 2 and 3); TimeMAR's tables are not available.",
        "'real': one random half of the real windows against the other, as a floor. Windows "
        "overlap and nothing is held out, in the literature's way: a memoriser would be best.",
        "The predictive score of Energy is that of a constant against white noise.",
    ),
)  # fmt: skip
