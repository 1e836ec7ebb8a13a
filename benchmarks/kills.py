"""Kill training, embedding and interpolation at random moments; nothing may be lost.

Usage: python benchmarks/kills.py FOLDER [--kills 50] [--seed 0] [-o FILE]

A chain of one verb is started, killed by SIGKILL after a random time and started again (a
training with --resume) until it is through; then its result is compared bit by bit with that
of an undisturbed run. After each kill, whatever has its final name must be whole.
"""

import argparse
import datetime
import json
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from safetensors.numpy import load_file

import caesura
from caesura.data.bundled import bundled
from caesura.errors import CaesuraError

SETTINGS = (
    "encoder.width=32", "encoder.heads=2", "encoder.depth=2", "encoder.dropout=0.1",
    "encoder.stochastic_depth=0.1", "stages.0.decoder.width=32", "stages.0.decoder.heads=2",
    "training.evaluate_every=4", "training.batch_tokens=2048",
)  # fmt: skip


def verb(folder, name, out):
    """Return the command of a verb that writes `out`."""
    line = [sys.executable, "-m", "caesura.cli.main", "--quiet", "--threads", "1", name]
    if name == "pretrain":
        line += ["romae", "--data", str(folder / "data.parquet"), "--id", "stay", "--time", "hour"]
        line += ["--channel", "variable", "--steps", "60", "--out", str(out)]
        for setting in SETTINGS:
            line += ["--set", setting]
        return [*line, "--resume"] if (out / "recipe.toml").is_file() else line
    line += [str(folder / "whole"), "--data", str(folder / "data.parquet"), "-o", str(out)]
    return line if name == "embed" else [*line, "--at", "every:6"]


def read(path):
    """Return the arrays of a result."""
    if path.is_dir():
        return load_file(path / "model.safetensors")
    table = pq.read_table(path)
    return {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}


def equal(one, two):
    """Say whether two results have the same bits."""
    a, b = read(one), read(two)
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and (a[k] == b[k]).all() for k in a
    )


def check(out, reference):
    """Raise where something half-written has a final name."""
    if out.is_file() and not equal(out, reference):
        raise SystemExit(f"{out} differs from {reference} after a kill")
    if out.is_dir():
        try:
            caesura.load(out)
        except CaesuraError as error:
            if "did not finish" not in str(error) and "not a run" not in str(error):
                raise SystemExit(f"{out} is damaged after a kill: {error}") from error


def main():
    """Kill until the number is reached, then let each chain end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    folder, draw = options.folder, random.Random(options.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    table = pq.read_table(bundled("physionet2012.parquet"))
    stays = np.unique(table["stay"].to_numpy())[:400]
    pq.write_table(table.filter(np.isin(table["stay"].to_numpy(), stays)), folder / "data.parquet")
    names = {"pretrain": "whole", "embed": "z.parquet", "interpolate": "i.parquet"}
    length = {}
    for name, target in names.items():
        begun = time.monotonic()
        subprocess.run(verb(folder, name, folder / target), check=True, stdout=subprocess.DEVNULL)
        length[name] = time.monotonic() - begun
    killed = dict.fromkeys(names, 0)
    chains = dict.fromkeys(names, 0)
    while sum(killed.values()) < options.kills:
        name = draw.choices(list(names), [3, 1, 1])[0]
        out = folder / f"{name}-{chains[name]}{Path(names[name]).suffix}"
        while True:
            process = subprocess.Popen(verb(folder, name, out), stdout=subprocess.DEVNULL)
            last = sum(killed.values()) >= options.kills
            try:
                code = process.wait(None if last else draw.uniform(0.2, 1.4 * length[name]))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed[name] += 1
                check(out, folder / names[name])
                continue
            if code:
                raise SystemExit(f"{name} failed with exit code {code} after a kill")
            break
        if not equal(out, folder / names[name]):
            raise SystemExit(f"{out} differs from the undisturbed {names[name]}")
        chains[name] += 1
        print(f"{sum(killed.values())} kills, {chains}", flush=True)
    row = {
        "experiment": "random kills",
        "kills": killed,
        "results_compared": chains,
        "all_bit_equal": True,
        "command": f"python benchmarks/kills.py FOLDER --kills {options.kills}",
        "hardware": f"{platform.machine()} CPU, 1 thread",
        "date": datetime.date.today().isoformat(),
    }
    print(json.dumps(row, indent=2))
    if options.output:
        with options.output.open("a") as handle:
            handle.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
