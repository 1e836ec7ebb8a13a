"""Keep the cells of timemar's experiments in docs/results, write its tables, or lay them out again.

Usage: python scripts/timemar_tables.py collect|restore REPRODUCED

Cells become lines of docs/results/timemar.jsonl, from which the tables
of docs/results/timemar.md are written; restore is the other way.
"""

import sys
from pathlib import Path

import numpy as np
from kept_cells import KeptCells, markdown

from caesura.reproduce.timemar.ablation import SETS as ABLATED
from caesura.reproduce.timemar.legacy import LEGACY
from caesura.reproduce.timemar.short import SETS
from caesura.tasks.critics import CRITICS

KEPT = KeptCells("timemar")
MEASURES = ("marginal distance", "autocorrelation distance", "correlation error a pair",
            "deviation ratio", "context distance", "coverage", "ridge error")  # fmt: skip

_GOALS = next(iter(CRITICS))
"""The critic whose gap is a goal."""
_PLAIN = {"points": "lines", "the last quarter": "lines", "a channel": "a ridge"}
"""What fills each kind of gap plainly: lines between samples, a ridge from the other channels."""
SHOWN = ("discriminative score, timegan", "discriminative score, conv", "unexplained",
         "context distance", "correlation error a pair")  # fmt: skip


def values(cells, name, row, metric, experiment="timemar-24"):
    """Return a metric of a cell's row by seed."""
    found = [
        cell["rows"][row][metric]
        for (ran, own, _), cell in sorted(cells.items(), key=str)
        if ran == experiment and own == name and metric in cell["rows"].get(row, {})
    ]
    return np.array(found)


def shown(found):
    """Return the mean, with the range where there are several."""
    if not len(found):
        return ""
    if len(found) == 1:
        return f"{found[0]:.3f}"
    return f"{found.mean():.3f} ({found.min():.3f} to {found.max():.3f})"


def critic_rows(cells):
    """Return a row a set: each critic's score of synthetic and of real windows, and the gap."""
    rows = []
    for name in SETS:
        row = {"set": name}
        for critic in CRITICS:
            metric = f"discriminative score, {critic}"
            ours, real = (values(cells, name, r, metric) for r in (name, f"{name}, real"))
            row[f"{critic}: synthetic"], row[f"{critic}: real"] = shown(ours), shown(real)
            row[f"{critic}: gap"] = shown(ours - real)
        metric = f"discriminative score, {_GOALS}: standard error"
        own = np.hypot(*(values(cells, name, r, metric) for r in (name, f"{name}, real")))
        row["timegan: 95 % of a gap by critics' seeds"] = (
            f"+- {1.96 * own.mean():.3f}" if len(own) else ""
        )
        if row["timegan: gap"]:
            rows.append(row)
    return rows


def measure_rows(cells):
    """Return a row a set: synthetic / real of each measure."""
    rows = []
    for name in SETS:
        row = {"set": name}
        for metric in MEASURES:
            ours, real = (values(cells, name, r, metric) for r in (name, f"{name}, real"))
            row[metric] = f"{ours.mean():.3f} / {real.mean():.3f}" if len(ours) else ""
        copies, fair = (values(cells, name, r, "copying ratio") for r in (name, f"{name}, real"))
        row["copying, of real windows' own"] = shown(copies / fair)
        if row[MEASURES[0]]:
            rows.append(row)
    return rows


def model_rows(cells):
    """Return a row a set: size, time, speed, and what the codes leave out."""
    rows = []
    for name in SETS:
        found = {m: values(cells, name, name, m) for m in
                 ("parameters", "minutes", "windows a second", "unexplained")}  # fmt: skip
        without = values(cells, name, f"{name}, without noise", "discriminative score, timegan")
        if len(without):
            rows.append(
                {"set": name, "seeds": len(without),
                 "parameters": f"{found['parameters'].mean() / 1e6:.2f} M",
                 "minutes": f"{found['minutes'].mean():.0f}",
                 "windows a second": f"{found['windows a second'].mean():.0f}",
                 "variance that codes leave out": f"{found['unexplained'].mean():.3f}",
                 "timegan's score without noise": shown(without)}
            )  # fmt: skip
    return rows


def filling_rows(cells):
    """Return a row a set and kind of gap: error beside the plain way, and how many lie inside."""
    rows = []
    for name in SETS:
        for kind, plain in _PLAIN.items():
            row = f"{name}, {kind} filled"
            error, line, inside = (
                values(cells, name, row, m)
                for m in ("RMSE", f"RMSE of {plain}", "share within 90 %")
            )
            if len(error):
                row = {"set": name, "hidden": kind, "error": shown(error)}
                row |= {"plain": f"{shown(line)} ({plain})", "within 90 %": shown(inside)}
                rows.append(row)
    return rows


def legacy_rows(cells):
    """Return a row a set and length: ours, real against real, and what Diffusion-TS prints."""
    rows = []
    for cell in LEGACY.cells["medium"]:
        row = {"set": cell}
        for metric in ("discriminative score", "predictive score", "correlational score"):
            ours, real = (
                values(cells, cell, name, metric, LEGACY.name) for name in (cell, f"{cell}, real")
            )
            printed = LEGACY.published.get((cell, metric))
            row[metric] = f"{shown(ours)} / {shown(real)}" if len(ours) else ""
            row[f"Diffusion-TS's {metric.split()[0]}"] = f"{printed.value:.3f}" if printed else ""
        rate = values(cells, cell, cell, "windows a second", LEGACY.name)
        row |= {"windows a second": f"{rate.mean():.0f}" if len(rate) else "", "seeds": len(rate)}
        if len(rate):
            rows.append(row)
    return rows


def ablation_rows(cells):
    """Return a row a set and way: scores, and what the codes leave out."""
    rows = []
    for name, ways in ABLATED.items():
        for way in ways:
            cell, row = f"{name}, {way}", {"set": name, "way": way}
            for metric in SHOWN:
                row[metric] = shown(values(cells, cell, cell, metric, "timemar-ablation"))
            if row["unexplained"]:
                rows.append(row)
    return rows


def collect(folder):
    """Write lines and tables."""
    cells = KEPT.collect(folder)
    tables = {"critics": critic_rows(cells), "measures": measure_rows(cells),
              "models": model_rows(cells), "filling": filling_rows(cells),
              "legacy": legacy_rows(cells), "ablation": ablation_rows(cells)}  # fmt: skip
    KEPT.fill({name: markdown(rows) for name, rows in tables.items() if rows})


if __name__ == "__main__":
    {"collect": collect, "restore": KEPT.restore}[sys.argv[1]](Path(sys.argv[2]))
