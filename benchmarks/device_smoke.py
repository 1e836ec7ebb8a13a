"""Does every verb run on a GPU, and say what it says on the CPU?

Four tiny runs are trained on the device, used there and, from their folders, on the CPU. Prints a
table: the verb, seconds on the device and on the CPU, and the largest relative difference.

Usage: python benchmarks/device_smoke.py [--device cuda]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import caesura
from caesura.errors import RecipeError
from caesura.tasks.detect import detect
from caesura.tasks.embed import embed_windows
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.generate import generate, redraw
from caesura.tasks.generate_given import generate_given
from caesura.tasks.generate_long import generate_long
from caesura.tasks.impute import impute
from caesura.training.device import chosen_device, using_device

LIMIT = 0.01
"""Largest difference, in shares of the largest number, that is no fault: float32 is summed in
another order, and a code that is drawn at a tie changes a window."""
PATCHES = (
    "encoder.width=32",
    "encoder.depth=2",
    "encoder.patch=8",
    "data.rate=1",
    "data.window=64",
    "stages.0.decoder.width=32",
)
PYRAMID = ("encoder.widths=[8,16]", "data.rate=1", "data.window=64", "encoder.statistics=fixed")
MAKER = (
    "data.window=24",
    "encoder.width=32",
    "encoder.latent=8",
    "training.batch_tokens=1024",
    "stages.0.objective.quantiser.codes=32",
)


def irregular(count=24):
    """Make a long table of two channels at irregular times, and a class of each series."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        for channel in "uv":
            at = np.sort(rng.uniform(0, 12, 20))
            values = np.sin((1 + number % 2) * at) + 0.1 * rng.standard_normal(20)
            rows += [(number, t, channel, v) for t, v in zip(at, values, strict=True)]
    names = ("id", "time", "channel", "value")
    table = pa.table({name: [row[k] for row in rows] for k, name in enumerate(names)})
    return table, pa.table({"id": np.arange(count), "kind": np.arange(count) % 2})


def waves(count=6, channels=2, length=240):
    """Make regular series, and the same with gaps."""
    rng = np.random.default_rng(1)
    shape = (count, channels, 1)
    made = np.sin(np.arange(length) / 3 + rng.uniform(0, 6, shape))
    made = made + 0.1 * rng.standard_normal((count, channels, length))
    return made, np.where(np.arange(length) % 40 > 34, np.nan, made)


def trained(folder):
    """Train a run of each system, save it, and return it by name; also the seconds of each."""
    (table, labels), (regular, _) = irregular(), waves()
    by_channel = {"columns": {"channel": "channel"}}
    pyramid, patches, maker = ({"settings": each} for each in (PYRAMID, PATCHES, MAKER))
    ways = {
        "pretrain romae": lambda runs: caesura.pretrain(table, "romae-tiny", steps=5, **by_channel),
        "finetune": lambda runs: caesura.finetune(
            runs["pretrain romae"], labels, data=table, steps=5
        ),
        "pretrain himae": lambda runs: caesura.pretrain(regular, "himae", steps=5, **pyramid),
        "pretrain mae": lambda runs: caesura.pretrain(regular, "mae", steps=5, **patches),
        "distil": lambda runs: caesura.distil(
            runs["pretrain mae"],
            "himae-small",
            data=regular,
            steps=5,
            settings=("encoder.widths=[4,8]",),
        ),
        "pretrain timemar": lambda runs: caesura.pretrain(
            list(regular), "timemar", steps=20, **maker
        ),
    }
    runs, seconds = {}, {}
    for name, way in ways.items():
        begun = time.monotonic()
        runs[name] = way(runs)
        seconds[name] = time.monotonic() - begun
        runs[name].save(folder / name)
    return runs, seconds


def verbs():
    """Return what is asked of which run, by verb; each answers a list of arrays."""
    (table, labels), (regular, gaps) = irregular(), waves()
    series, holes = list(regular), list(gaps)

    def on(run, data):
        return run, run.open(data)

    def forecasts(run, data, **settings):
        found = forecast(*on(run, data), ForecastSettings(4, **settings))
        return [found.value, found.lower, found.upper]

    def probe(run, data):
        return [np.array(list(run.probe(labels, data, folds=2).metrics.values()), dtype=float)]

    def stream(run):
        reader = run.stream()
        parts = reader.push(np.float32(regular[0])) + reader.finish()
        return [np.asarray(part) for part in parts]

    return {
        "embed": ("pretrain romae", lambda r: [r.embed(table)]),
        "probe": ("pretrain romae", lambda r: probe(r, table)),
        "predict": ("finetune", lambda r: [r.predict(table)["p_1"].to_numpy()]),
        "interpolate": (
            "pretrain romae",
            lambda r: [r.interpolate(table, "every:3")["value"].to_numpy()],
        ),
        "embed --windows": ("pretrain himae", lambda r: list(embed_windows(*on(r, regular)))),
        "stream": ("pretrain himae", stream),
        "embed a student": ("distil", lambda r: [r.embed(regular)]),
        "forecast, head": ("pretrain mae", lambda r: forecasts(r, regular)),
        "detect": ("pretrain mae", lambda r: detect(*on(r, regular), r.open(regular)).score),
        "generate": ("pretrain timemar", lambda r: [generate(r, 20)]),
        "generate --steps": ("pretrain timemar", lambda r: [generate_long(r, 3, 60)]),
        "generate --given": (
            "pretrain timemar",
            lambda r: [generate_given(*on(r, holes), 2).values],
        ),
        "redraw": ("pretrain timemar", lambda r: [redraw(*on(r, series), 1)]),
        "impute": ("pretrain timemar", lambda r: impute(*on(r, holes), 8).value),
        "forecast, draws": ("pretrain timemar", lambda r: forecasts(r, series, draws=8)),
    }


def difference(ours, theirs):
    """Return the largest difference of two lists of arrays, in shares of the largest number."""
    most = 0.0
    for one, other in zip(ours, theirs, strict=True):
        scale = max(float(np.nanmax(np.abs(other), initial=0)), 1e-12)
        most = max(most, float(np.nanmax(np.abs(np.subtract(one, other)), initial=0)) / scale)
    return most


def timed(ask, run):
    """Return an answer and its seconds."""
    begun = time.monotonic()
    answer = ask(run)
    return answer, time.monotonic() - begun


def main():
    """Print the table; exit 1 where a verb fails or answers something else."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda")
    try:
        device = chosen_device(parser.parse_args().device)
    except RecipeError as error:
        print(f"nothing to try: {error}")
        return 0
    faults = 0
    print(f"{'verb':20} {device!s:>8} {'cpu':>8} difference")
    with tempfile.TemporaryDirectory() as folder, using_device(str(device)):
        runs, seconds = trained(Path(folder))
        for name, spent in seconds.items():
            print(f"{name:20} {spent:8.2f}")
        for verb, (name, ask) in verbs().items():
            try:
                ours, spent = timed(ask, runs[name])
            except Exception as error:  # the table goes on
                faults += 1
                print(f"{verb:20} FAILED   {type(error).__name__}: {error}")
                continue
            with using_device("cpu"):
                theirs, slow = timed(ask, caesura.load(Path(folder) / name))
            gap = difference(ours, theirs)
            faults += gap > LIMIT
            print(f"{verb:20} {spent:8.2f} {slow:8.2f} {gap:.1e}{' DIFFERS' * (gap > LIMIT)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
