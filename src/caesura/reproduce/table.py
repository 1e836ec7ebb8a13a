"""The paper's row beside ours: means over seeds, their spread, paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from caesura.reproduce.experiment import Experiment

_LEVEL = 0.95


def summarise(results: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[int, float]]:
    """Return the value by seed of each (row, metric), in order of appearance."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    for result in results:
        for row, metrics in result["rows"].items():
            for metric, value in metrics.items():
                found.setdefault((row, metric), {})[result["seed"]] = value
    return found


def half_width(values: Sequence[float]) -> float:
    """Return half of the 95 % t-interval of the mean; NaN for fewer than two values."""
    if len(values) < 2:
        return math.nan
    from scipy.stats import t

    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(t.ppf(0.5 + _LEVEL / 2, len(values) - 1)) * spread


def comparison_rows(
    experiment: Experiment, results: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the paired differences with their intervals; "undecided" where 0 lies inside."""
    found = summarise(results)
    rows = []
    for one in experiment.comparisons:
        left, right = (found.get((name, one.metric), {}) for name in (one.row, one.other))
        seeds = sorted(set(left) & set(right))
        if not seeds:
            continue
        gaps = [left[seed] - right[seed] for seed in seeds]
        mean, half = float(np.mean(gaps)), half_width(gaps)
        decided = "undecided" if not abs(mean) > half else ("higher" if mean > 0 else "lower")
        rows.append(
            {
                "difference": f"{one.row} - {one.other}",
                "metric": one.metric,
                "mean": f"{mean:+.4g}",
                "95 %": "" if math.isnan(half) else f"[{mean - half:+.4g}, {mean + half:+.4g}]",
                "seeds": len(seeds),
                "verdict": decided if len(seeds) > 1 else "one seed",
            }
        )
    return rows


def table_rows(
    experiment: Experiment, results: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return a printed row for each (row, metric): the paper's figure, ours, the seeds."""
    rows = []
    for (row, metric), by_seed in summarise(results).items():
        values = list(by_seed.values())
        paper = experiment.published.get((row, metric))
        rows.append(
            {
                "row": row,
                "metric": metric,
                "paper": "" if paper is None else _with_spread(paper.value, paper.std),
                "ours": _with_spread(
                    float(np.mean(values)), float(np.std(values, ddof=1)) if values[1:] else None
                ),
                "seeds": len(values),
            }
        )
    return rows


def _with_spread(value: float, spread: float | None) -> str:
    return f"{value:.4g}" if spread is None else f"{value:.4g} ± {spread:.2g}"


def json_rows(
    experiment: Experiment, results: Sequence[Mapping[str, Any]], command: str
) -> list[dict[str, Any]]:
    """Return one machine-readable row for each (row, metric)."""
    if not results:
        return []
    last = max(results, key=lambda one: str(one["date"]))
    rows: list[dict[str, Any]] = []
    for (row, metric), by_seed in summarise(results).items():
        values = list(by_seed.values())
        paper = experiment.published.get((row, metric))
        rows.append(
            {
                "experiment": experiment.name,
                "row": row,
                "metric": metric,
                "value": _digits(float(np.mean(values))),
                "std": _digits(float(np.std(values, ddof=1))) if values[1:] else None,
                "seeds": len(values),
                "paper": None if paper is None else paper.value,
                "paper_std": None if paper is None else paper.std,
                "command": command,
                "hardware": last["hardware"],
                "date": last["date"],
            }
        )
    return rows


def _digits(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def markdown(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows of equal keys as a Markdown table."""
    listed = list(rows)
    if not listed:
        return ""
    names = list(listed[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in listed]
    return "\n".join(lines) + "\n"
