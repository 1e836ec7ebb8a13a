"""Periodic waves of known frequencies with noise (RoMAE, appendix B.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def _sine(phase: Array) -> Array:
    return np.sin(phase)


def _square(phase: Array) -> Array:
    return np.sign(np.sin(phase))


def _cycloid(phase: Array) -> Array:
    """Height of a point on a rolling wheel, scaled to [-1, 1], by Newton steps for its angle."""
    turn = np.mod(phase, 2 * np.pi)
    angle = np.pi + np.cbrt(6 * (turn - np.pi)) * 0.5
    for _ in range(60):
        slope = np.maximum(1 - np.cos(angle), 1e-6)
        step = np.clip((angle - np.sin(angle) - turn) / slope, -0.5, 0.5)
        angle = np.clip(angle - step, 0.0, 2 * np.pi)
    return -np.cos(angle)


SHAPES: Mapping[str, Callable[[Array], Array]] = {
    "sine": _sine,
    "square": _square,
    "cycloid": _cycloid,
}


def waves(frequencies: Array, times: Array, rng: np.random.Generator, shape: str = "sine") -> Array:
    """Return clean sums of waves, (series, times).

    frequencies: (series, modes), NaN where a series has fewer modes. Amplitudes U(0.5, 1),
    phases uniform.
    """
    amplitude = rng.uniform(0.5, 1.0, frequencies.shape)
    phase = rng.uniform(0.0, 2 * np.pi, frequencies.shape)
    angle = 2 * np.pi * np.nan_to_num(frequencies)[..., None] * times + phase[..., None]
    each = SHAPES[shape](angle) * amplitude[..., None]
    whole: Array = np.where(np.isnan(frequencies)[..., None], 0.0, each).sum(1)
    return whole
