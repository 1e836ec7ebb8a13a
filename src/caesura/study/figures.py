"""Figures of the reports, as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caesura.drawing import ACCENT, INK, SOFT, as_svg, new_figure


def loss_curves(histories: Sequence[Sequence[dict[str, float]]]) -> str:
    """Draw training and validation loss by step, a line a seed."""
    figure, axes = new_figure(6.0, 2.6)
    for number, rows in enumerate(histories):
        steps = [row["step"] for row in rows]
        first = number == 0
        losses = [row.get("train_loss", float("nan")) for row in rows]  # none before step 1
        axes[0, 0].plot(steps, losses, color=SOFT, lw=1,
                        label="training (one batch)" if first else None)  # fmt: skip
        axes[0, 0].plot(steps, [row["validation_loss"] for row in rows], color=ACCENT, marker="o",
                        ms=3, label="validation" if first else None)  # fmt: skip
    axes[0, 0].set(xlabel="step", ylabel="squared error, scaled units")
    axes[0, 0].legend(frameon=False)
    return as_svg(figure)


def interpolated_series(panels: Sequence[dict[str, Any]], time_label: str) -> str:
    """Draw one series: a panel a variable, with band, curve, observed and hidden points."""
    figure, axes = new_figure(3.1 * len(panels), 2.4, len(panels))
    for place, panel in enumerate(panels):
        axis = axes[0, place]
        axis.fill_between(panel["hours"], panel["lower"], panel["upper"], color=SOFT, alpha=0.25,
                          lw=0, label="90 % interval")  # fmt: skip
        axis.plot(panel["hours"], panel["value"], color=SOFT, lw=1.4, label="prediction")
        for key, marker, face in (("seen", "o", INK), ("hidden", "o", "white")):
            points = panel[key]
            label = "observed" if key == "seen" else "hidden from the model"
            edge = INK if key == "seen" else ACCENT
            axis.plot([p[0] for p in points], [p[1] for p in points], ls="", marker=marker,
                      ms=4, mfc=face, mec=edge, label=label)  # fmt: skip
        axis.set(title=panel["variable"], xlabel=time_label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncol=4, frameon=False, bbox_to_anchor=(0.5, -0.24)
    )
    return as_svg(figure)


def bars(values: dict[str, float], label: str) -> str:
    """Draw one bar a method, the first one accented."""
    figure, axes = new_figure(6.0, 0.32 * len(values) + 0.7)
    names = list(values)[::-1]
    colours = [ACCENT if name == next(iter(values)) else SOFT for name in names]
    axes[0, 0].barh(names, [values[name] for name in names], color=colours, height=0.65)
    for place, name in enumerate(names):
        axes[0, 0].text(values[name], place, f" {values[name]:.3f}", va="center")
    axes[0, 0].set(xlabel=label)
    return as_svg(figure)
