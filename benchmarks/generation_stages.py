"""Which stage of a generator do critics see: the codes, or the prior that draws them?

    python benchmarks/generation_stages.py "Energy 64" --data DATA --out OUT [--rows N]
        [--steps N] [--seed N] [--set KEY=VALUE ...]

Trains `timemar` as a cell of `caesura reproduce timemar-legacy` does, or takes the run in OUT/run,
and scores by timegan's critic: real windows' own codes decoded (nothing drawn but the noise that
codes cannot hold), then with ever more of the finer scales drawn by the prior, down to windows that
are drawn whole; and codes decoded without noise. Beside it real windows against real ones. Prints a
table, and leaves it as lines in OUT/stages.jsonl; scores that are there already are not computed
again.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
from datetime import date
from pathlib import Path

import numpy as np

from caesura.metrics import generate as measures
from caesura.reproduce.experiment import Context
from caesura.reproduce.timemar.legacy import LegacySettings
from caesura.reproduce.timemar.sets import all_windows
from caesura.reproduce.timemar.short import generator
from caesura.tasks.critics import CRITICS, discriminative_scores
from caesura.tasks.generate import SamplingSettings, redraw
from caesura.training.precision import threads

REAL = "real against real"


def ways(scales):
    """Return a name, the number of scales kept and whether noise is drawn, of each row."""
    kept = {
        f"{k} of {scales} scales kept, the finer drawn": (k, True) for k in range(scales - 1, 0, -1)
    }
    return {
        "own codes, decoded": (scales, True),
        "own codes, without noise": (scales, False),
        **kept,
        "all drawn": (0, True),
    }


def scored(real, other, options):
    """Return what tells two sets of windows apart."""
    with threads(1):
        told = discriminative_scores(real, other, CRITICS["timegan"], options.repeats, options.seed)
    return {
        "discriminative score": float(told.mean()),
        "autocorrelation distance": measures.autocorrelation_distance(real, other),
        "correlation error a pair": measures.correlation_error(real, other),
        "deviation ratio": measures.deviation_ratio(real, other),
    }


def rows_of(cell, options):
    """Yield each row's name, and a function that gives its scores."""
    context = Context(
        LegacySettings(steps=options.steps, repeats=options.repeats, changes=tuple(options.set)),
        options.seed,
        options.data,
        options.out,
    )
    name, _, length = cell.partition(" ")
    series, real = all_windows(name, int(length), context)
    run = generator(series, int(length), context)
    order = np.random.default_rng(options.seed).permutation(len(real))
    half = len(real) // 2
    yield REAL, lambda: scored(real[order[:half]], real[order[half : 2 * half]], options)
    store = run.open(real)
    places = -(-int(length) // run.parts["encoder"].hop)
    for row, (kept, noise) in ways(len(run.parts["tokenizer"].scales(places))).items():
        settings = SamplingSettings(noise=noise)
        yield (
            row,
            lambda kept=kept, settings=settings: scored(
                real,
                redraw(run, store, kept, seed=options.seed, settings=settings),
                options,
            ),
        )


def _read(line):
    return {"changes": []} | json.loads(line)  # lines of before had none


def main():
    """Score what is not scored yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell", help="a cell of timemar-legacy, as 'Energy 64'")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="a change of the recipe")
    parser.add_argument("--rows", type=int, help="the first so many rows; default: all")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "stages.jsonl"
    lines = [_read(line) for line in file.read_text().splitlines()] if file.exists() else []
    asked = {"cell": options.cell, "steps": options.steps, "seed": options.seed,
             "repeats": options.repeats, "changes": options.set}  # fmt: skip
    there = {line["row"]: line for line in lines if asked.items() <= line.items()}
    about = asked | {"hardware": f"{platform.machine()} CPU, 1 thread", "date": str(date.today())}
    for row, score in itertools.islice(rows_of(options.cell, options), options.rows):
        if row not in there:
            there[row] = {"row": row, **about, "scores": score()}
            with file.open("a") as out:
                out.write(json.dumps(there[row]) + "\n")
        found = there[row]["scores"].items()
        print(f"{row}: " + ", ".join(f"{n} {v:.3f}" for n, v in found), flush=True)


if __name__ == "__main__":
    main()
