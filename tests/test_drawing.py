"""Figures draw names as they are."""

import re

import pytest

from caesura.drawing import as_svg, new_figure

NAMES = ["price ($) per cost ($)", "$\\frac{a$ cost", "a_$_b_$_c", "$x$"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["title", "ticks", "legend", "note"])
def test_dollar_signs_begin_no_formula(name, place):
    figure, axes = new_figure(3, 2)
    axis = axes[0, 0]
    axis.plot([0, 1], [1, 2], label=name if place == "legend" else "line")
    if place == "title":
        axis.set(title=name)
    elif place == "ticks":
        axis.set_yticks([1, 2], [name, "other"])
    elif place == "legend":
        axis.legend()
    else:
        axis.annotate(name, (0, 1))
    assert name in as_svg(figure)


def test_ticks_of_a_logarithmic_axis_are_still_powers():
    figure, axes = new_figure(3, 2)
    axes[0, 0].plot([1, 1000], [1, 1000])
    axes[0, 0].set(xscale="log", yscale="log", title="cost ($)")
    text = as_svg(figure)
    assert "mathdefault" not in re.sub("<!--.*?-->", "", text)
    assert "cost ($)" in text
