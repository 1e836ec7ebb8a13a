"""Train on a corpus larger than the memory it may take; measure the memory.

Usage: python benchmarks/large.py FOLDER [--gigabytes 5] [--steps 300] [-o FILE]

Writes a synthetic corpus to FOLDER/corpus (once), pre-trains from it with
`caesura pretrain ... --set data.stream=on` in a process of its own, kills a second run in the
middle of its epoch and resumes it, and compares the weights bit by bit.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

_ROWS = 5_000_000


def write_corpus(folder, gigabytes):
    """Write files of 5 M observations until the folder has its size; values do not compress."""
    folder.mkdir(parents=True, exist_ok=True)
    series, number = 0, 0
    while sum(path.stat().st_size for path in folder.iterdir()) < gigabytes * 1e9:
        rng = np.random.default_rng(number)
        lengths = np.clip(rng.lognormal(np.log(85), 0.55, _ROWS // 100), 20, 1000).astype(int)
        rows = int(lengths.sum())
        phase = np.repeat(rng.uniform(0, 6, len(lengths)), lengths)
        clock = np.cumsum(rng.exponential(2e-3, rows) + 2e-5)
        band = rng.integers(0, 6, rows).astype(np.int8)
        table = pa.table(
            {
                "id": np.repeat(np.arange(series, series + len(lengths)), lengths),
                "t": clock,
                "band": band,
                "v": (np.sin(5 * clock + phase + band) + rng.normal(0, 0.3, rows)).astype("f4"),
                "e": (0.2 + 0.2 * rng.random(rows)).astype("f4"),
            }
        )
        pq.write_table(table, folder / f"part-{number:04d}.parquet")
        series, number = series + len(lengths), number + 1
    return series


def command(corpus, out, steps, resume=False):
    """Return the command of one training."""
    line = [sys.executable, "-m", "caesura.cli.main", "--quiet", "--threads", "1", "pretrain"]
    line += ["romae", "--data", str(corpus), "--id", "id", "--time", "t", "--channel", "band"]
    line += ["--value", "v", "--error", "e", "--steps", str(steps), "--out", str(out)]
    line += ["--set", "data.stream=on", "--set", f"training.evaluate_every={steps // 4}"]
    return [*line, "--resume"] if resume else line


def main():
    """Write the corpus, train, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    corpus = options.folder / "corpus"
    write_corpus(corpus, options.gigabytes)
    size = sum(path.stat().st_size for path in corpus.iterdir())
    rows = sum(pq.read_metadata(path).num_rows for path in corpus.iterdir())
    whole, cut = options.folder / "whole", options.folder / "cut"
    for old in (whole, cut):
        shutil.rmtree(old, ignore_errors=True)
    begun = time.monotonic()
    subprocess.run(command(corpus, whole, options.steps), check=True)
    seconds = time.monotonic() - begun
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    killed = subprocess.Popen(command(corpus, cut, options.steps))
    while not (cut / "checkpoint.safetensors").exists():
        time.sleep(0.1)
    time.sleep(5.0)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    subprocess.run(command(corpus, cut, options.steps, resume=True), check=True)
    one, two = (load_file(folder / "model.safetensors") for folder in (whole, cut))
    equal = all(np.array_equal(one[name], two[name]) for name in one)
    metrics = json.loads((whole / "metrics.json").read_text())
    row = {
        "experiment": "a corpus larger than its memory",
        "gigabytes": round(size / 1e9, 2),
        "observations": rows,
        "train_series": metrics["train_series"],
        "peak_resident_mib": round(peak),
        "seconds": round(seconds, 1),
        "training_seconds": metrics["seconds"],
        "steps": metrics["steps"],
        "resumed_after_kill_bit_equal": equal,
        "command": f"python benchmarks/large.py FOLDER --gigabytes {options.gigabytes:g} "
        f"--steps {options.steps}",
        "hardware": f"{platform.machine()} CPU, 1 thread",
        "date": datetime.date.today().isoformat(),
    }
    print(json.dumps(row, indent=2))
    if options.output:
        with options.output.open("a") as handle:
            handle.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
