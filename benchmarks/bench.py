"""Speed as ratios in one run, beside this machine's own limits: `make bench`.

Writes bench.json (one key a goal) and bench-details.json (absolute figures). A goal that
depends on what is not installed, or whose rival is not a fair one, is left out and said so.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from rich.console import Console
from rich.table import Table
from speed import data, model, process
from speed.timing import machine_limits

GOALS = {
    "P1": (12.0, ">=", "pre-training, bf16, over a padded rival (to 250)"),
    "P2": (6.0, ">=", "the same in fp32"),
    "P3": (0.60, ">=", "encoder step, tiny, bf16, over the best bf16 product"),
    "P4": (0.72, ">=", "the same, small"),
    "P3_compiled": (0.60, ">=", "P3, compiled"),
    "P4_compiled": (0.72, ">=", "P4, compiled"),
    "P5": (1.7, ">=", "encoder step, fp32, over nn.TransformerEncoder"),
    "P6": (0.95, ">=", "useful tokens/s in length buckets over dense rows"),
    "P6_random": (0.85, ">=", "the same, random batches, packed"),
    "D1": (0.8, ">=", "sorted table to store, over a plain read"),
    "D2": (5.0, "<=", "ms from the kept form to a first batch"),
    "D3": (1.5, ">=", "shuffled table to store, over DuckDB ORDER BY"),
    "D4": (60.0, ">=", "gather and masks, over a DataLoader with loops"),
    "D5": (0.005, "<=", "their share of a training step"),
    "R1": (1.1, "<=", "default threads over one, on a busy machine"),
    "R2": (1.1, "<=", "import caesura over import torch"),
    "R3": (6.0, "<=", "CPU seconds of the first compiled step"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="Goals to measure, e.g. P5,D4.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rounds, wanted = arguments.rounds, set(filter(None, arguments.only.split(",")))
    console = Console()

    def due(*names: str) -> bool:
        return not wanted or bool(wanted & set(names))

    details: dict[str, float] = machine_limits()
    goals: dict[str, float] = {}

    def take(found: tuple[dict[str, float], dict[str, float]]) -> None:
        goals.update(found[0])
        details.update(found[1])
        console.print("  ".join(f"{k} {v:.4g}" for k, v in found[0].items()))

    fair = False
    if due("P1", "P2", "P5", "D4", "D5"):
        take(model.encoder_step(rounds))
        fair = 1.0 <= details["rival_over_usual"] <= 1.5
        if not fair:
            console.print(
                f"the rival's step costs {details['rival_over_usual']:.2f} of "
                "nn.TransformerEncoder's, not 1.0 to 1.5: P1 and P2 are not reported"
            )
    if due("P1", "P2", "D4", "D5"):
        found = model.pretraining(rounds)
        take(found if fair else ({}, found[1]))
        take(data.batches(rounds, details["bf16_us_per_observation"]))
    if due("P3", "P4"):
        take(model.share_of_ceiling(rounds, details["bf16_gflops"], compiled=False))
    if due("P3_compiled", "P4_compiled"):
        take(model.share_of_ceiling(rounds, details["bf16_gflops"], compiled=True))
    if due("P6", "P6_random"):
        take(model.useful_tokens(rounds))
    if due("D1", "D2", "D3"):
        with tempfile.TemporaryDirectory() as folder:
            take(data.tables(Path(folder), rounds))
            take(data.kept_form(Path(folder), rounds))
    if due("R1"):
        take(process.busy_machine(min(rounds, 3)))
    if due("R2"):
        take(process.import_time(rounds))
    if due("R3"):
        take(model.cold_compile())
    check_ceiling(details)
    report(console, goals, details)
    rounded = {name: float(f"{goals[name]:.4g}") for name in GOALS if name in goals}
    (arguments.out / "bench.json").write_text(json.dumps(rounded, indent=2) + "\n")
    facts = {"torch": torch.__version__, "machine": platform.processor() or platform.machine()}
    figures = {name: float(f"{value:.5g}") for name, value in details.items()}
    text = json.dumps(facts | figures, indent=2) + "\n"
    (arguments.out / "bench-details.json").write_text(text)


def check_ceiling(details: dict[str, float]) -> None:
    """Fail where a rate is above what the core can do: then the product was not computed."""
    best = max(details[name] for name in details if name.endswith("_gflops") and "step" not in name)
    for name, value in details.items():
        if name.startswith("step_") and name.endswith("_gflops") and value > best:
            raise SystemExit(f"{name} is {value:.0f}, above the measured ceiling of {best:.0f}")


def report(console: Console, goals: dict[str, float], details: dict[str, float]) -> None:
    """Print the limits, the absolute figures and each goal."""
    table = Table("goal", "measured", "wanted", "", "what")
    for name, (limit, sign, what) in GOALS.items():
        if name not in goals:
            table.add_row(name, "-", f"{sign} {limit:g}", "not measured", what)
            continue
        reached = goals[name] >= limit if sign == ">=" else goals[name] <= limit
        word = "reached" if reached else "missed"
        table.add_row(name, f"{goals[name]:.3g}", f"{sign} {limit:g}", word, what)
    for name, value in details.items():
        console.print(f"{name:34} {value:.4g}")
    console.print(table)


if __name__ == "__main__":
    main()
