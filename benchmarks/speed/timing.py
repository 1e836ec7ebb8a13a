"""Ratios that hold: pairs interleaved in one process, processor time, one thread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Call = Callable[[], object]


def cpu_seconds(call: Call) -> float:
    """Return the processor time of one call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def interleaved(calls: Mapping[str, Call], rounds: int) -> dict[str, list[float]]:
    """Time A, B, C, A, B, C, ... after one call of each that does not count."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(cpu_seconds(call))
    return times


def ratio(slow: list[float], fast: list[float]) -> float:
    """Return the median over rounds of slow / fast."""
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def product_gflops(dtype: torch.dtype, route: str, size: int = 2048) -> float:
    """Return the best rate of a square product in GFLOP/s."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(route)
    a, b = torch.randn(2, size, size).to(dtype).unbind(0)
    try:
        best = min(interleaved({"product": lambda: a @ b}, 4)["product"])
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * size**3 / best / 1e9


def machine_limits() -> dict[str, float]:
    """Return what this core can do at best: products in GFLOP/s, a copy in GB/s."""
    source = torch.randn(64 * 2**20)
    target = torch.empty_like(source)
    copied = min(interleaved({"copy": lambda: target.copy_(source)}, 4)["copy"])
    return {
        "fp32_default_gflops": product_gflops(torch.float32, "highest"),
        "fp32_onednn_gflops": product_gflops(torch.float32, "medium"),
        "bf16_gflops": product_gflops(torch.bfloat16, "highest"),
        "copy_gb_s": 2 * source.nbytes / copied / 1e9,
    }
