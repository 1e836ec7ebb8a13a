"""The look of all figures: SVG text, for pages that must stand alone."""

from __future__ import annotations

import io
from typing import Any

_OF_TICKS = "$\\mathdefault{"
INK, ACCENT, SOFT = "#22303c", "#b5482f", "#5b8a9a"


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """Return a figure and its axes (1, columns), sizes in inches."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.rcParams.update(
        {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
         "svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "caesura"}
    )  # fmt: skip
    return pyplot.subplots(1, columns, figsize=(width, height), squeeze=False)


def as_svg(figure: Any) -> str:
    """Return a figure as an SVG element, and close it.

    Names of columns and classes are drawn as they are: a dollar sign begins no formula, but in
    the labels that matplotlib makes of the ticks of a logarithmic axis.
    """
    from matplotlib import pyplot
    from matplotlib.text import Text

    for label in figure.findobj(Text):
        if label.get_text() and not label.get_text().startswith(_OF_TICKS):
            label.set_parse_math(False)
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()[text.getvalue().index("<svg") :]
