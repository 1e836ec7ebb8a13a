"""Anomalies that are put into normal series, so that detectors can be compared without labels.

After Goswami et al. 2023 (ICLR, sec. 3.2): how well a detector finds these tells more of how well
it finds real ones than its fit to the data does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Change = Callable[[Floats, Floats, np.random.Generator], Floats]
"""From a piece (channels, steps) and each channel's deviation to the piece with an anomaly."""


def _sizes(spread: Floats, rng: np.random.Generator) -> Floats:
    """Return for each channel a signed size of 0.5 to 4 deviations."""
    size = np.exp(rng.uniform(np.log(0.5), np.log(4.0), len(spread)))
    return np.asarray(size * rng.choice([-1.0, 1.0], len(spread)) * spread)[:, None]


def spike(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Add 1 to 4 deviations."""
    return np.asarray(piece + 2 * _sizes(spread, rng))


def level_shift(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Add a constant."""
    return np.asarray(piece + _sizes(spread, rng))


def dilation(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Run through half of the piece slowly, or through all of it, there and back, fast."""
    steps = piece.shape[1]
    factor = rng.choice([0.5, 0.7, 1.5, 2.0])
    place = np.abs((np.arange(steps) * factor + steps - 1) % (2 * steps - 2 or 1) - (steps - 1))
    place = steps - 1 - place if factor < 1 else place
    return np.asarray([np.interp(place, np.arange(steps), row) for row in piece])


def flat(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Hold the first value."""
    return np.asarray(np.repeat(piece[:, :1], piece.shape[1], axis=1))


def noise(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Add noise."""
    return np.asarray(piece + 0.5 * np.abs(_sizes(spread, rng)) * rng.standard_normal(piece.shape))


def mirror(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Turn upside down about the mean."""
    return np.asarray(2 * piece.mean(1, keepdims=True) - piece)


def swap(piece: Floats, spread: Floats, rng: np.random.Generator) -> Floats:
    """Let one channel's shape be the next one's; of a single channel, run backwards."""
    if len(piece) == 1:
        return piece[:, ::-1]
    center = piece.mean(1, keepdims=True)
    size = np.where(spread > 0, spread, 1.0)[:, None]
    shapes = np.roll((piece - center) / size, 1, axis=0)
    return np.asarray(center + shapes * spread[:, None])


KINDS: dict[str, Change] = {
    "spike": spike,
    "level shift": level_shift,
    "dilation": dilation,
    "flat": flat,
    "noise": noise,
    "mirror": mirror,
    "swap": swap,
}


@dataclass(frozen=True)
class Perturbed:
    """A series (channels, time) with anomalies at `start` to `stop`, each of a kind."""

    series: Floats
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    kind: list[str]


def perturbed(
    series: Floats, spread: Floats, length: int, first: int, rng: np.random.Generator
) -> Perturbed:
    """Put an anomaly into every `3 * length` steps, the kinds in turn from the `first` one.

    A spike takes 1 to 3 steps, others half to one and a half of `length`; each of half to all
    of the channels that ever change (spread above 0).
    """
    out = series.astype(np.float64).copy()
    alive = np.flatnonzero(spread > 0)
    if not len(alive):
        return Perturbed(out, np.zeros(0, int), np.zeros(0, int), [])
    names = list(KINDS)
    starts, stops, kinds = [], [], []
    gap = 3 * length
    for number, begin in enumerate(range(0, series.shape[1] - gap + 1, gap)):
        kind = names[(first + number) % len(names)]
        limits = (1, 4) if kind == "spike" else (length // 2, 3 * length // 2)
        steps = max(int(rng.integers(limits[0], limits[1])), 1)
        start = begin + int(rng.integers(length // 2, gap - length // 2 - steps + 1))
        count = int(rng.integers((len(alive) + 1) // 2, len(alive) + 1))
        chosen = np.sort(rng.choice(alive, count, replace=False))
        piece = out[chosen, start : start + steps]
        out[chosen, start : start + steps] = KINDS[kind](piece, spread[chosen], rng)
        starts.append(start)
        stops.append(start + steps)
        kinds.append(kind)
    return Perturbed(out, np.array(starts, int), np.array(stops, int), kinds)
