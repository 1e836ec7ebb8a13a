"""Pulse-like signals (a wrist's PPG) whose label lives at a known time-scale.

A train of beats, each a systolic wave and a smaller dicrotic one, with respiration, motion and
noise. Three labels are planted so that nothing finer than their scale tells them: the shape of
a beat (`notch`, about 0.2 s), the length of an interval (`interval`, about a second, the number
of beats a window being equal), the order of intervals (`rhythm`, several seconds, the intervals
being equal in distribution). A probe of resolutions must find each where it lives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PLANTED = ("notch", "interval", "rhythm")
"""The labels, fine to coarse."""


_ORDERS = (
    np.array([-1.0, -1, 1, 1]),
    np.array([-1.0, 1, -1, 1]),
)


@dataclass(frozen=True)
class PulseSettings:
    """How the signals are made; times in seconds, heights relative to the systolic wave.

    interval: mean time between beats, which each subject varies by `subject_spread`. swing:
    relative change of single intervals. ectopic: share of beats that come early and small.
    motion: share of windows with a burst of it.
    """

    seconds: float = 10.0
    rate_hz: float = 100.0
    interval: float = 0.9
    subject_spread: float = 0.03
    swing: float = 0.18
    ectopic: float = 0.02
    motion: float = 0.1
    noise: float = 0.05


@dataclass(frozen=True)
class Pulses:
    """Signals (windows, samples), planted labels (windows,) by name, subject of each window."""

    signals: NDArray[np.float32]
    labels: dict[str, NDArray[np.int64]]
    subjects: NDArray[np.int64]
    rate_hz: float


def pulses(
    count: int, seed: int, settings: PulseSettings | None = None, subjects: int = 40
) -> Pulses:
    """Make windows of several subjects; every label is a fair coin of its own.

    notch 1: a narrow dicrotic wave, else a broad one of equal area. interval 1: short and long
    intervals differ much, else little, their mean the same. rhythm 1: short and long ones in
    turn, else two by two: single intervals are equally frequent in both, so that it takes two
    and the beats about them, over two seconds, to tell the orders apart.
    """
    own = settings or PulseSettings()
    rng = np.random.default_rng(seed)
    who = rng.integers(0, subjects, count)
    traits = np.random.default_rng((seed, 1)).standard_normal((subjects, 3))
    labels = {name: rng.integers(0, 2, count) for name in PLANTED}
    signals = np.stack(
        [
            _window({k: int(v[i]) for k, v in labels.items()}, traits[who[i]], own, rng)
            for i in range(count)
        ]
    )
    return Pulses(signals.astype(np.float32), labels, who, own.rate_hz)


def _window(
    label: dict[str, int], trait: Floats, own: PulseSettings, rng: np.random.Generator
) -> Floats:
    times = np.arange(round(own.seconds * own.rate_hz)) / own.rate_hz
    mean = own.interval * (1 + own.subject_spread * trait[0])
    beats = int(2 * own.seconds / mean) + 8
    gaps = mean * _relative_intervals(label, beats, own.swing, rng)
    starts = np.cumsum(gaps) - mean * (2 + 2 * rng.random())
    heights = 1 + 0.05 * rng.standard_normal(beats)
    early = rng.random(beats) < own.ectopic
    starts[early] -= 0.25 * mean
    heights[early] *= 0.6
    signal = np.zeros(len(times))
    for start, height in zip(starts, heights, strict=True):
        signal += height * _beat(times - start, label["notch"])
    breath = rng.uniform(0.2, 0.3)
    signal += 0.15 * np.sin(2 * np.pi * (breath * times + rng.random()))
    if rng.random() < own.motion:
        centre, width = rng.uniform(0, own.seconds), rng.uniform(0.5, 1.5)
        shake = np.sin(2 * np.pi * rng.uniform(1, 3) * times + rng.uniform(0, 6.28))
        signal += 0.5 * shake * np.exp(-0.5 * np.square((times - centre) / width))
    return signal + own.noise * rng.standard_normal(len(times))


def _relative_intervals(
    label: dict[str, int], count: int, swing: float, rng: np.random.Generator
) -> Floats:
    """Return intervals over their mean: of equal mean for both values of every label."""
    depth = swing * (1.5 if label["interval"] else 0.5)
    pattern = _ORDERS[label["rhythm"]]
    signs = pattern[(np.arange(count) + rng.integers(0, len(pattern))) % len(pattern)]
    return np.asarray(1 + depth * signs + 0.01 * rng.standard_normal(count))


def _beat(since: Floats, notch: int) -> Floats:
    """Return a beat of one area and nearly one width, with or without a second wave."""
    second = 0.25 if notch else 0.0
    systolic = np.exp(-0.5 * np.square((since - 0.15) / 0.06))
    tail = np.exp(-0.5 * np.square((since - 0.40) / (0.05 if notch else 0.10)))
    weight = second if notch else 0.125  # equal areas
    return np.asarray(systolic + weight * tail)
