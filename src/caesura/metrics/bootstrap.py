"""Percentile intervals by resampling groups of cases, alone and in pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """An estimate and the interval that holds it at `level`."""

    value: float
    lower: float
    upper: float
    level: float = 0.95

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.lower > 0 or self.upper < 0

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.lower:.3f}, {self.upper:.3f}]"


def group_resamples(
    groups: NDArray[np.int64], draws: int, seed: int
) -> Sequence[NDArray[np.int64]]:
    """Return the case numbers of each resample: whole groups drawn with replacement."""
    rng = np.random.default_rng(seed)
    names, code = np.unique(groups, return_inverse=True)
    order = np.argsort(code, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(code))[:-1])
    if len(names) == len(groups):
        return [rng.integers(0, len(groups), len(groups)) for _ in range(draws)]
    chosen = (rng.integers(0, len(names), len(names)) for _ in range(draws))
    return [np.concatenate([members[i] for i in one]) for one in chosen]


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    groups: NDArray[np.int64],
    *,
    draws: int = 500,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return `statistic` of all cases with its percentile interval.

    statistic: maps case numbers to a figure. For a paired difference, let it score both
    sides on the same cases. Resamples on which it is NaN are left out.
    """
    value = statistic(np.arange(len(groups)))
    found = np.array([statistic(cases) for cases in group_resamples(groups, draws, seed)])
    return percentile_interval(value, found, level)


def resample_counts(
    groups: NDArray[np.int64], *, draws: int = 500, seed: int = 0
) -> NDArray[np.uint16]:
    """Return how often each case is in each resample of `bootstrap`: (cases, draws)."""
    counts = np.empty((draws, len(groups)), dtype=np.uint16)
    for row, cases in zip(counts, group_resamples(groups, draws, seed), strict=True):
        row[:] = np.bincount(cases, minlength=len(groups))
    return np.ascontiguousarray(counts.T)


def percentile_interval(
    value: float, resampled: NDArray[np.float64], level: float = 0.95
) -> Interval:
    """Return a figure with the percentile interval of its resamples; those that are NaN are left
    out."""
    found = resampled[np.isfinite(resampled)]
    if not len(found):
        return Interval(value, float("nan"), float("nan"), level)
    tail = (1 - level) / 2
    lower, upper = np.quantile(found, [tail, 1 - tail])
    return Interval(value, float(lower), float(upper), level)
