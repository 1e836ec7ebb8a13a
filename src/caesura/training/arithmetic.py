"""Turns the "auto" of a training's settings into what is fastest here at no loss.

Measured once a machine and remembered in the cache folder, so that two runs of one recipe on
one machine compute the same bits; a run's recipe records what was chosen.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from caesura.errors import StorageError
from caesura.files import cache_folder, write_json
from caesura.nn.attend import PLAIN_UP_TO, attend, plain_attention_up_to
from caesura.training.config import TrainingConfig
from caesura.training.device import runs_on_cuda
from caesura.training.precision import Products, bf16_is_native, fast_float32, onednn_is_exact

_LENGTHS = (64, 128, 256, 512, 1024)
_TOKENS, _HEADS, _WIDTH = 1024, 3, 60
_CLEARLY = 1.1
"""A route must be this much faster than the usual one to be taken instead of it."""


def resolved(config: TrainingConfig) -> TrainingConfig:
    """Return the configuration with precision, products and attention chosen.

    "auto" takes bf16 where the hardware has it: at equal tokens it reaches the validation
    loss of fp32 (docs/results/speed.md, `benchmarks/parity.py`).
    """
    if "auto" not in (config.precision, config.products, config.batches) and (
        config.plain_attention >= 0
    ):
        return config
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if bf16_is_native() else "fp32"
    found = measured()
    products: Products = "onednn" if found["onednn"] else "default"
    if config.products != "auto":
        products = config.products
    length = config.plain_attention
    if length < 0:
        length = found[f"plain_{precision}"]
    batches = config.batches
    if batches == "auto":
        batches = "buckets" if runs_on_cuda() else "random"
    chosen = {"precision": precision, "products": products, "plain_attention": length}
    return config.model_copy(update=chosen | {"batches": batches})


def measured() -> dict[str, int]:
    """Return this machine's figures, from the cache folder or by a probe of half a second.

    onednn: 1 where its fp32 products are exact and not slower. plain_fp32, plain_bf16: the
    longest row for which plain attention is not slower than the fused kernel.
    """
    device = "-cuda" if runs_on_cuda() else ""
    path = cache_folder() / f"arithmetic-{_machine()}{device}.json"
    try:
        found: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
        if set(found) == {"onednn", "plain_fp32", "plain_bf16"}:
            return found
    except (OSError, ValueError):
        pass
    found = _measure()
    with suppress(StorageError, OSError):  # without a cache it costs half a second a run
        write_json(path, found)
    return found


def _measure() -> dict[str, int]:
    if runs_on_cuda():
        return {"onednn": 0, "plain_fp32": PLAIN_UP_TO, "plain_bf16": PLAIN_UP_TO}
    found = {"onednn": int(onednn_is_exact() and _onednn_is_faster())}
    with fast_float32("onednn" if found["onednn"] else "default"):
        found["plain_fp32"] = _plain_limit(torch.float32)
        found["plain_bf16"] = _plain_limit(torch.bfloat16) if bf16_is_native() else PLAIN_UP_TO
    return found


def _machine() -> str:
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        keys = ("model name", "cpu family", "model", "stepping")
        name = " ".join(v.strip() for k, v in fields.items() if k.strip() in keys)
    except (OSError, ValueError):
        pass
    version = torch.__version__
    return "".join(c if c.isalnum() else "-" for c in f"{name} torch {version}").strip("-").lower()


def _onednn_is_faster() -> bool:
    rng = torch.Generator().manual_seed(0)
    a, b = torch.randn(512, 192, generator=rng), torch.randn(192, 576, generator=rng)
    seconds = {}
    for name in ("default", "onednn"):
        kind: Products = "default" if name == "default" else "onednn"
        with fast_float32(kind):
            seconds[name] = _fastest(lambda: a @ b)
    return seconds["onednn"] <= seconds["default"]


def _plain_limit(dtype: torch.dtype) -> int:
    """Return the longest length up to which the plain form is never clearly slower."""
    limit = 0
    for length in _LENGTHS:
        rows = _TOKENS // length
        rng = torch.Generator().manual_seed(0)
        q, k, v = torch.randn(3, rows, _HEADS, length, _WIDTH, generator=rng).to(dtype).unbind(0)
        seconds = {}
        for name, most in (("plain", length), ("fused", 0)):
            with plain_attention_up_to(most):
                seconds[name] = _fastest(partial(_attend_and_back, q, k, v))
        if seconds["plain"] > _CLEARLY * seconds["fused"]:
            break
        limit = length
    return limit


def _attend_and_back(q: Tensor, k: Tensor, v: Tensor) -> None:
    leaves = [x.detach().requires_grad_(True) for x in (q, k, v)]
    mask = torch.ones(q.shape[0], 1, 1, q.shape[2], dtype=torch.bool)
    torch.autograd.grad(attend(leaves[0], leaves[1], leaves[2], mask).sum(), leaves)


def _fastest(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the least processor time of a few calls, in seconds."""
    call()
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        call()
        times.append(time.process_time() - begun)
    return min(times)
