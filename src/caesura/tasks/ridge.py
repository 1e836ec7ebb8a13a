"""Ridge regression with its strength chosen on later rows, for many targets at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

STRENGTHS = np.logspace(-3, 4, 8)
"""Multiples of the mean variance of the features that penalise a weight."""


@dataclass(frozen=True)
class Ridge:
    """y = (x - center) / spread @ weights + offset."""

    center: Floats
    spread: Floats
    weights: Floats
    offset: Floats
    strength: float

    def predict(self, x: Floats) -> Floats:
        """Return (rows, targets)."""
        scaled = (x - self.center) / self.spread
        return np.asarray(scaled @ self.weights + self.offset)


def fit_ridge(x: Floats, y: Floats, x_later: Floats, y_later: Floats) -> Ridge:
    """Fit to some rows, with the strength of least squared error on others.

    One eigendecomposition serves all strengths. NaN in the targets is not allowed.
    """
    center, spread = x.mean(0), x.std(0) + 1e-6
    scaled = ((x - center) / spread).astype(np.float64)
    offset = y.mean(0).astype(np.float64)
    values, vectors = np.linalg.eigh(scaled.T @ scaled)
    projected = vectors.T @ (scaled.T @ (y - offset))
    later = ((x_later - center) / spread) @ vectors
    size = max(float(values.mean()), 1e-12)

    def error(strength: float) -> float:
        weights = projected / (np.maximum(values, 0) + strength * size)[:, None]
        return float(np.square(later @ weights + offset - y_later).mean())

    best = min(STRENGTHS, key=error)
    weights = vectors @ (projected / (np.maximum(values, 0) + best * size)[:, None])
    return Ridge(center, spread, weights, offset, float(best))
