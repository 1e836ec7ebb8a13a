"""Absolute positions as sines and cosines, added to the embedding (Vaswani et al. 2017, sec. 3.5).

The form that RoMAE's Tables 2 and 9 compare rotary positions with; here of real numbers.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from caesura.errors import RecipeError


def sin_cos(
    positions: Float[Tensor, "batch tokens axes"], width: int, base: float = 10_000.0
) -> Float[Tensor, "batch tokens width"]:
    """Return [sin, cos] of position x base^(-j / planes), an equal share of the width an axis."""
    axes = positions.shape[-1]
    if width % (2 * axes):
        raise RecipeError(
            f"width {width} does not split into sines and cosines of {axes} axes; choose "
            f"{width + 2 * axes - width % (2 * axes)}"
        )
    planes = width // (2 * axes)
    rate = base ** (-torch.arange(planes, dtype=torch.float64, device=positions.device) / planes)
    angle = positions.double()[..., None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1).flatten(2).float()
