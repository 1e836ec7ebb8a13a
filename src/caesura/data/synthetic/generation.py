"""Data that generators are compared on and that anyone can draw again: sines, springs, coupled
channels. The first are those of TimeGAN (Yoon et al. 2019) and its followers, from other seeds for
what is held out: theirs repeat the training windows in the test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEP_S = 0.05
_SPRING, _HARD, _DAMPING = 2.0, 1.0, 0.05


def sines(count: int, time: int, seed: int, channels: int = 5) -> Floats:
    """Return (count, channels, time): (sin(f t + p) + 1) / 2, f and p uniform in [0, 0.1]."""
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0, 0.1, (2, count, channels, 1))
    return np.asarray((np.sin(rate * np.arange(time) + phase) + 1) / 2)


def springs(count: int, time: int, seed: int, masses: int = 4) -> Floats:
    """Return positions, then velocities, of masses in a row, (count, 2 masses, time).

    Springs between walls pull by 2 x + x^3, with little friction, from random beginnings; by
    velocity Verlet, ten steps of 5 ms between samples 50 ms apart.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (count, masses))
    v = rng.uniform(-2, 2, (count, masses))
    found = np.empty((count, 2 * masses, time))
    step = _STEP_S / 10
    for place in range(time):
        found[:, :masses, place], found[:, masses:, place] = x, v
        for _ in range(10):
            v = v + 0.5 * step * _pull(x, v)
            x = x + step * v
            v = v + 0.5 * step * _pull(x, v)
    return found


def _pull(x: Floats, v: Floats) -> Floats:
    stretch = np.diff(np.pad(x, ((0, 0), (1, 1))), axis=1)
    force = _SPRING * stretch + _HARD * stretch**3
    return np.asarray(np.diff(force, axis=1) - _DAMPING * v)


def coupled(time: int, seed: int, channels: int = 50, blocks: int = 5) -> Floats:
    """Return (channels, time): a vector autoregression within blocks, seen through a slow response.

    Each block is a stable autoregression of order 1 with a sparse matrix; what is seen is its
    convolution with a double gamma response, as blood oxygen follows neurons, and some noise.
    """
    rng = np.random.default_rng(seed)
    size = channels // blocks
    matrix = np.zeros((channels, channels))
    for block in range(blocks):
        own = slice(block * size, (block + 1) * size)
        part = np.where(rng.random((size, size)) < 0.3, rng.normal(0, 0.4, (size, size)), 0.0)
        part += 0.5 * np.eye(size)
        matrix[own, own] = part * 0.9 / max(np.abs(np.linalg.eigvals(part)).max(), 0.9)
    state, states = np.zeros(channels), np.empty((time + 100, channels))
    for place in range(len(states)):
        state = matrix @ state + rng.standard_normal(channels)
        states[place] = state
    at = np.arange(16.0)
    response = at**5 * np.exp(-at) / 120 - at**9 * np.exp(-at) / 362_880 / 3
    seen = np.stack([np.convolve(one, response)[100 : 100 + time] for one in states.T])
    noise: Floats = 0.1 * seen.std() * rng.standard_normal(seen.shape)
    return seen + noise
