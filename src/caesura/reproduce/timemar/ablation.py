"""What each part of TimeMAR is for: windows of 24 without it, beside those with all of them; and
many channels by a basis of few directions."""

from __future__ import annotations

from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome, Settings
from caesura.reproduce.timemar.sets import FILES, material
from caesura.reproduce.timemar.short import QUICK_CHANGES, generator, scored
from caesura.tasks.generate import generate
from caesura.tasks.synthetic_scores import MOST

ALL = "all parts"
PARTS: dict[str, tuple[str, ...]] = {
    ALL: (),
    "no decomposition": ("encoder.paths=single", "stages.0.decoder.paths=single"),
    "single scale": ("stages.0.objective.quantiser.scales=[6]",),
    "no guidance": ("stages.0.decoder.guided=false",),
}
_BASIS: dict[str, tuple[str, ...]] = {
    ALL: (),
    "45 directions": ("encoder.explained=0.99",),
    "22 directions": ("encoder.rank=22",),
}
"""Of 50 coupled channels, whose directions explain 99 and 79 % of the variance."""
SETS = {"Sines": PARTS, "ETTh1": PARTS, "Coupled": _BASIS}
_CRITICS = ("timegan", "conv")


class AblationSettings(Settings):
    """Length of windows and of the training, repetitions of critics."""

    window: int = 24
    windows: int = 10_000
    steps: int = 3000
    repeats: int = 5
    critics: tuple[str, ...] = _CRITICS
    changes: tuple[str, ...] = ()


def _run(cell: str, context: Context) -> Outcome:
    own: AblationSettings = context.settings
    name, _, way = cell.partition(", ")
    data = material(name, own.window, context)
    run = generator(data.series, own.window, context, SETS[name][way])
    made = generate(run, min(MOST, len(data.unseen)), seed=context.seed)
    found = scored(data, made, context)
    rows = {cell: found[""], f"{name}, real": found[", real"]}
    rows[cell] |= {
        "unexplained": run.metrics["unexplained"],
        "step ratio": run.metrics["step_ratio"],
        "nats a code at temperature 2": run.metrics["validation_loss"],
        "minutes": run.metrics["seconds"] / 60,
    }
    return Outcome(rows)


_CELLS = tuple(f"{name}, {way}" for name, ways in SETS.items() for way in ways)
ABLATION = Experiment(
    name="timemar-ablation",
    title="TimeMAR without its parts, windows of 24 (arXiv 2601.11184)",
    settings={
        "quick": AblationSettings(
            windows=300, steps=20, repeats=1, critics=_CRITICS[:1], changes=QUICK_CHANGES
        ),
        "medium": AblationSettings(),
        "full": AblationSettings(steps=20_000),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": _CELLS[: len(PARTS)], "medium": _CELLS, "full": _CELLS},
    cost={"quick": "1 minute", "medium": "13 minutes a cell", "full": "1 hour a cell"},
    run=_run,
    comparisons=tuple(
        Comparison(f"{name}, {way}", f"{name}, {ALL}", f"discriminative score, {critic}")
        for name, ways in SETS.items()
        for way in ways
        if way != ALL
        for critic in _CRITICS
    ),
    data=FILES,
    free=("quick",),
    goal="no part without which the scores are as good",
    notes=(
        "A single scale has 6 codes a window in place of 13: its prior writes them all at once.",
    ),
)  # fmt: skip
