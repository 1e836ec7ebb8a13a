"""The figure of the resolution probe: scores by what a place of a level sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from caesura.drawing import ACCENT, INK, SOFT, as_svg, new_figure
from caesura.tasks.probe_sources import WHOLE

Rows = list[dict[str, Any]]
_TWIN = "random twin"


def probe_figure(tables: Mapping[str, Rows]) -> str:
    """Draw one label as a curve over the levels, several as a heat map of label by level."""
    if len(tables) == 1:
        (name, rows), *_ = tables.items()
        return _curve(name, rows)
    return _heat_map(tables)


def _levels(rows: Rows) -> Rows:
    names = ("level ", "layer ", "span ", WHOLE)
    return [row for row in rows if row["features"].startswith(names)]


def _score(row: dict[str, Any]) -> str:
    known = ("features", "hop", "hop s", "sees", "sees s", _TWIN)
    return next(key for key in row if key not in known)


def _ticks(rows: Rows) -> list[str]:
    return [
        row["features"]
        if np.isnan(row.get("sees s", np.nan)) or row["features"].startswith("span ")
        else f"{row['features']}\n{row['sees s']:.3g} s"
        for row in rows
    ]


def _curve(name: str, rows: Rows) -> str:
    levels, score = _levels(rows), _score(rows[0])
    figure, axes = new_figure(1.1 * len(levels) + 1.6, 2.9)
    axis, place = axes[0, 0], np.arange(len(levels))
    for key, colour, label in ((_TWIN, SOFT, "never trained"), (score, ACCENT, "pre-trained")):
        found = [row[key] for row in levels]
        axis.fill_between(place, [i.lower for i in found], [i.upper for i in found],
                          color=colour, alpha=0.18, lw=0)  # fmt: skip
        axis.plot(place, [i.value for i in found], color=colour, marker="o", ms=4, label=label)
    for row, style in ((_row(rows, "all levels"), "--"), (_row(rows, "channel statistics"), ":")):
        if row is not None:
            axis.axhline(row[score].value, color=INK, ls=style, lw=1, label=row["features"])
    axis.set_xticks(place, _ticks(levels))
    axis.set(ylabel=score, title=name)
    axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return as_svg(figure)


def _row(rows: Rows, name: str) -> dict[str, Any] | None:
    return next((row for row in rows if row["features"] == name), None)


def _heat_map(tables: Mapping[str, Rows]) -> str:
    names = list(tables)
    levels = _levels(tables[names[0]])
    table = np.array([[r[_score(r)].value for r in _levels(tables[name])] for name in names])
    figure, axes = new_figure(0.95 * len(levels) + 2.0, 0.45 * len(names) + 1.1)
    axis = axes[0, 0]
    low, high = table.min(1, keepdims=True), table.max(1, keepdims=True)
    shade = (table - low) / np.maximum(high - low, 1e-9)  # by row: scores differ by task
    axis.imshow(0.85 * shade, cmap="YlGnBu", aspect="auto", vmin=0, vmax=1)
    for (y, x), value in np.ndenumerate(table):
        best = table[y].argmax() == x
        axis.text(x, y, f"{value:.3f}", ha="center", va="center",
                  weight="bold" if best else "normal",
                  color="white" if shade[y, x] > 0.6 else INK)  # fmt: skip
    axis.set_xticks(range(len(levels)), _ticks(levels))
    scores = [_score(tables[name][0]) for name in names]
    axis.set_yticks(range(len(names)), [f"{n} ({s})" for n, s in zip(names, scores, strict=True)])
    for side in axis.spines.values():
        side.set_visible(False)
    return as_svg(figure)
