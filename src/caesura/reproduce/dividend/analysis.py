"""What the reference study says: dividends by family, what matters, who differs from whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.drawing import ACCENT, INK, as_svg, new_figure
from caesura.metrics.bootstrap import Interval
from caesura.metrics.compare import (
    cliques,
    hierarchical_bootstrap,
    mean_ranks,
    variance_shares,
    wilcoxon_holm,
)
from caesura.recipes.dividend import GENERATIVE, LATENT, OBJECTIVES
from caesura.reproduce.dividend.encoders import AUGMENTATIONS
from caesura.reproduce.dividend.sets import ANOMALY, CLASSIFICATION, FORECASTING, REPORTED

Results = Sequence[Mapping[str, Any]]
FAMILIES = {
    "classification": CLASSIFICATION, "forecasting": FORECASTING, "anomaly": ANOMALY,
}  # fmt: skip
TWIN = ", random twin"


class Frozen:
    """The skills of a finished study as arrays: (objectives, augmentations, sets, seeds).

    Seeds that not every arm has are left out; no whole seed is a ValueError.
    """

    def __init__(self, results: Results, sets: Sequence[str] = REPORTED) -> None:
        by_cell = {(one["cell"], one["seed"]): one["rows"] for one in results}
        cells = [f"{o}, {v}" for o in OBJECTIVES for v in AUGMENTATIONS]
        seeds = sorted({seed for _, seed in by_cell})
        self.seeds = [s for s in seeds if all((cell, s) in by_cell for cell in cells)]
        if not self.seeds:
            raise ValueError("no seed has all of its cells yet")
        self.sets = tuple(sets)
        shape = (len(OBJECTIVES), len(AUGMENTATIONS), len(sets), len(self.seeds))

        def table(suffix: str) -> NDArray[np.float64]:
            return np.array(
                [
                    by_cell[cell, seed][cell + suffix][name]
                    for cell in cells
                    for name in sets
                    for seed in self.seeds
                ]
            ).reshape(shape)

        self.skill, self.twin = table(""), table(TWIN)
        self._rows = by_cell
        beside = [rows for (cell, _), rows in by_cell.items() if cell == "baselines"]
        self.baselines: Mapping[str, Mapping[str, float]] = beside[0] if beside else {}

    def other(self, metric: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return another metric of the encoders and of their twins: (objectives, augmentations,
        seeds) each."""
        found = [
            [
                [
                    [self._rows[f"{o}, {v}", s][f"{o}, {v}{suffix}"][metric] for s in self.seeds]
                    for v in AUGMENTATIONS
                ]
                for o in OBJECTIVES
            ]
            for suffix in ("", TWIN)
        ]
        return np.array(found[0]), np.array(found[1])

    @property
    def dividend(self) -> NDArray[np.float64]:
        """Skill less that of the same encoder never trained."""
        return self.skill - self.twin

    def of(self, family: str) -> list[int]:
        """Return the places of a family's sets."""
        return [k for k, name in enumerate(self.sets) if name in FAMILIES[family]]

    def best_baseline(self, family: str) -> float:
        """Return the mean over a family's sets of each set's best baseline."""
        best = [
            max(rows[self.sets[k]] for rows in self.baselines.values() if self.sets[k] in rows)
            for k in self.of(family)
        ]
        return float(np.mean(best))


def arm_rows(found: Frozen) -> list[dict[str, str]]:
    """Return a row an arm: its frozen dividend in each family, with the interval over sets and
    seeds."""
    rows = []
    for o, objective in enumerate(OBJECTIVES):
        for v, view in enumerate(AUGMENTATIONS):
            row = {"objective": objective, "augmentation": view}
            for family in FAMILIES:
                row[family] = signed(hierarchical_bootstrap(found.dividend[o, v][found.of(family)]))
            rows.append(row)
    return rows


def family_rows(found: Frozen) -> list[dict[str, str]]:
    """Return a row a family: mean skill, untrained, best baseline, and the mean dividend."""
    rows = []
    for family in FAMILIES:
        places = found.of(family)
        means = found.dividend[:, :, places].mean((0, 1))
        rows.append(
            {
                "family": family,
                "pre-trained, mean of all arms": f"{found.skill[:, :, places].mean():.3f}",
                "never trained": f"{found.twin[:, :, places].mean():.3f}",
                "best baseline a set": f"{found.best_baseline(family):.3f}",
                "mean dividend": signed(hierarchical_bootstrap(means)),
            }
        )
    return rows


def baseline_rows(found: Frozen) -> list[dict[str, str]]:
    """Return a row a baseline that needs no pre-training: its mean skill in its family."""
    rows = []
    for family in FAMILIES:
        names = [found.sets[k] for k in found.of(family)]
        for baseline, skills in found.baselines.items():
            if set(names) <= set(skills):
                mean = np.mean([skills[name] for name in names])
                rows.append({"family": family, "baseline": baseline, "mean skill": f"{mean:.3f}"})
    return rows


