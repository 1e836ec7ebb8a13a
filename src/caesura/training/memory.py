"""How many tokens go through a model at once: from the memory that is free, halved if it fails.

A batch over the limit is cut by rows into micro-batches. The loop weighs them by their counts,
so the gradient stays that of the whole batch.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from caesura.system import available_bytes
from caesura.training.device import chosen_device
from caesura.types import Batch, Grid, Tokens

_BYTES = 180
"""Bytes of activations for each token and feature of a block, by trials: 140 to 170 of a
Transformer in float32, forward and backward."""
_SHARE = 0.5
"""Share of the free memory that activations may take."""


def free_bytes() -> int:
    """Return the memory that this process may still take on its device."""
    device = chosen_device()
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()


def affordable_tokens(module: nn.Module) -> int:
    """Return how many tokens a pass through the module can take at once, 256 at least."""
    matrices = [p for p in module.parameters() if p.ndim == 2]
    # each product keeps its input and its output for the backward pass
    widths = sum(sum(p.shape) for p in matrices)
    per_token = max(widths * _BYTES // 12, 1)
    return max(256, int(_SHARE * free_bytes() / per_token))


def divided(batch: Batch, most_tokens: int) -> list[Batch]:
    """Cut a batch by rows so that no part has more padded tokens; one row is never cut."""
    inputs = batch.inputs
    tokens = inputs.values.shape[-1] if isinstance(inputs, Grid) else inputs.valid.shape[1]
    rows = max(1, most_tokens // max(tokens, 1))
    return [_rows(batch, slice(i, i + rows)) for i in range(0, len(batch.index), rows)]


def _rows(value: Any, rows: slice) -> Any:
    if isinstance(value, Tensor):
        return value[rows]
    if not isinstance(value, Batch | Grid | Tokens):
        return value  # the rate of a grid
    return replace(
        value, **{one.name: _rows(getattr(value, one.name), rows) for one in fields(value)}
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an allocation failed, on a GPU or on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
