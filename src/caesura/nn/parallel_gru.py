"""Several gated recurrent networks side by side, with a gradient in closed form.

The equations are those of `torch.nn.GRU` (Cho et al. 2014, arXiv 1406.1078). Its small products
and the tape of its steps leave a CPU idle most of the time; here there is one product a step for
all networks, and a backward pass without a tape (docs/decisions/018 has the figures).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class ParallelGRU(nn.Module):
    """GRUs that share nothing but their shapes.

    `weight` (copies, 4 hidden, hidden + inputs + 2) maps what a step reads (the state before, the
    inputs, 1 and 1 for the two biases) to the sums of reset gate, update gate, and of what the new
    state takes from the state before and from the inputs; the blocks that a GRU does not have
    stay zero.
    """

    present: Tensor

    def __init__(self, copies: int, inputs: int, hidden: int) -> None:
        super().__init__()
        weight = torch.empty(copies, 4 * hidden, hidden + inputs + 2)
        nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5)
        present = torch.ones(weight.shape[1:])
        present[2 * hidden : 3 * hidden, hidden:-1] = 0  # no inputs, nor their bias
        present[3 * hidden :, :hidden] = 0  # no state before, nor its bias
        present[3 * hidden :, -1] = 0
        self.weight = nn.Parameter(weight * present)
        self.register_buffer("present", present, persistent=False)

    def forward(
        self, x: Float[Tensor, "time copies inputs rows"]
    ) -> Float[Tensor, "time copies hidden rows"]:
        """Return the states after each step; they begin at 0, and x itself gets no gradient."""
        weight = self.weight * self.present
        states: Tensor = _Recurrence.apply(x, weight)  # type: ignore[no-untyped-call]
        return states


class _Recurrence(torch.autograd.Function):
    """r, z = sigmoid of their sums; n = tanh(from inputs + r from state); h' = n + z (h - n)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        steps, copies, _, rows = x.shape
        hidden = weight.shape[1] // 4
        read = x.new_ones(steps + 1, copies, weight.shape[2], rows)
        read[:-1, :, hidden:-2] = x
        read[0, :, :hidden] = 0
        sums = x.new_empty(steps, copies, 4 * hidden, rows)
        for before, after, of in zip(read[:-1], read[1:], sums, strict=True):
            torch.bmm(weight, before, out=of)
            of[:, : 2 * hidden].sigmoid_()
            r, z, kept, new = torch.split(of, hidden, 1)
            new.addcmul_(r, kept).tanh_()
            torch.lerp(new, before[:, :hidden], z, out=after[:, :hidden])
        ctx.save_for_backward(weight, read, sums)
        return read[1:, :, :hidden].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        weight, read, sums = ctx.saved_tensors
        hidden = weight.shape[1] // 4
        back = weight[:, :, :hidden].mT.contiguous()
        to_weight = torch.zeros_like(weight)
        to_sums = torch.empty_like(sums[0])
        to_r, to_z, to_kept, to_new = torch.split(to_sums, hidden, 1)
        carried = torch.zeros_like(to_new)
        for step in reversed(range(len(sums))):
            carried += grads[0][step]
            r, z, kept, new = torch.split(sums[step], hidden, 1)
            torch.mul(carried - carried * z, 1 - new * new, out=to_new)
            torch.mul(to_new, r, out=to_kept)
            torch.mul(to_kept * kept, 1 - r, out=to_r)
            torch.mul((read[step, :, :hidden] - new) * (z - z * z), carried, out=to_z)
            to_weight.baddbmm_(to_sums, read[step].mT)
            carried = torch.baddbmm(carried * z, back, to_sums)
        return None, to_weight
