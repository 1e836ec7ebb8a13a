"""Which arithmetic a run uses, probed once and never a silent loss of precision.

On some CPUs the fp32 products of torch's default library run at half the speed of
oneDNN's; `set_float32_matmul_precision("medium")` selects the latter. On a CPU with matrix
units the same switch really computes in bf16, so the error is measured before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Literal

import torch

Precision = Literal["auto", "fp32", "bf16"]
_FLOAT32_ERROR = 2e-6
"""Largest relative error that still counts as fp32: both libraries measure under 4e-7, a
product in bf16 gives 3e-3."""


@cache
def onednn_is_exact() -> bool:
    """Measure once whether the "medium" route keeps fp32's accuracy on this CPU."""
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(256, 256, generator=rng) for _ in range(2))
    exact = a.double() @ b.double()
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        error = ((a @ b).double() - exact).abs().max() / exact.abs().max()
    finally:
        torch.set_float32_matmul_precision(before)
    return bool(error < _FLOAT32_ERROR)


@cache
def bf16_is_native() -> bool:
    """Say whether bf16 products run in hardware here (never emulate them on a CPU)."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def fast_float32() -> Iterator[None]:
    """Use oneDNN's fp32 products inside the block where they are exact; restore after."""
    before = torch.get_float32_matmul_precision()
    if not torch.cuda.is_available() and onednn_is_exact():
        torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
