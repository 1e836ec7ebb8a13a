"""RoMAE on supernova light curves (SNPCC): interpolation, probe and fine-tuning with controls.

Usage: python benchmarks/snpcc.py FOLDER [--seeds N] [--steps N] [--labels 300,1000] [-o FILE]

FOLDER holds lightcurves.parquet and meta.parquet. 2,000 objects, the same ones for every seed,
are set aside before anything is fitted and are read for the final figures alone. Type Ia is
told from the rest (AUROC). One JSON line a figure is appended to FILE.
"""

import argparse
import datetime
import json
import platform
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from caesura.metrics.bootstrap import Interval
from caesura.recipes.compose import compose
from caesura.run import Run
from caesura.study.classification import (
    SCRATCH,
    STATISTICS,
    Classification,
    Task,
    control_scores,
    trained_scores,
)
from caesura.study.interpolation import CONTROLS, MODEL, interpolate_hidden
from caesura.training.precision import bf16_is_native
from caesura.workflow import pretrain

COLUMNS = {"id": "snid", "time": "mjd", "channel": "band", "value": ["flux"], "error": "err"}
TEST = 2000


def split(folder):
    """Return (pool, test) tables of observations and the outcome by object."""
    curves = pq.read_table(folder / "lightcurves.parquet")
    meta = pq.read_table(folder / "meta.parquet")
    objects = meta["snid"].to_numpy()
    test = np.random.default_rng(7).permutation(objects)[:TEST]
    held = pa.array(np.isin(curves["snid"].to_numpy(), test))
    kinds = meta["sim"].to_pylist()
    outcome = {int(o): int(k == "Ia") for o, k in zip(objects, kinds, strict=True)}
    return curves.filter(pa.compute.invert(held)), curves.filter(held), outcome


def line(file, experiment, metric, seed, value, command):
    """Print a figure and append it as a JSON line."""
    interval = value if isinstance(value, Interval) else None
    row = {"experiment": experiment, "metric": metric, "seed": seed}
    row |= {"value": round(float(interval.value if interval else value), 4)}
    if interval:
        row |= {"lower": round(interval.lower, 4), "upper": round(interval.upper, 4)}
    row |= {"command": command, "hardware": f"{platform.machine()} CPU, 1 thread"}
    row |= {"date": datetime.date.today().isoformat()}
    print(f"{seed}  {experiment:45s} {metric:40s} {interval or row['value']}", flush=True)
    if file:
        with file.open("a") as handle:
            handle.write(json.dumps(row) + "\n")


def main():
    """Run all seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--labels", default="300,1000")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    command = f"python benchmarks/snpcc.py FOLDER --seeds {options.seeds} --steps {options.steps}"
    pool, test, outcome = split(options.folder)
    precision = "bf16" if bf16_is_native() else "fp32"
    settings = [f"training.precision={precision}", "training.patience=0"]
    for seed in range(options.seeds):
        recipe = compose("romae", columns=COLUMNS, length={"steps": options.steps}, seed=seed,
                         settings=settings)  # fmt: skip
        run: Run = pretrain(pool, recipe)
        line(options.output, "SNPCC pre-training", "seconds", seed, run.metrics["seconds"], command)
        pool_store, test_store = run.open(pool), run.open(test)
        hidden = interpolate_hidden(run, pool_store, test_store)
        name = "SNPCC interpolation, half hidden"
        for method, error in hidden.overall().items():
            line(options.output, name, f"MSE {method}", seed, error, command)
        for control in (CONTROLS[3], CONTROLS[-1]):
            gap = hidden.difference(control)
            line(options.output, name, f"MSE {MODEL} - {control}", seed, gap, command)
        line(options.output, name, "coverage of 90 %", seed, hidden.coverage, command)
        for count in map(int, options.labels.split(",")):
            task = Task(outcome, count, steps=max(120, count // 4))
            scores = trained_scores(run, pool_store, test_store, task)
            scores |= control_scores(pool, test, task, recipe)
            found = Classification(task.of(test_store), scores, count)
            name = f"SNPCC Ia against the rest, {count} labels"
            for method in scores:
                line(options.output, name, f"AUROC {method}", seed, found.auroc(method), command)
            for other in (SCRATCH, STATISTICS):
                gap = found.difference(other)
                line(options.output, name, f"AUROC fine-tuned - {other}", seed, gap, command)


if __name__ == "__main__":
    main()
