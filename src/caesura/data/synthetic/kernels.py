"""Gaussian processes with random composite kernels, sampled without a covariance matrix.

KernelSynth (Ansari et al. 2024, Chronos, arXiv 2403.07815, sec. 4.2): up to five kernels of a
bank, joined by + and x at random. Published generators factorise an n x n matrix, O(n^3). Here
a composite is kept in the form k(x, x') = sum over j of (x x')^j (s_j(x - x') + w_j [x = x']),
which sums and products leave: s_j are stationary, so a draw is a sum of x^j times a stationary
process (circulant embedding, O(n log n); where that is not positive, a low-rank factor).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CLIPPED = 1e-4
"""Share of negative mass in a circulant embedding that is cut off: the covariance is wrong by
as much of the variance, at most."""
_MOST_RANK = 512
_JITTER = 1e-9


@dataclass(frozen=True)
class Kernel:
    """Covariance on n points of [0, 1]: stationary parts by lag, white parts, by power of x x'."""

    smooth: Floats
    white: Floats

    def __add__(self, other: Kernel) -> Kernel:
        most = max(len(self.white), len(other.white))
        return Kernel(
            _padded(self.smooth, most) + _padded(other.smooth, most),
            _padded(self.white, most) + _padded(other.white, most),
        )

    def __mul__(self, other: Kernel) -> Kernel:
        count = len(self.white) + len(other.white) - 1
        smooth = np.zeros((count, self.smooth.shape[1]))
        white = np.zeros(count)
        for i in range(len(self.white)):
            for j in range(len(other.white)):
                smooth[i + j] += self.smooth[i] * other.smooth[j]
                # at x = x' the smooth parts are worth their value at lag 0
                mine, theirs = self.smooth[i, 0], other.smooth[j, 0]
                white[i + j] += mine * other.white[j] + self.white[i] * theirs
                white[i + j] += self.white[i] * other.white[j]
        return Kernel(smooth, white)

    def dense(self) -> Floats:
        """Return the covariance matrix, for tests: O(n^2)."""
        n = self.smooth.shape[1]
        x = np.linspace(0, 1, n)
        lag = np.abs(np.arange(n)[:, None] - np.arange(n))
        outer = np.outer(x, x)
        total = np.zeros((n, n))
        for j in range(len(self.white)):
            total += outer**j * (self.smooth[j][lag] + self.white[j] * np.eye(n))
        return total

    def draw(self, rng: np.random.Generator) -> Floats:
        """Return one draw of the process with mean 0."""
        n = self.smooth.shape[1]
        x = np.linspace(0, 1, n)
        total = np.zeros(n)
        for j in range(len(self.white)):
            if self.smooth[j].any():
                total += x**j * stationary(self.smooth[j], rng)
            if self.white[j]:
                total += x**j * math.sqrt(self.white[j]) * rng.standard_normal(n)
        return total


def _padded(x: Floats, most: int) -> Floats:
    return np.pad(x, [(0, most - len(x)), *[(0, 0)] * (x.ndim - 1)])


def stationary(covariance: Floats, rng: np.random.Generator) -> Floats:
    """Draw a stationary process from its covariance by lag.

    Exact to 1e-4 of the variance where the covariance, mirrored to a circle, has no negative
    eigenvalues to speak of (Dietrich and Newsam 1997); else from a pivoted Cholesky factor, exact
    to 1e-6 of the variance, O(n r^2) for rank r: what does not decay within the window is smooth
    or periodic, of small rank. At a rank of 512 the rest is drawn as white noise of the right
    variance.
    """
    n = len(covariance)
    circle = np.concatenate([covariance, covariance[-2:0:-1]])
    power = np.fft.rfft(circle).real
    if -power[power < 0].sum() <= _CLIPPED * power[power > 0].sum():
        size = len(circle)
        power = np.maximum(power, 0)
        noise = rng.standard_normal((2, len(power)))
        spectrum = (noise[0] + 1j * noise[1]) * np.sqrt(power * size / 2)
        ends = [0, -1] if size % 2 == 0 else [0]
        spectrum[ends] = noise[0, ends] * np.sqrt(power[ends] * size)
        return np.asarray(np.fft.irfft(spectrum, size)[:n])
    factor = low_rank(covariance)
    drawn = factor @ rng.standard_normal(factor.shape[1])
    if factor.shape[1] == _MOST_RANK:
        rest = np.maximum(covariance[0] - np.square(factor).sum(1), 0)
        drawn += np.sqrt(rest) * rng.standard_normal(n)
    return np.asarray(drawn)