def view_rows(found: Frozen) -> list[dict[str, str]]:
    """Return a row a pair of augmentations: the mean difference over all objectives by family."""
    rows = []
    for first, second in (("dwt", "none"), ("dwt", "jitter"), ("jitter", "none"), ("crop", "none")):
        a, b = (found.dividend[:, AUGMENTATIONS.index(name)].mean(0) for name in (first, second))
        gaps = {
            family: signed(hierarchical_bootstrap((a - b)[found.of(family)])) for family in FAMILIES
        }
        rows.append({"augmentation": f"{first} - {second}"} | gaps)
    return rows


def share_rows(found: Frozen) -> list[dict[str, str]]:
    """Return the shares of the variance of the dividend, in each family."""
    names = ["objective", "augmentation", "set", "seed"]
    rows = []
    for family in FAMILIES:
        table = found.dividend[:, :, found.of(family)]
        kept = [k for k in range(4) if table.shape[k] > 1]
        shares = variance_shares(
            table.reshape([table.shape[k] for k in kept]), [names[k] for k in kept]
        )
        rows.append({"family": family} | {k: f"{100 * v:.0f} %" for k, v in shares.items()})
    return rows


def asymmetry(found: Frozen) -> dict[str, Interval]:
    """Return the paper's asymmetries as differences of the mean dividend over all arms.

    Sets are drawn with return within each family, seeds with them.
    """
    means = {family: found.dividend[:, :, found.of(family)].mean((0, 1)) for family in FAMILIES}
    rng = np.random.default_rng(0)

    def drawn(table: NDArray[np.float64]) -> float:
        sets = rng.integers(0, len(table), len(table))
        seeds = rng.integers(0, table.shape[1], table.shape)
        return float(np.take_along_axis(table[sets], seeds, 1).mean())

    result = {}
    for family in ("anomaly", "classification"):
        gaps = [drawn(means[family]) - drawn(means["forecasting"]) for _ in range(4000)]
        low, high = np.quantile(gaps, [0.025, 0.975])
        value = float(means[family].mean() - means["forecasting"].mean())
        result[f"{family} - forecasting"] = Interval(value, float(low), float(high))
    return result


def latent_rows(found: Frozen) -> list[dict[str, str]]:
    """Return, by family, latent objectives' mean dividend less generative ones'."""
    latent = [OBJECTIVES.index(o) for o in LATENT]
    generative = [OBJECTIVES.index(o) for o in GENERATIVE]
    rows = []
    for family in FAMILIES:
        table = found.dividend[:, :, found.of(family)]
        gap = table[latent].mean((0, 1)) - table[generative].mean((0, 1))
        rows.append({"family": family, "latent - generative": signed(hierarchical_bootstrap(gap))})
    return rows


def rank_table(found: Frozen) -> tuple[list[str], NDArray[np.float64]]:
    """Return method names and skills (sets, methods): objectives without augmentation, and the
    encoder never trained."""
    plain = AUGMENTATIONS.index("none")
    columns = [found.skill[o, plain].mean(-1) for o in range(len(OBJECTIVES))]
    columns.append(found.twin[0, plain].mean(-1))
    return [*OBJECTIVES, "never trained"], np.stack(columns, axis=1)


def critical_difference(names: Sequence[str], table: NDArray[np.float64]) -> str:
    """Draw mean ranks; bars join methods that Wilcoxon's test with Holm's correction does not
    tell apart (Demsar 2006, with Benavoli et al. 2016's test)."""
    ranks = mean_ranks(table)
    joined = cliques(ranks, wilcoxon_holm(table))
    count = len(names)
    figure, axes = new_figure(6.4, 0.28 * count + 0.9)
    axis = axes[0, 0]
    order = [int(i) for i in np.argsort(ranks, kind="stable")]
    for place, k in enumerate(order):
        axis.plot([ranks[k]], [-place], "o", color=ACCENT, ms=5)
        axis.text(ranks[k] + 0.08, -place, f"{names[k]}  {ranks[k]:.2f}", va="center")
    for number, run in enumerate(joined):
        x = 0.75 - 0.12 * number
        places = [order.index(k) for k in run]
        axis.plot([x, x], [-min(places), -max(places)], color=INK, lw=2.5)
    axis.set(
        xlim=(0.2, count + 1.5), ylim=(-count + 0.4, 0.6), xlabel="mean rank over sets (1: best)"
    )
    axis.set_yticks([])
    return as_svg(figure)


def signed(gap: Interval) -> str:
    """Return a difference with its interval."""
    return f"{gap.value:+.3f} [{gap.lower:+.3f}, {gap.upper:+.3f}]"


def verdict(gap: Interval) -> str:
    """Return confirmed, refuted or undecided for "the first is larger"."""
    if not gap.excludes_zero:
        return "undecided"
    return "confirmed" if gap.value > 0 else "refuted"
