"""One name of an objective, and commands that a shell reads as they are meant."""

import shlex

import pytest

from caesura.data.config import Columns, DataConfig
from caesura.errors import RecipeError
from caesura.recipes.dividend import OBJECTIVES, name_of, objective_of
from caesura.recipes.presets import find_recipe
from caesura.study.dividend.plan import DividendPlan


def test_a_study_takes_the_names_that_pretrain_takes():
    names = ("mae", "next-patch", "masked_tokens", "lejepa", "vicreg")
    plan = DividendPlan(data=DataConfig(), objectives=names, views=("time-mask", "none"))
    assert plan.objectives == ("masked_tokens", "next_patch", "lejepa", "vicreg")
    assert plan.views == ("time_mask", "none")


@pytest.mark.parametrize("objective", [*OBJECTIVES, "vicreg"])
def test_pretrain_takes_the_names_that_a_study_takes(objective):
    assert objective_of(name_of(objective)) == objective_of(objective) == objective
    tree = find_recipe(objective)
    assert tree == find_recipe(name_of(objective))
    assert tree["stages"][0]["objective"]["type"] == objective


def test_an_unknown_name_is_told_with_the_known_ones():
    with pytest.raises(RecipeError, match="unknown objective 'byol'; known: mae, next-patch"):
        objective_of("byol")


def test_columns_are_options_that_a_shell_reads_back():
    columns = Columns(id="my star", value=("flux", "g$r"), missing=(-999.9, -1), time="t'")
    words = shlex.split(columns.as_options())
    assert dict(zip(words[::2], words[1::2], strict=True)) == {
        "--id": "my star",
        "--value": "flux,g$r",
        "--missing": "-999.9,-1",
        "--time": "t'",
    }
    assert Columns().as_options() == ""
