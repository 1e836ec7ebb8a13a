"""What follows the frozen study: fine-tuning, depth, origin, and the bands that tokens tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from caesura.metrics.bootstrap import Interval
from caesura.metrics.compare import hierarchical_bootstrap
from caesura.recipes.dividend import CAUSAL
from caesura.reproduce.dividend.analysis import FAMILIES, TWIN, Frozen, Results, signed, verdict
from caesura.reproduce.dividend.arms import UNTRAINED
from caesura.reproduce.dividend.horizons import DLINEAR, STEPS
from caesura.reproduce.dividend.horizons import SETS as HORIZON_SETS
from caesura.reproduce.dividend.origin import OBJECTIVES
from caesura.reproduce.dividend.sets import CLASSIFICATION
from caesura.reproduce.dividend.tuned import SCRATCH, SCRATCH_CAUSAL, SETS
from caesura.reproduce.dividend.tuned_families import FAMILY_SETS

BANDS = ("approximation", "detail 3", "detail 2", "detail 1")
_DRAWS = 2000


def tuned_rows(results: Results) -> list[dict[str, str]]:
    """Return a row an arm: skill fine-tuned and from scratch, and the difference by family.

    Seeds that an arm and its training from scratch have both; sets are drawn, then seeds.
    """
    by_row = _by_row(results)
    rows = []
    for arm in sorted(set(by_row) - {SCRATCH, SCRATCH_CAUSAL}):
        start = SCRATCH_CAUSAL if arm.split(", ")[0] in CAUSAL else SCRATCH
        seeds = sorted(set(by_row[arm]) & set(by_row.get(start, {})))
        if not seeds:
            continue
        row = {"arm": arm, "seeds": str(len(seeds))}
        for family in ("classification", "forecasting"):
            sets = [name for name in SETS if name in FAMILIES[family]]
            own, other = (
                np.array([[by_row[name][s][one] for s in seeds] for one in sets])
                for name in (arm, start)
            )
            row[f"{family}, tuned"] = f"{own.mean():.3f}"
            row["from scratch" + " " * (family == "forecasting")] = f"{other.mean():.3f}"
            row[f"{family}, dividend"] = signed(hierarchical_bootstrap(own - other))
        rows.append(row)
    return rows


def tuned_family_rows(families: Results, tuned: Results) -> list[dict[str, str]]:
    """Return a row for each family's best arms: skill fine-tuned, from scratch, and the difference.

    Training from scratch stands in `tuned` for classification and forecasts, in `families` for
    anomalies. Seeds that both have; sets are drawn, then seeds.
    """
    by_row = _by_row(families)
    for start in (SCRATCH, SCRATCH_CAUSAL):
        for family in ("classification", "forecasting"):
            by_row[f"{start}, {family}"] = _by_row(tuned).get(start, {})
    rows = []
    for row, family in sorted((row, f) for row in by_row for f in FAMILY_SETS if row.endswith(f)):
        arm = row.removesuffix(f", {family}")
        start = SCRATCH_CAUSAL if arm.split(", ")[0] in CAUSAL else SCRATCH
        other = by_row.get(f"{start}, {family}", {})
        seeds = sorted(set(by_row[row]) & set(other))
        if arm in (SCRATCH, SCRATCH_CAUSAL) or not seeds:
            continue
        own, scratch = (
            np.array([[found[s][one] for s in seeds] for one in FAMILY_SETS[family]])
            for found in (by_row[row], other)
        )
        rows.append(
            {"family": family, "arm": arm, "seeds": str(len(seeds)), "tuned": f"{own.mean():.3f}",
             "from scratch": f"{scratch.mean():.3f}",
             "dividend": signed(hierarchical_bootstrap(own - scratch))}
        )  # fmt: skip
    return sorted(rows, key=lambda row: list(FAMILIES).index(row["family"]))


def _by_row(results: Results) -> dict[str, dict[int, Mapping[str, float]]]:
    found: dict[str, dict[int, Mapping[str, float]]] = {}
    for one in results:
        for row, metrics in one["rows"].items():
            found.setdefault(row, {})[one["seed"]] = metrics
    return found


class Variants:
    """Dividends of the cells of `dividend-origin`, by objective and what was changed."""

    def __init__(self, results: Results) -> None:
        self.cells = {(one["cell"], one["seed"]): one["rows"] for one in results}

    def seeds(self, changes: Sequence[str]) -> list[int]:
        """Return the seeds that have all of some changes, under both objectives."""
        cells = [f"{objective}, {change}" for objective in OBJECTIVES for change in changes]
        names = {seed for _, seed in self.cells}
        return sorted(s for s in names if all((cell, s) in self.cells for cell in cells))

    def dividends(self, change: str, family: str, seeds: Sequence[int]) -> NDArray[np.float64]:
        """Return the mean over both objectives, (sets, seeds)."""
        each = []
        for objective in OBJECTIVES:
            cell = f"{objective}, {change}"
            each.append(
                [
                    [
                        self.cells[cell, s][cell][name] - self.cells[cell, s][cell + TWIN][name]
                        for s in seeds
                    ]
                    for name in FAMILIES[family]
                ]
            )
        return np.asarray(np.mean(each, axis=0))

    def rows(self, changes: Sequence[str]) -> list[dict[str, str]]:
        """Return a row a change: its dividend in each family. Empty where no seed has all."""
        seeds = self.seeds(changes)
        if not seeds:
            return []
        return [
            {"": change}
            | {
                family: signed(hierarchical_bootstrap(self.dividends(change, family, seeds)))
                for family in FAMILIES
            }
            for change in changes
        ]

    def gaps(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        """Return a row a pair of changes and family: the first's dividend less the second's."""
        rows = []
        for first, second in pairs:
            seeds = self.seeds((first, second))
            for family in FAMILIES if seeds else ():
                one, two = (self.dividends(name, family, seeds) for name in (first, second))
                gap = hierarchical_bootstrap(one - two)
                rows.append(
                    {"claim": f"{first} gives more than {second}, {family}",
                     "difference": signed(gap), "verdict": verdict(gap)}
                )  # fmt: skip
        return rows


def band_rows(found: Frozen) -> list[dict[str, str]]:
    """Return a row a band: how much of it tokens tell, and its rank correlation with dividends.

    Over the arms of the study, means over seeds: what an arm tells of the band more than its twin
    that was never trained, against its dividend in each family. Intervals draw arms.
    """
    rows = []
    for band in BANDS:
        own, twin = found.other(f"band {band}")
        row = {"band": band, "R2, pre-trained": f"{own.mean():.3f}",
               "never trained": f"{twin.mean():.3f}"}  # fmt: skip
        told = (own - twin).mean(-1).ravel()
        for family in FAMILIES:
            gain = found.dividend[:, :, found.of(family)].mean((2, 3)).ravel()
            row[f"with {family}"] = signed(_correlation(told, gain))
        rows.append(row)
    return rows


def _correlation(x: NDArray[Any], y: NDArray[Any]) -> Interval:
    """Return Spearman's rank correlation with a percentile interval."""
    if not np.isfinite(_spearman(x, y)):
        return Interval(float("nan"), float("nan"), float("nan"))
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(x), (_DRAWS, len(x)))
    found = np.array([_spearman(x[d], y[d]) for d in draws])
    low, high = np.nanquantile(found, [0.025, 0.975])
    return Interval(_spearman(x, y), float(low), float(high))


