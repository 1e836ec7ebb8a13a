"""Does the fast route learn as much as the plain one? Validation loss at equal tokens.

Usage: python benchmarks/parity.py [--steps 400] [--seeds 3] [-o FILE]

Four arms on the demo's pre-training pool: what a run takes by itself here (bf16 where it is
native, random batches of packed tokens), the same in fp32, the same in length buckets, and the
plain route: fp32 with torch's own products, random batches padded to their longest row. One
JSON line an arm and seed, with the curve.
"""

import argparse
import datetime
import json
import platform
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from caesura.data.bundled import bundled
from caesura.data.read import read_table
from caesura.recipes.compose import compose
from caesura.study.demo import COLUMNS, FULL, history, split_stays
from caesura.workflow import pretrain

ARMS = {
    "as it comes": {},
    "fp32": {"precision": "fp32"},
    "length buckets": {"batches": "buckets"},
    "fp32, padded random batches": {
        "precision": "fp32", "products": "default", "plain_attention": 0, "batches": "random",
    },
}  # fmt: skip


def train(arm, seed, steps, pool):
    """Return the validation losses and the seconds of one run."""
    settings = [f"training.{key}={value}" for key, value in ARMS[arm].items()]
    settings += ["training.patience=0", f"training.evaluate_every={steps // 8}"]
    recipe = compose(
        "romae", columns=COLUMNS, length={"steps": steps}, seed=seed, settings=settings
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        with ExitStack() as patches:
            if "padded" in arm:
                patches.enter_context(
                    mock.patch("caesura.nn.transformer.worth_packing", return_value=False)
                )
            run = pretrain(pool, recipe, out)
        curve = [[int(row["step"]), round(row["validation_loss"], 5)] for row in history(out)]
    return curve, run.metrics["seconds"], run.recipe.training.precision


def main():
    """Train every arm with every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arm", choices=list(ARMS), action="append", help="Default: all.")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = read_table(bundled("physionet2012.parquet"))
    pool, _, _ = split_stays(table, read_table(bundled("physionet2012_outcomes.parquet")), FULL)
    arms = options.arm or list(ARMS)
    curves = {arm: [] for arm in arms}
    for seed in range(options.seeds):
        for arm in arms:
            curve, seconds, precision = train(arm, seed, options.steps, pool)
            curves[arm].append([loss for _, loss in curve])
            row = {
                "experiment": f"loss parity: {arm}", "precision": precision, "seed": seed,
                "metric": "validation loss", "value": curve[-1][1], "curve": curve,
                "seconds": seconds,
                "command": f"python benchmarks/parity.py --steps {options.steps}",
                "hardware": f"{platform.machine()} CPU, 1 thread",
                "date": datetime.date.today().isoformat(),
            }  # fmt: skip
            print(json.dumps(row), flush=True)
            if options.output:
                with options.output.open("a") as handle:
                    handle.write(json.dumps(row) + "\n")
    plain = np.array(curves[arms[-1]])
    for arm, losses in curves.items():
        gaps = np.array(losses)[:, -1] - plain[:, -1]
        spread = np.array(losses)[:, -1].std(ddof=1) if len(losses) > 1 else float("nan")
        print(
            f"{arm:30} last {np.mean(losses, axis=0)[-1]:.4f} +- {spread:.4f}, "
            f"less the last arm {gaps.mean():+.4f} (each seed {np.round(gaps, 4).tolist()})"
        )


if __name__ == "__main__":
    main()
