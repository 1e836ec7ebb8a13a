"""The figure of an experiment: curves where its cells have them, else a dot for each seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caesura.drawing import ACCENT, INK, SOFT, as_svg, new_figure
from caesura.reproduce.experiment import Experiment
from caesura.reproduce.table import summarise

_COLOURS = (ACCENT, SOFT, INK, "#c9a227", "#7a5c8e", "#6b8e4e")


def draw(experiment: Experiment, results: Sequence[Mapping[str, Any]]) -> str:
    """Return the figure as SVG: a panel a cell of curves, or one of the first metric."""
    if any(one["curves"] for one in results):
        return _lines(results)
    return _dots(experiment, results)


def _lines(results: Sequence[Mapping[str, Any]]) -> str:
    """Draw means over seeds by place, with the spread of the seeds."""
    cells = list(dict.fromkeys(one["cell"] for one in results))
    figure, axes = new_figure(3.6 * len(cells), 2.8, len(cells))
    for axis, cell in zip(axes[0], cells, strict=True):
        own = [one["curves"] for one in results if one["cell"] == cell]
        for colour, name in zip(_COLOURS, own[0], strict=False):
            values = np.array([curves[name] for curves in own])
            place = np.arange(1, values.shape[1] + 1)
            axis.fill_between(place, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
            axis.plot(place, values.mean(0), color=colour, lw=1.4, label=name)
        axis.set_title(cell, loc="left", fontsize=9)
        axis.set_xlabel(next(iter(own[0])).rpartition(" by ")[2])
        low, high = axis.get_ylim()
        if low <= 0 or high > 4 * low:  # figures of one order of size need no logarithm
            axis.set_yscale("log")
            _plain_ticks(axis.yaxis)
        axis.legend(frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return as_svg(figure)


def _dots(experiment: Experiment, results: Sequence[Mapping[str, Any]]) -> str:
    """Draw each seed as a dot, the mean as a line, the paper's figure as a diamond."""
    found = summarise(results)
    metric = next(iter(found))[1]
    rows = {row: values for (row, name), values in found.items() if name == metric}
    figure, axes = new_figure(6.4, 0.3 * len(rows) + 0.8)
    axis = axes[0, 0]
    for place, (row, by_seed) in enumerate(reversed(rows.items())):
        values = list(by_seed.values())
        axis.plot(values, [place] * len(values), ls="", marker="o", ms=4, color=SOFT)
        axis.plot([np.mean(values)] * 2, [place - 0.3, place + 0.3], color=ACCENT, lw=2)
        paper = experiment.published.get((row, metric))
        if paper is not None:
            axis.plot([paper.value], [place], marker="D", ms=5, mfc="white", mec=INK)
    axis.set_yticks(range(len(rows)), list(reversed(rows)))
    shown = [v for values in rows.values() for v in values.values() if v > 0]
    if shown and max(shown) > 30 * min(shown):
        axis.set_xscale("log")
        _plain_ticks(axis.xaxis)
    axis.set_xlabel(f"{metric}   (dot: a seed, line: mean, diamond: the paper)")
    return as_svg(figure)


def _plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis at 1, 2 and 5, in plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