def _spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    if len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return float("nan")
    return float(spearmanr(x, y).statistic)


def horizon_rows(results: Results) -> list[dict[str, str]]:
    """Return a row a horizon: mean skill over sets and seeds, and each arm's difference from the
    encoder never trained, over seeds that all have."""
    by_row = _by_row(results)
    if not {DLINEAR, UNTRAINED} <= set(by_row):
        return []
    arms = sorted(set(by_row) - {DLINEAR, UNTRAINED})
    seeds = sorted(set.intersection(*(set(found) for found in by_row.values())))

    def table(row: str, steps: int) -> NDArray[np.float64]:
        metrics = [f"{name} {steps} skill" for name in HORIZON_SETS]
        return np.array([[by_row[row][s][metric] for s in seeds] for metric in metrics])

    rows = []
    for steps in STEPS if seeds else ():
        twin = table(UNTRAINED, steps)
        row = {"steps ahead": str(steps), "seasonal naive": "0.000"}
        row |= {name: f"{table(name, steps).mean():.3f}" for name in (DLINEAR, UNTRAINED)}
        row |= {
            f"{arm}, less never trained": signed(hierarchical_bootstrap(table(arm, steps) - twin))
            for arm in arms
        }
        rows.append(row)
    return rows


def resample_rows(results: Results) -> list[dict[str, str]]:
    """Return a row an arm: mean skill on resampled splits, and its difference from the encoder
    never trained, over sets and the seeds that both have."""
    by_row = _by_row(results)
    rows = []
    for arm in sorted(set(by_row) - {UNTRAINED}):
        seeds = sorted(set(by_row[arm]) & set(by_row.get(UNTRAINED, {})))
        if not seeds:
            continue
        own, twin = (
            np.array([[by_row[name][s][one] for s in seeds] for one in CLASSIFICATION])
            for name in (arm, UNTRAINED)
        )
        names = [f"{name} deviation" for name in CLASSIFICATION]
        deviation = np.mean([[by_row[arm][s][name] for s in seeds] for name in names])
        rows.append(
            {
                "arm": arm,
                "skill": f"{own.mean():.3f}",
                "never trained": f"{twin.mean():.3f}",
                "dividend": signed(hierarchical_bootstrap(own - twin)),
                "deviation over splits": f"{deviation:.3f}",
            }
        )
    return rows
