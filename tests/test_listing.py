"""Runs side by side: how far each is, which is best, and in what their settings differ."""

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from builders import tiny_run
from caesura.cli.main import app
from caesura.errors import CheckpointError, RecipeError
from caesura.listing import differing, list_runs, overview, ranked


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    tiny_run(place / "slow", steps=2, settings=["training.lr=1e-6"])
    tiny_run(place / "deep" / "fast", steps=8, settings=["training.lr=0.003"])
    begun = tiny_run(place / "begun", steps=4)
    for name in ("metrics.json", "model.safetensors"):
        (begun.folder / name).unlink()
    return place


def test_runs_are_found_in_folders_of_folders_with_what_became_of_them(folder):
    found = {one.name: one for one in list_runs(folder)}
    assert set(found) == {"begun", "deep/fast", "slow"}
    assert found["slow"].state == "whole"
    assert found["begun"].state == "no checkpoint"
    assert found["slow"].objective == "masked_tokens"
    rows = overview(list(found.values()))
    assert {row["run"]: row["steps"] for row in rows} == {"begun": None, "slow": 2, "deep/fast": 8}


def test_only_what_differs_is_compared(folder):
    rows = {row["setting"]: row for row in differing(ranked(list_runs(folder), "steps"))}
    assert rows["training.lr"] == {"setting": "training.lr", "deep/fast": 0.003, "slow": 1e-6}
    assert rows["training.steps"]["slow"] == 2
    assert "encoder.width" not in rows
    assert "validation_loss" in rows


def test_less_is_better_of_losses_and_more_of_all_else(folder):
    runs = list_runs(folder)
    losses = [one.figures["validation_loss"] for one in ranked(runs, "validation_loss")]
    assert losses == sorted(losses)
    scored = [one._replace(figures={"validation AUROC": n}) for n, one in enumerate(runs)]
    assert ranked(scored, "validation AUROC")[0].figures["validation AUROC"] == 2


def test_losses_of_two_objectives_are_not_ranked(folder):
    one, two = ranked(list_runs(folder), "steps")
    other = two._replace(settings=two.settings | {"stages.0.objective.type": "lejepa"})
    with pytest.raises(RecipeError, match="lejepa, masked_tokens have no common scale"):
        ranked([one, other], "validation_loss")
    assert ranked([one, other], "steps")


def test_what_is_not_there_is_an_error_that_says_what_is(folder, tmp_path):
    with pytest.raises(CheckpointError, match="is not a run and holds none"):
        list_runs(tmp_path)
    with pytest.raises(RecipeError, match=r"no run has 'speed'; known: .*validation_loss"):
        ranked(list_runs(folder), "speed")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "recipe.toml").write_text("soup = 'leek'")
    assert list_runs(tmp_path)[0].objective == ""
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "recipe.toml").write_text("name = [")
    with pytest.raises(CheckpointError, match="is not a recipe"):
        list_runs(tmp_path)


def test_the_verb_prints_ranks_and_writes(folder, tmp_path):
    def call(*words):
        return CliRunner().invoke(app, ["runs", str(folder), *map(str, words)])

    assert "begun" in call("-o", tmp_path / "all.parquet").output
    assert pq.read_table(tmp_path / "all.parquet")["steps"].null_count == 1
    ranked_ = call("--best", "steps", "-o", tmp_path / "r.parquet")
    assert "best by steps: deep/fast (8)" in ranked_.output
    assert pq.read_table(tmp_path / "r.parquet")["run"].to_pylist() == ["deep/fast", "slow"]
    compared = call("--compare", "--only", "slow,deep/fast", "-o", tmp_path / "c.csv")
    assert "training.lr" in compared.output
    assert (tmp_path / "c.csv").is_file()
    assert "no run 'fats'" in str(call("--only", "fats").exception)
