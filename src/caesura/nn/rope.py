"""Axial partial rotary embedding at real-valued positions (p-RoPE).

RoMAE, arXiv 2505.20535, sec. 3.2; each axis has its own contiguous slice of every head.
The paper's text keeps the smallest frequencies; its code, and the argument about slow planes,
keep the largest, as here (docs/departures.md). Angles carry no gradient: in the published
package every step differentiates them into a buffer that nobody trains.
"""

from __future__ import annotations

from collections.abc import Callable

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
    ) -> tuple[Float[Tensor, "batch 1 tokens axes planes"], ...]:
        """Return cosine and sine of each position's angles in float32, once a forward pass."""
        with torch.no_grad():
            angle = positions.double()[..., None] * self.theta
            return angle.cos().float()[:, None], angle.sin().float()[:, None]


def rotate(
    x: Float[Tensor, "batch heads tokens width"],
    cos: Float[Tensor, "batch 1 tokens axes planes"],
    sin: Float[Tensor, "batch 1 tokens axes planes"],
) -> Float[Tensor, "batch heads tokens width"]:
    """Rotate the half-split planes of each axis: [x1 cos - x2 sin, x2 cos + x1 sin]."""
    axes, planes = cos.shape[-2:]
    first, second = x.reshape(*x.shape[:-1], axes, 2, planes).unbind(-2)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    turned = torch.stack((first * cos - second * sin, second * cos + first * sin), dim=-2)
    return turned.flatten(-3)
