"""Comparisons over data sets and seeds: intervals, shares of variance, ranks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.bootstrap import Interval

Floats = NDArray[np.floating[Any]]

_DRAWS = 4000


def hierarchical_bootstrap(
    table: Floats, draws: int = _DRAWS, level: float = 0.95, seed: int = 0
) -> Interval:
    """Return the mean of a (data sets, seeds) table with its percentile interval.

    Data sets are drawn with return, then seeds within each: what holds for these sets alone is
    not taken for the rule. With one set the interval is over seeds, with one seed over sets;
    with one of both it is that one value.
    """
    table = np.atleast_2d(np.asarray(table, dtype=float))
    rng = np.random.default_rng(seed)
    sets, seeds = table.shape
    which = rng.integers(0, sets, (draws, sets))
    inner = rng.integers(0, seeds, (draws, sets, seeds))
    means = table[which[..., None], inner].mean((1, 2))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(table.mean()), float(low), float(high), level)


def variance_shares(table: Floats, names: Sequence[str]) -> dict[str, float]:
    """Return the share of the variance of a full factorial that each factor explains.

    table: one axis a factor. Sums of squares of main effects and of each pair, the rest is
    "rest". A balanced design has no other way to share them out.
    """
    table = np.asarray(table, dtype=float)
    mean = table.mean()
    total = float(np.square(table - mean).sum())
    if total <= 0:
        return dict.fromkeys([*names, "rest"], 0.0)
    found: dict[str, float] = {}
    effects: dict[int, Floats] = {}
    for axis, name in enumerate(names):
        others = tuple(k for k in range(table.ndim) if k != axis)
        effect = table.mean(axis=others, keepdims=True) - mean
        effects[axis] = effect
        found[name] = float(np.square(effect).sum()) * table.size / effect.size / total
    for a, b in combinations(range(table.ndim), 2):
        others = tuple(k for k in range(table.ndim) if k not in (a, b))
        joint = table.mean(axis=others, keepdims=True) - mean - effects[a] - effects[b]
        share = float(np.square(joint).sum()) * table.size / joint.size / total
        found[f"{names[a]} x {names[b]}"] = share
    found["rest"] = max(0.0, 1 - sum(found.values()))
    return found


def mean_ranks(table: Floats) -> Floats:
    """Return the mean rank of each column of a (data sets, methods) table; 1 is best."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.asarray(table), axis=1).mean(0))


def wilcoxon_holm(table: Floats) -> dict[tuple[int, int], float]:
    """Return Holm's adjusted p of Wilcoxon's signed rank test for each pair of columns.

    table: (data sets, methods). Pairs that never differ have p 1.
    """
    from scipy.stats import wilcoxon

    table = np.asarray(table, dtype=float)
    raw: dict[tuple[int, int], float] = {}
    for a, b in combinations(range(table.shape[1]), 2):
        gap = table[:, a] - table[:, b]
        raw[a, b] = 1.0 if not gap.any() else float(wilcoxon(gap).pvalue)
    adjusted: dict[tuple[int, int], float] = {}
    highest = 0.0
    for place, (pair, p) in enumerate(sorted(raw.items(), key=lambda one: one[1])):
        highest = max(highest, min(1.0, p * (len(raw) - place)))
        adjusted[pair] = highest
    return adjusted


def cliques(ranks: Floats, p: dict[tuple[int, int], float], level: float = 0.05) -> list[list[int]]:
    """Return the runs of methods, in order of rank, none of which differs from another."""
    order = [int(i) for i in np.argsort(ranks, kind="stable")]
    found: list[list[int]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and all(
            p[min(a, order[last + 1]), max(a, order[last + 1])] >= level
            for a in order[first : last + 1]
        ):
            last += 1
        run = order[first : last + 1]
        if len(run) > 1 and not any(set(run) <= set(other) for other in found):
            found.append(run)
    return found
