"""Smooth random curves with noise, whose best predictor is known in closed form.

The generator of HeTVAE's and RoMAE's synthetic interpolation task (appendix D.8): ten normal
variables at reference times, joined by a kernel smoother. It is linear and normal, so the mean
of the hidden values given the observed ones is a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SmoothCurves:
    """A generator: x = W z with W the normalised exp(-alpha (t - r)^2), y = x + noise."""

    times: Array
    references: Array
    alpha: float = 120.0
    noise: float = 0.1

    @property
    def weights(self) -> Array:
        """W, (times, references); its rows sum to 1."""
        kernel = np.exp(-self.alpha * np.square(self.times[:, None] - self.references[None, :]))
        whole: Array = kernel / kernel.sum(1, keepdims=True)
        return whole

    def draw(self, count: int, seed: int) -> tuple[Array, Array]:
        """Return clean and noisy curves, (count, times) each."""
        rng = np.random.default_rng(seed)
        clean = rng.standard_normal((count, len(self.references))) @ self.weights.T
        return clean, clean + self.noise * rng.standard_normal(clean.shape)

    def best(self, noisy: Array, observed: NDArray[np.bool_]) -> Array:
        """Return E[x | observed y] at all times, (count, times): no method is better."""
        cover = self.weights @ self.weights.T
        result = np.zeros_like(noisy)
        for row, (values, seen) in enumerate(zip(noisy, observed, strict=True)):
            own = cover[np.ix_(seen, seen)] + self.noise**2 * np.eye(int(seen.sum()))
            result[row] = cover[:, seen] @ np.linalg.solve(own, values[seen])
        return result


def hetvae_curves() -> SmoothCurves:
    """HeTVAE's own grid: 51 times and 10 references over [0, 1], ends included."""
    return SmoothCurves(_grid(0, 1, 51), _grid(0, 1, 10))


def romae_curves() -> SmoothCurves:
    """The grid of RoMAE's code: 50 times 0.02 i, references 0.1 k, from i = k = 1 on."""
    return SmoothCurves(_grid(0.02, 1, 50), _grid(0.1, 1, 10))


def _grid(first: float, last: float, count: int) -> Array:
    return np.asarray(np.linspace(first, last, count), dtype=np.float64)
