"""Goals R1 and R2: a busy machine, and the time of an import."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

_STEPS = """
import sys, time
import torch
if sys.argv[1] != "0":
    torch.set_num_threads(int(sys.argv[1]))
from caesura.recipes import romae
from caesura.training.precision import threads
from speed.model import arithmetic, dense
encoder, tokens = romae.encoder("tiny"), dense(16, 96)
def step():
    with arithmetic("fp32"):
        encoder(tokens).levels[-1].features.square().mean().backward()
with threads(int(sys.argv[1])):
    step()
    begun = time.perf_counter()
    for _ in range(4):
        step()
    print(time.perf_counter() - begun)
"""


def busy_machine(rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """R1: wall time with the default threads over one, while another process burns a core."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP", "GOMP", "MKL"))}
    environment["PYTHONPATH"] = os.path.dirname(os.path.dirname(__file__))
    cores = len(os.sched_getaffinity(0))
    if cores < 2:
        return {}, {"cores": cores}
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    walls: dict[str, list[float]] = {"0": [], "1": []}
    try:
        for _ in range(rounds):
            for wanted in walls:
                done = subprocess.run(
                    [sys.executable, "-c", _STEPS, wanted],
                    env=environment, capture_output=True, text=True, check=True,
                )  # fmt: skip
                walls[wanted].append(float(done.stdout))
    finally:
        burner.kill()
    pairs = zip(walls["0"], walls["1"], strict=True)
    return {"R1": statistics.median(a / b for a, b in pairs)}, {"cores": cores}


def import_time(rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """R2: wall time of `import caesura` over `import torch`."""
    walls: dict[str, list[float]] = {"torch": [], "caesura, torch": []}
    for turn in range(rounds + 1):
        for module in walls:
            begun = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
            if turn:  # the first one fills the disk's cache
                walls[module].append(time.perf_counter() - begun)
    pairs = zip(walls["caesura, torch"], walls["torch"], strict=True)
    details = {"import_torch_s": statistics.median(walls["torch"])}
    return {"R2": statistics.median(a / b for a, b in pairs)}, details
