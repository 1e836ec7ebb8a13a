"""Losses of a predicted normal distribution: a mean and a deviation for each value.

The deviation is softplus(raw) + 1e-3, so that no value is ever certain.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

Likelihood = Literal["squared", "gaussian", "crps"]
_LEAST = 1e-3


def deviation(raw: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the positive deviation of an unbounded output."""
    return F.softplus(raw) + _LEAST


def gaussian(mean: Tensor, raw: Tensor, goal: Tensor) -> Tensor:
    """Return the negative log-likelihood, without its constant: log s + (goal - mean)^2 / 2 s^2."""
    scale = deviation(raw)
    return scale.log() + 0.5 * ((goal - mean) / scale).square()


def crps(mean: Tensor, raw: Tensor, goal: Tensor) -> Tensor:
    """Return the continuous ranked probability score, in the unit of the values.

    s (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (goal - mean) / s; Gneiting and
    Raftery 2007, sec. 4.2.
    """
    scale = deviation(raw)
    z = (goal - mean) / scale
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    twice = torch.erf(z / math.sqrt(2))  # 2 Phi(z) - 1
    return scale * (z * twice + 2 * density - 1 / math.sqrt(math.pi))


LIKELIHOODS: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "gaussian": gaussian,
    "crps": crps,
}
