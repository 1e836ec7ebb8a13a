"""Teachers that follow their student as a moving average of its weights."""

from __future__ import annotations

import copy
import math
from typing import Any, TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=Any)


def frozen_copy(module: Module) -> Module:
    """Return a copy that no gradient changes, evaluating."""
    twin = copy.deepcopy(module)
    twin.requires_grad_(False)
    twin.train(False)
    return twin


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move a teacher's weights towards the student's: t <- m t + (1 - m) s; buffers are copied."""
    for old, new in zip(teacher.parameters(), student.parameters(), strict=True):
        old.mul_(momentum).add_(new.detach(), alpha=1 - momentum)
    for held, given in zip(teacher.buffers(), student.buffers(), strict=True):
        held.copy_(given)


def momentum_at(start: float, progress: float) -> float:
    """Return the momentum of a cosine from `start` to 1 over a training."""
    return 1 - (1 - start) * (math.cos(math.pi * min(max(progress, 0.0), 1.0)) + 1) / 2
