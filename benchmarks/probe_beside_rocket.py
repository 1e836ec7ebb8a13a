"""Features of a pre-trained encoder and a ridge, beside MiniRocket and the same ridge (goal P10).

Usage: python benchmarks/probe_beside_rocket.py --data DATA [--seeds 3] [--steps 400] [-o FILE]

Runs where aeon is (`make extras`). Five sets of the UCR and UEA archives on their official splits,
with all training labels and with 10 % of them (two a class at least); settings are the same for
all sets and were fixed beforehand. The encoder is pre-trained on the training series of each set,
labels unseen; both ridges choose their penalty alike. Processor time on one thread of "fit and
predict", and of the pre-training besides.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import date
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from few_labels import few
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import caesura
from caesura.tasks.rocket import rocket_predictions

SETS = ("BasicMotions", "ItalyPowerDemand", "GunPoint", "ArrowHead", "OSULeaf")


def pretrained(x, steps, seed):
    """Return features of `mae` on patches of about a thirty-second of the series."""
    length = x.shape[2]
    settings = ("data.rate=1", f"data.window={length}", f"encoder.patch={max(2, length // 32)}")
    model = caesura.PretrainedFeatures("mae", steps=steps, settings=settings, random_state=seed)
    return model.fit(x)


def timed(call):
    """Return what a call gives, and its processor time."""
    begun = time.process_time()
    found = call()
    return found, time.process_time() - begun


def row_of(name, root, seed, steps):
    """Return accuracies and times of one set."""
    with np.load(root / "ucr_uea" / f"{name}.npz", allow_pickle=False) as z:
        x, y, new, truth = (z[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    x, new = np.asarray(x, dtype=np.float64), np.asarray(new, dtype=np.float64)
    features, before = timed(lambda: pretrained(x, steps, seed))
    row = {"set": name, "seed": seed, "pre-training, s": before}
    for share in (1.0, 0.1):
        rows = few(y, share, np.random.default_rng(seed)) if share < 1 else np.arange(len(y))
        given = x[rows]

        def ours(rows=rows, given=given):
            ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 10)))
            return ridge.fit(features.transform(given), y[rows]).predict(features.transform(new))

        def rocket(rows=rows, given=given):
            return rocket_predictions(list(given), y[rows], list(new), seed)

        for who, call in (("ours", ours), ("MiniRocket", rocket)):
            said, seconds = timed(call)
            row[f"{who}, {share:.0%} of labels"] = float((said == truth).mean())
            row[f"{who}, {share:.0%}, s"] = seconds
    return row


def main():
    """Measure all, after one MiniRocket that compiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    noise = list(np.random.default_rng(0).standard_normal((8, 6, 64)))
    for kind in (noise, [one[:1] for one in noise]):
        rocket_predictions(kind, [0, 1] * 4, kind, 0)
    rows = []
    for name in SETS:
        for seed in range(options.seeds):
            row = row_of(name, options.data, seed, options.steps)
            rows.append(row)
            print(
                {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}, flush=True
            )
            if options.output:
                about = {"experiment": "probe beside MiniRocket", "steps": options.steps, **row,
                         "command": "python benchmarks/probe_beside_rocket.py --data DATA",
                         "hardware": f"{platform.machine()} CPU, 1 thread",
                         "date": date.today().isoformat()}  # fmt: skip
                with options.output.open("a") as handle:
                    handle.write(json.dumps(about) + "\n")
    for share in ("100%", "10%"):
        times = [row[f"ours, {share}, s"] / row[f"MiniRocket, {share}, s"] for row in rows]
        gap = [row[f"ours, {share} of labels"] - row[f"MiniRocket, {share} of labels"]
               for row in rows]  # fmt: skip
        print(f"{share} of labels: time ratio {np.median(times):.2f}, accuracy {np.mean(gap):+.3f}")


if __name__ == "__main__":
    main()
