"""What a training step of an objective costs: tokens that encoders read, and operations."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from caesura.training.inference import device_of, move
from caesura.types import Batch, Grid, Tokens, as_encoder, as_module

DRAWS = 4
"""Random draws (crops, masks) that a count is averaged over."""


def tokens_a_row(objective: Any, batch: Batch) -> float:
    """Return the tokens that encoder and teacher read for each series, views counted, mean of
    four draws."""
    counted = 0
    batch = move(batch, device_of(as_module(objective)))

    def count(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal counted
        read: Grid | Tokens = inputs[0]
        counted += int(as_encoder(module).tokenise(read).valid.sum())

    parts = [as_module(objective.encoder)]
    if getattr(objective, "teacher", None) is not None:
        parts.append(as_module(objective.teacher))
    hooks = [part.register_forward_pre_hook(count) for part in parts]
    try:
        with torch.no_grad():
            for draw in range(DRAWS):
                objective(batch, torch.Generator().manual_seed(draw))
    finally:
        for hook in hooks:
            hook.remove()
    return counted / (DRAWS * len(batch.index))


def operations_a_row(objective: Any, batch: Batch) -> float:
    """Return floating-point operations of a training step for each series, both directions.

    Products only, as torch counts them; a product and its sum are two.
    """
    from torch.utils.flop_counter import FlopCounterMode

    module = as_module(objective)
    batch = move(batch, device_of(module))
    counter = FlopCounterMode(display=False)
    with counter:
        objective(batch, torch.Generator().manual_seed(0)).total.backward()
    module.zero_grad(set_to_none=True)
    return float(counter.get_total_flops()) / len(batch.index)
