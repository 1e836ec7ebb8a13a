"""The demo: real intensive-care records, from raw rows to a report, with every control.

Pre-trains a small RoMAE on PhysioNet 2012, interpolates measurements hidden in stays it
never saw, and classifies in-hospital death. Test stays are read for the final figures alone.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from caesura.data.bundled import bundled
from caesura.data.read import read_table
from caesura.recipes.compose import compose
from caesura.run import Run
from caesura.study.classification import Classification, Task, control_scores, trained_scores
from caesura.study.curves import draw_series
from caesura.study.interpolation import Interpolation, interpolate_hidden
from caesura.training.loop import Progress
from caesura.training.precision import bf16_is_native
from caesura.workflow import pretrain

COLUMNS = {"id": "stay", "time": "hour", "channel": "variable", "value": ["value"]}
STATIC = ("Age", "Gender", "Height", "ICUType", "Weight", "MechVent")
"""Never asked: constant in a stay, or always 1 where noted."""
DRAWN = ("HR", "MAP", "Temp", "Glucose")
TEST_SHARE = 0.25
Stage = Callable[[str], AbstractContextManager[Callable[[Progress], None]]]


@dataclass(frozen=True)
class DemoSize:
    """How much work the demo does."""

    steps: int
    finetune_steps: int
    labels: int
    test_stays: int


FULL = DemoSize(steps=560, finetune_steps=250, labels=1000, test_stays=875)
QUICK = DemoSize(steps=60, finetune_steps=30, labels=300, test_stays=200)
"""The one-minute form: it shows that all works, its figures mean little."""


@dataclass
class DemoResult:
    """All that the report shows; one entry a seed in the lists."""

    size: DemoSize
    runs: list[Run] = field(default_factory=list)
    interpolations: list[Interpolation] = field(default_factory=list)
    classifications: list[Classification] = field(default_factory=list)
    histories: list[list[dict[str, float]]] = field(default_factory=list)
    drawn: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)


def silent(name: str) -> AbstractContextManager[Callable[[Progress], None]]:
    """Show a stage to nobody."""
    return nullcontext(lambda progress: None)


def run_demo(out: Path, size: DemoSize = FULL, seeds: int = 1, stage: Stage = silent) -> DemoResult:
    """Run all stages for each seed and keep the runs in `out`; the report is a step of its own.

    What needs no pre-training is trained meanwhile on a second core, if there is one.
    """
    begun = time.monotonic()
    table = read_table(bundled("physionet2012.parquet"))
    outcomes = read_table(bundled("physionet2012_outcomes.parquet"))
    pool, test, died = split_stays(table, outcomes, size)
    task = Task(died, size.labels, size.finetune_steps)
    result = DemoResult(size)
    result.counts = {
        "stays": len(outcomes),
        "values": len(table),
        "pool": len(np.unique(pool["stay"].to_numpy())),
        "test": len(np.unique(test["stay"].to_numpy())),
        "labels": size.labels,
        "deaths": int(np.sum(outcomes["died"].to_numpy())),
    }
    for seed in range(seeds):
        chosen = recipe(size, seed)
        with second_core() as submit:
            controls = submit(control_scores, pool, test, task, chosen)
            folder = out / f"pretrained_{seed}"
            with stage("pre-training") as show:
                run = pretrain(pool, chosen, folder, on_progress=show)
            result.runs.append(run)
            result.histories.append(history(folder))
            pool_store, test_store = run.open(pool), run.open(test)
            with stage("interpolating hidden measurements, with six controls"):
                result.interpolations.append(
                    interpolate_hidden(run, pool_store, test_store, STATIC)
                )
            with stage("fine-tuning and probing") as show:
                scores = trained_scores(run, pool_store, test_store, task, show)
            with stage("the same from scratch, and other controls"):
                scores |= controls()
        truth = task.of(test_store)
        result.classifications.append(Classification(truth, scores, size.labels))
        if seed == 0:
            result.drawn = draw_series(run, test_store, DRAWN)
    result.seconds = time.monotonic() - begun
    return result


@contextmanager
def second_core() -> Iterator[Callable[..., Callable[[], Any]]]:
    """Yield `submit(f, *args)`; its result is awaited by a call, or computed then on one core."""
    if available_cores() < 2:
        yield lambda function, *arguments: lambda: function(*arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_one_thread) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result


def available_cores() -> int:
    """Return the number of cores this process may use, not those of the machine."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers Ctrl-C


def recipe(size: DemoSize, seed: int) -> Any:
    """Return the demo's recipe: `romae`, with the settings that trials measured (log.md)."""
    precision = "bf16" if bf16_is_native() else "fp32"
    return compose(
        "romae",
        columns=COLUMNS,
        length={"steps": size.steps},
        seed=seed,
        settings=[
            f"training.precision={precision}",
            "training.patience=0",
            f"training.evaluate_every={max(10, size.steps // 12)}",
        ],
    )


def split_stays(
    table: pa.Table, outcomes: pa.Table, size: DemoSize
) -> tuple[pa.Table, pa.Table, dict[int, int]]:
    """Set test stays aside, the same ones for every seed and method."""
    stays = outcomes["stay"].to_numpy()
    shuffled = np.random.default_rng(12).permutation(stays)
    count = min(size.test_stays, round(TEST_SHARE * len(stays)))
    column = table["stay"].to_numpy()
    died = dict(zip(stays.tolist(), outcomes["died"].to_numpy().tolist(), strict=True))
    held = np.isin(column, shuffled[:count])
    rest = np.isin(column, shuffled[round(TEST_SHARE * len(stays)) :])
    return table.filter(pa.array(rest)), table.filter(pa.array(held)), died


def history(folder: Path) -> list[dict[str, float]]:
    """Read the losses of a run."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
