"""Compare settings of the demo's pre-training by validation loss; test stays are never read.

Usage: python benchmarks/demo_settings.py [--steps 300] [--seeds 1] [-o FILE] SETTING...

A SETTING is path=value, or several joined by "+"; the unchanged recipe always comes first.
One JSON line a run is appended to FILE.
"""

import argparse
import datetime
import json
import platform
from pathlib import Path

import torch

from caesura.data.bundled import bundled
from caesura.data.read import read_table
from caesura.recipes.schema import assign, make_recipe
from caesura.study.demo import FULL, recipe, split_stays
from caesura.workflow import pretrain


def main():
    """Train every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("settings", nargs="*")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = read_table(bundled("physionet2012.parquet"))
    outcomes = read_table(bundled("physionet2012_outcomes.parquet"))
    pool, _, _ = split_stays(table, outcomes, FULL)
    for setting in ["", *options.settings]:
        for seed in range(options.seeds):
            tree = recipe(FULL, seed).model_dump(mode="json", exclude_unset=True)
            changes = [f"training.steps={options.steps}", *setting.split("+")]
            for change in filter(None, changes):
                tree = assign(tree, change)
            run = pretrain(pool, make_recipe(tree))
            row = {
                "experiment": f"demo pre-training, {options.steps} steps: {setting or 'as it is'}",
                "metric": "validation loss",
                "seed": seed,
                "value": round(run.metrics["validation_loss"], 4),
                "seconds": run.metrics["seconds"],
                "command": f"python benchmarks/demo_settings.py --steps {options.steps} {setting}",
                "hardware": f"{platform.machine()} CPU, 1 thread",
                "date": datetime.date.today().isoformat(),
            }
            print(json.dumps(row), flush=True)
            if options.output:
                with options.output.open("a") as handle:
                    handle.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
