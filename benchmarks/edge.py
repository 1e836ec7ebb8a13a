"""What HiMAE costs on the edge: ONNX Runtime, one thread, batch 1, windows of 10 s.

Usage: python benchmarks/edge.py [FOLDER]

Pre-trains the paper's sizes for a few steps on generated pulses (cost does not depend on the
weights), exports encoder with all levels at 100 and 25 Hz in fp32 and int8, and times single
calls, in five rounds, interleaved; prints a table and one line of JSON, and writes the graphs
and certificates to FOLDER. The last rows: PyTorch, and a stream of one-second chunks.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import caesura
from caesura.data.synthetic.pulses import PulseSettings, pulses
from caesura.export.certificate import cpu_name, session
from caesura.export.onnx import export_onnx
from caesura.training.inference import evaluating
from caesura.types import Grid

GOALS = {
    ("himae", 100, "fp32"): {"ms": 0.5, "mb": 2.9, "mmacs": 31.9},
    ("himae", 100, "int8"): {"ms": 0.25, "mb": 0.8, "mmacs": 31.9},
    ("himae", 25, "fp32"): {"mb": 2.9, "mmacs": 8.0},
    ("himae", 25, "int8"): {"mb": 0.8, "mmacs": 8.0},
}
ROUNDS, CALLS = 5, 200


def run_at(recipe, rate, statistics="window"):
    """Return a run of the paper's size, hardly trained, and its data."""
    found = pulses(160, 0, PulseSettings(rate_hz=float(rate)))
    data = found.signals[:, None].astype(np.float64)
    settings = (f"data.rate={rate}", "training.batch_tokens=16000", "training.patience=0",
                "stages.0.objective.patch_ms=200", f"encoder.statistics={statistics}")  # fmt: skip
    return caesura.pretrain(data, recipe, steps=6, settings=settings), data


def times_of(calls):
    """Return percentiles in milliseconds of each call, interleaved over rounds."""
    taken = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            for _ in range(20):
                call()
            for _ in range(CALLS):
                begun = time.perf_counter()
                call()
                taken[name].append(1e3 * (time.perf_counter() - begun))
    return {
        name: {f"p{p}": round(float(np.percentile(some, p)), 4) for p in (10, 50, 90, 99)}
        for name, some in taken.items()
    }


def main():
    """Export, time, compare with the goals."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    calls, rows = {}, {}
    for recipe in ("himae", "himae-small"):
        for rate in (100, 25):
            run, data = run_at(recipe, rate)
            sample = data[:1].astype(np.float32)
            for precision in ("fp32", "int8"):
                path = folder / f"{recipe}-{rate}-{precision}.onnx"
                found = export_onnx(run, run.open(data), path, int8=precision == "int8")
                opened, key = session(path), (recipe, rate, precision)
                calls[key] = lambda opened=opened, x=sample: opened.run(None, {"samples": x})
                rows[key] = {"mb": round(found.bytes / 1e6, 3), "mmacs": round(found.macs / 1e6, 2),
                             "parity": found.parity["value"]}  # fmt: skip
            if recipe == "himae":
                encoder = run.parts["encoder"]
                x = torch.from_numpy(sample)
                grid = Grid(x, torch.ones_like(x, dtype=torch.bool), rate_hz=float(rate))

                def eager(encoder=encoder, grid=grid):
                    with evaluating(encoder):
                        encoder(grid)

                calls[(recipe, rate, "PyTorch")] = eager
    run, _ = run_at("himae", 100, "fixed")
    stream, second = run.stream(), torch.randn(1, 100)
    calls[("himae", 100, "stream, a chunk of 1 s")] = lambda: stream.push(second)
    measured = times_of(calls)
    print(f"{cpu_name()}, one thread, milliseconds a call, batch 1, 10 s windows, all levels")
    print(f"{'model':12} {'Hz':>4} {'form':24} {'p10':>7} {'p50':>7} {'p99':>7} {'MB':>6} "
          f"{'MMACs':>6}  goals")  # fmt: skip
    out = []
    for key, spread in measured.items():
        row, goal = rows.get(key, {}), GOALS.get(key, {})
        verdicts = []
        for name, most in goal.items():
            value = spread["p50"] if name == "ms" else row[name]
            reached = abs(value / most - 1) < 0.02 if name == "mmacs" else value <= most
            verdicts.append(f"{name} {most:g} {'reached' if reached else 'MISSED'}")
        print(f"{key[0]:12} {key[1]:>4} {key[2]:24} {spread['p10']:7.3f} {spread['p50']:7.3f} "
              f"{spread['p99']:7.3f} {row.get('mb', float('nan')):6.2f} "
              f"{row.get('mmacs', float('nan')):6.1f}  {', '.join(verdicts)}")  # fmt: skip
        out.append({"model": key[0], "rate_hz": key[1], "form": key[2], **spread, **row})
    print(f"delay of the stream's levels: {', '.join(f'{d:.2f} s' for d in stream.delay_s)}")
    print(json.dumps(out))


if __name__ == "__main__":
    main()
