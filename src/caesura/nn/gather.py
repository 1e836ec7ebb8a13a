"""Sums over processes that gradients flow through, for losses with statistics of the batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def is_spread() -> bool:
    """Say whether several processes train together."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


class _Summed(torch.autograd.Function):
    """y = sum over ranks of x; every rank's loss reads y, so dL/dx is the sum of all dL/dy."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.detach().clone()
        torch.distributed.all_reduce(y)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        g = grads[0].clone()
        torch.distributed.all_reduce(g)
        return g


def summed(x: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes; itself where there is one.

    A loss of such sums is the same on each rank. The loop weighs ranks by their counts, and
    the gradient comes out as that of one process with the whole batch.
    """
    if not is_spread():
        return x
    y: Tensor = _Summed.apply(x)  # type: ignore[no-untyped-call]
    return y
