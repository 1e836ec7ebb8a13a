"""Which windows of a recording are worth learning from: there, not flat, beating regularly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_OBSERVED = 0.5
"""Share of a window's samples that must have been measured for it to train."""
_FASTEST_HZ = 3.5
_RANGE = 1e-6
"""Range up to which a variable is constant, in the model's units."""


def is_usable(
    values: NDArray[np.floating[Any]],
    observed: NDArray[np.bool_],
    constant: bool = False,
    sparse: bool = False,
) -> bool:
    """Say whether a window (variables, samples) has enough samples and, but where `constant` ones
    count, is not constant. sparse: two samples are enough."""
    if sparse:
        return int(observed.sum()) > 1
    if observed.mean() < FEWEST_OBSERVED:
        return False
    if constant:
        return True
    high = np.where(observed, values, -np.inf).max(1)
    low = np.where(observed, values, np.inf).min(1)
    return bool((high - low > _RANGE).any())


def template_match(signal: NDArray[np.floating[Any]], rate: float) -> float:
    """Return the mean correlation of a window's beats with their average; 0 below three beats.

    For pulse-like signals (PPG, ECG). Beats are the peaks at most 3.5 a second apart with a
    prominence of half a deviation; a beat reaches a third of the median distance to both sides.
    """
    from scipy.signal import find_peaks

    spread = float(signal.std())
    if spread <= _RANGE:
        return 0.0
    peaks, _ = find_peaks(signal, distance=max(1, int(rate / _FASTEST_HZ)), prominence=0.5 * spread)
    if len(peaks) < 3:
        return 0.0
    half = max(1, int(np.median(np.diff(peaks)) / 3))
    inside = peaks[(peaks >= half) & (peaks + half < len(signal))]
    if len(inside) < 2:
        return 0.0
    beats = np.stack([signal[p - half : p + half + 1] for p in inside]).astype(np.float64)
    beats -= beats.mean(1, keepdims=True)
    norms = np.maximum(np.linalg.norm(beats, axis=1), 1e-12)
    mean = beats.mean(0)
    return float(np.mean(beats @ mean / (norms * max(float(np.linalg.norm(mean)), 1e-12))))
