"""Axial partial rotary embedding at real-valued positions (p-RoPE).

RoMAE, arXiv 2505.20535, sec. 3.2. Each axis has its own planes; the first elements of all of
them stand in the first half of a head, the second ones in the second. Where in a head a plane
lies changes no function, and whole halves rotate twice as fast as slices of slices.
The paper's text keeps the smallest frequencies; its code, and the argument about slow planes,
keep the largest, as here (docs/departures.md). Angles carry no gradient: in the published
package every step differentiates them into a buffer that nobody trains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from caesura.errors import RecipeError


def frequencies(
    width: int, fraction: float = 0.75, base: float = 10_000.0
) -> Float[Tensor, " planes"]:
    """Return theta_j of one axis: base^(-2j/width) for the `fraction` fastest, then zeros.

    width: even slice of a head, in elements; int(fraction * width / 2) of its width / 2
    planes rotate, the rest (NoPE) carry content alone. float64.
    """
    planes = width // 2
    kept = int(fraction * width // 2)
    theta = base ** (-2.0 * torch.arange(planes, dtype=torch.float64) / width)
    return torch.where(torch.arange(planes) < kept, theta, 0.0)


def check_head_width(head_width: int, axes: int) -> None:
    """Raise a RecipeError that names the nearest width where the axes do not fit a head."""
    if head_width % (2 * axes):
        below = head_width - head_width % (2 * axes)
        near = below if below and head_width - below < axes else below + 2 * axes
        raise RecipeError(
            f"head width {head_width} does not split into {axes} position axes of whole planes; "
            f"it must be divisible by {2 * axes}: choose {near}"
        )


class AxialRope(nn.Module):
    """Rotates queries and keys by their positions, the same for every head and layer.

    head_width: a multiple of 2 x axes (RecipeError otherwise). Scores then depend on
    differences of positions alone.
    """

    theta: Tensor

    def __init__(
        self, head_width: int, axes: int, fraction: float = 0.75, base: float = 10_000.0
    ) -> None:
        super().__init__()
        check_head_width(head_width, axes)
        self.arguments = (head_width // axes, fraction, base)
        # not saved: it follows from the arguments
        self.register_buffer("theta", frequencies(*self.arguments), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> AxialRope:
        """Follow a move to a device, but stay in float64 when the model is cast."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.theta = frequencies(*self.arguments).to(self.theta.device)
        return self

    def forward(
        self, positions: Float[Tensor, "batch tokens axes"]
    ) -> tuple[Float[Tensor, "batch 1 tokens width"], ...]:
        """Return [cos, cos] and [-sin, sin] of each token's angles in float32, once a pass."""
        with torch.no_grad():
            angle = (positions.double()[..., None] * self.theta).flatten(2)[:, None]
            cos, sin = angle.cos().float(), angle.sin().float()
            return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(
    x: Float[Tensor, "batch heads tokens width"],
    cos: Float[Tensor, "#batch 1 tokens width"],
    sin: Float[Tensor, "#batch 1 tokens width"],
) -> Float[Tensor, "batch heads tokens width"]:
    """Rotate the planes (first half, second half): [x1 cos - x2 sin, x2 cos + x1 sin]."""
    if torch.compiler.is_compiling():  # a compiler derives and fuses it by itself
        return _turned(x, cos.to(x.dtype), sin.to(x.dtype))
    turned: Tensor = _Turn.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return turned


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)


class _Turn(torch.autograd.Function):
    """A rotation, whose gradient is the rotation back; it keeps the angles alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        cos, sin = cos.to(x.dtype), sin.to(x.dtype)
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(grads[0], cos, -sin), None, None
