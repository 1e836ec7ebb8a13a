"""Two families of plane spirals with two parameters each, clockwise and counter-clockwise.

The set of RoMAE's appendix D.7 and of ContiFormer, by the facts of their description: 150 steps
of theta over [0, 6 pi], the first 75 kept; the clockwise curves run backwards in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_POINTS, _KEPT = 150, 75


@dataclass(frozen=True)
class Spirals:
    """clean, noisy: (spirals, 75, 2); times: theta, (75,); clockwise: (spirals,)."""

    clean: NDArray[np.float64]
    noisy: NDArray[np.float64]
    times: NDArray[np.float64]
    clockwise: NDArray[np.bool_]


def spirals(count: int, seed: int, noise: float = 0.1, spread: float = 0.02) -> Spirals:
    """Draw spirals: a ~ N(0, spread), b ~ N(0.3, spread), noise on each coordinate.

    Counter-clockwise: radius a + b theta about (5, 0). Clockwise: radius a + 50 b / z about
    (-5, 0) with z from 1 on.
    """
    rng = np.random.default_rng(seed)
    theta = np.linspace(0.0, 6 * np.pi, _POINTS)[:_KEPT]
    a = spread * rng.standard_normal((count, 1))
    b = 0.3 + spread * rng.standard_normal((count, 1))
    clockwise = rng.random(count) < 0.5
    z = 1.0 + theta
    angle = np.where(clockwise[:, None], z, theta)
    radius = np.where(clockwise[:, None], a + 50 * b / z, a + b * theta)
    side = np.where(clockwise, -5.0, 5.0)[:, None]
    clean = np.stack([radius * np.cos(angle) + side, radius * np.sin(angle)], axis=-1)
    return Spirals(clean, clean + noise * rng.standard_normal(clean.shape), theta, clockwise)
