"""AdamW with decay on matrices alone, and a warm-up followed by a cosine to zero."""

from __future__ import annotations

import math

import torch
from torch import nn


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Split trainable parameters: decay matrices, spare norms, biases and single vectors.

    The published trainer decays everything, [CLS] and mask token included; sparing them is
    common practice (departures.md). Embeddings ("embedding" in the name) are spared too.
    """
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            matrix = parameter.ndim >= 2 and "embedding" not in name
            (decayed if matrix else spared).append(parameter)
    groups: list[dict[str, object]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(
    module: nn.Module, lr: float, weight_decay: float, betas: tuple[float, float], fused: bool
) -> torch.optim.AdamW:
    """Build AdamW over the trainable parameters of a module."""
    return torch.optim.AdamW(
        parameter_groups(module, weight_decay), lr=lr, betas=betas, fused=fused
    )


def learning_rate_factor(progress: float, warmup: float) -> float:
    """Return the share of the peak rate at `progress` in [0, 1]: linear up, cosine to 0."""
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return max(progress / warmup, 1e-5)
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / max(1.0 - warmup, 1e-9)))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give each parameter group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = lr
