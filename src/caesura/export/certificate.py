"""What a graph costs and how near it is to its run: measured when it is made, kept beside it."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caesura.errors import RecipeError
from caesura.files import read_limited, write_text

Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Certificate:
    """Figures of one graph.

    parity: the measure ("largest absolute difference", "relative RMS"), its value, its limit,
    and on how many inputs. latency_ms: percentiles of single calls, batch 1. macs: products
    and sums of one call.
    """

    precision: str
    outputs: list[str]
    inputs: dict[str, Any]
    bytes: int
    macs: int
    parameters: int
    parity: dict[str, Any]
    latency_ms: dict[str, float]
    threads: int
    cpu: str
    onnxruntime: str
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def check_free(path: Path) -> None:
        """Raise a RecipeError where there is a file that is no certificate."""
        if not path.exists():
            return
        try:
            found = json.loads(read_limited(path))
        except (ValueError, OSError):
            found = None
        if not (isinstance(found, dict) and {"parity", "onnxruntime"} <= found.keys()):
            raise RecipeError(
                f"the graph's certificate would be written over {path}, which is none; name "
                "another --onnx"
            )

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")


def count_macs(form: nn.Module, example: tuple[Tensor, ...]) -> int:
    """Return the multiplications of one call, by torch's count of its operations."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        form(*example)
    return int(counter.get_total_flops()) // 2


def session(path: Path, threads: int = 1) -> Any:
    """Open a graph in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def latencies(opened: Any, feed: Feed, calls: int = 300) -> dict[str, float]:
    """Return percentiles of the time of a call in milliseconds, after a few to warm up."""
    for _ in range(20):
        opened.run(None, dict(feed))
    taken = np.empty(calls)
    for i in range(calls):
        begun = time.perf_counter()
        opened.run(None, dict(feed))
        taken[i] = 1e3 * (time.perf_counter() - begun)
    return {f"p{p}": round(float(np.percentile(taken, p)), 4) for p in (10, 50, 90, 99)}


def cpu_name() -> str:
    """Return the model of the processor."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or os.name
