"""Low-rank changes of linear layers, so that fine-tuning trains a few numbers alone.

W + (alpha / rank) B A with B (outputs, rank) zero at first (Hu et al. 2022, LoRA). Merged into W
at the end: what is saved is a plain model of the old shape.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize


class LowRank(nn.Module):
    """The change of one matrix; a parametrisation of its weight."""

    def __init__(self, outputs: int, inputs: int, rank: int, alpha: float) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rank, inputs))
        self.up = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))
        self.scale = alpha / rank

    def forward(self, weight: Float[Tensor, "outputs inputs"]) -> Float[Tensor, "outputs inputs"]:
        """Return the changed matrix."""
        return weight + self.scale * (self.up @ self.down)


def add_low_rank(module: nn.Module, rank: int, alpha: float) -> int:
    """Freeze a module and give each linear layer in it a low-rank change; returns how many."""
    module.requires_grad_(False)
    layers = [child for child in module.modules() if isinstance(child, nn.Linear)]
    for layer in layers:
        outputs, inputs = layer.weight.shape
        change = LowRank(outputs, inputs, min(rank, outputs, inputs), alpha).to(layer.weight)
        parametrize.register_parametrization(layer, "weight", change)
    return len(layers)


def merge_low_rank(module: nn.Module) -> None:
    """Write every change into its matrix: the module is as plain as before."""
    for child in module.modules():
        if isinstance(child, nn.Linear) and parametrize.is_parametrized(child, "weight"):
            parametrize.remove_parametrizations(child, "weight", leave_parametrized=True)