def low_rank(covariance: Floats, tolerance: float = 1e-6) -> Floats:
    """Return F with F F' the stationary covariance, each variance short by `tolerance` at most,
    or of the rank 512.

    Pivoted Cholesky (Harbrecht, Peters and Schneider 2012), a column of the matrix at a time.
    """
    n = len(covariance)
    left = np.full(n, covariance[0])
    place = np.arange(n)
    factor = np.zeros((n, 16))
    for rank in range(min(n, _MOST_RANK)):
        pivot = int(left.argmax())
        if left[pivot] <= tolerance * covariance[0] + _JITTER * abs(covariance[0]):
            return np.asarray(factor[:, :rank])
        if rank == factor.shape[1]:
            factor = np.pad(factor, [(0, 0), (0, rank)])
        column = covariance[np.abs(place - pivot)] - factor[:, :rank] @ factor[pivot, :rank]
        factor[:, rank] = column / math.sqrt(left[pivot])
        left = np.maximum(left - np.square(factor[:, rank]), 0)
        left[pivot] = 0
    return np.asarray(factor[:, : min(n, _MOST_RANK)])


_PERIODS = (4, 6, 7, 10, 12, 14, 24, 26, 30, 40, 48, 52, 60, 96, 168, 336, 365, 672, 730)
"""Steps: of the day, the week, the month and the year at usual rates."""


def bank(length: int) -> list[Kernel]:
    """Return the kernels: periodic, linear, squared exponential, rational quadratic, white,
    constant, on `length` points of [0, 1]."""
    lag = np.arange(length) / max(length - 1, 1)

    def smooth(values: Floats) -> Kernel:
        return Kernel(values[None], np.zeros(1))

    constant, nothing = np.ones(length), np.zeros(length)
    found = [
        smooth(np.exp(-2 * np.square(np.sin(np.pi * lag * length / period)))) for period in _PERIODS
    ]
    found += [smooth(np.exp(-0.5 * np.square(lag / scale))) for scale in (0.1, 1.0, 10.0)]
    found += [smooth((1 + np.square(lag) / (2 * a)) ** -a) for a in (0.1, 1.0, 10.0)]
    found += [
        Kernel(np.stack([offset**2 * constant, constant]), np.zeros(2))
        for offset in (0.0, 1.0, 10.0)
    ]
    found += [Kernel(nothing[None], np.array([noise])) for noise in (0.1, 1.0)]
    return [*found, smooth(constant)]


def composite(kernels: Sequence[Kernel], rng: np.random.Generator, most: int = 5) -> Kernel:
    """Join 1 to `most` kernels of a bank, drawn with return, by + or x at random."""
    chosen = [kernels[i] for i in rng.integers(0, len(kernels), rng.integers(1, most + 1))]
    joined: Kernel = chosen[0]
    for other in chosen[1:]:
        joined = joined + other if rng.random() < 0.5 else joined * other
    return joined


def kernel_synth(count: int, length: int, seed: int, first: int = 0) -> NDArray[np.float32]:
    """Return series `first` to `first + count` of a seed, (count, length), each standardised.

    A series depends on the seed and its number alone.
    """
    kernels = bank(length)
    found = np.empty((count, length), dtype=np.float32)
    for row in range(count):
        rng = np.random.default_rng((seed, first + row))
        found[row] = _standard(_varied(kernels, rng))
    return found


def lmc(count: int, length: int, channels: int, seed: int, first: int = 0) -> NDArray[np.float32]:
    """Return series of several channels, (count, channels, length), by coregionalisation.

    TimePFN (Taga et al. 2025, arXiv 2502.16294): each channel is a convex mixture (Dirichlet, of
    a concentration drawn from 0.5 to 2) of latent processes, their number from a Weibull law,
    each with a composite kernel of its own.
    """
    kernels = bank(length)
    found = np.empty((count, channels, length), dtype=np.float32)
    least = max(2, channels // 20)
    for row in range(count):
        rng = np.random.default_rng((seed, first + row, 1))
        number = int(
            np.clip(round(rng.weibull(2.0) * channels / 2 + 1), least, max(channels, least))
        )
        latents = np.stack([_standard(_varied(kernels, rng)) for _ in range(number)])
        mix = rng.dirichlet(np.full(number, rng.uniform(0.5, 2.0)), channels)
        found[row] = [_standard(one) for one in mix @ latents]
    return found


def _varied(kernels: Sequence[Kernel], rng: np.random.Generator) -> Floats:
    """Draw until something varies: a constant kernel alone gives a constant."""
    while True:
        drawn = composite(kernels, rng).draw(rng)
        if np.isfinite(drawn).all() and drawn.std() > 1e-6 * (1 + np.abs(drawn).max()):
            return drawn


def _standard(x: Floats) -> Floats:
    return np.asarray((x - x.mean()) / max(float(x.std()), 1e-12))
