"""What this machine's arithmetic can be trusted with, probed once.

On some CPUs the fp32 products of torch's default library run at half the speed of
oneDNN's; `set_float32_matmul_precision("medium")` selects the latter. On a CPU with matrix
units the same switch really computes in bf16, so the error is measured before it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

from caesura.errors import CaesuraError
from caesura.training.device import chosen_device, runs_on_cuda

Precision = Literal["auto", "fp32", "bf16"]
Products = Literal["auto", "default", "onednn"]
_FLOAT32_ERROR = 2e-6
"""Largest relative error that still counts as fp32: both libraries measure under 4e-7, a
product in bf16 gives 3e-3."""


@cache
def onednn_is_exact() -> bool:
    """Measure once whether the "medium" route keeps fp32's accuracy on this CPU."""
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=rng) for _ in range(2))
    exact = a.double() @ b.double()
    with _route("medium"):
        error = ((a @ b).double() - exact).abs().max() / exact.abs().max()
    return bool(error < _FLOAT32_ERROR)


def bf16_is_native() -> bool:
    """Say whether bf16 products run in hardware on the chosen device (a CPU may emulate them)."""
    if runs_on_cuda():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def fast_float32(
    products: Products = "auto", *, device: torch.device | None = None
) -> Iterator[None]:
    """Use oneDNN's fp32 products inside the block where they are exact; restore after.

    "default" leaves torch's own; "onednn", which a recipe from another machine may say, is
    still refused where it would lose precision. device: by default the chosen one.
    """
    on_cpu = (device or chosen_device()).type == "cpu"
    wanted = products != "default" and on_cpu and onednn_is_exact()
    with _route("medium" if wanted else torch.get_float32_matmul_precision()):
        yield


@contextmanager
def _route(name: str) -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def refuse_dynamic_teams() -> None:
    """Raise where OMP_DYNAMIC is set: oneDNN then leaves rows of its products unwritten."""
    if os.environ.get("OMP_DYNAMIC", "").lower() in ("true", "1"):
        raise CaesuraError(
            "OMP_DYNAMIC is set: with it torch's products are silently wrong on some CPUs; unset it"
        )


@contextmanager
def threads(wanted: int) -> Iterator[None]:
    """Compute with so many threads in the block; 0: what the user set, else half of the cores.

    On a shared machine a thread that waits for one without a core costs more than it brings.
    """
    before = torch.get_num_threads()
    if not wanted and not runs_on_cuda() and "OMP_NUM_THREADS" not in os.environ:
        wanted = min(before, max(1, (os.cpu_count() or 2) // 2))
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
