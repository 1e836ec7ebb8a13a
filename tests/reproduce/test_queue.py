"""The queue of cells and its tables, on an experiment that takes no time."""

import json

import pytest
from typer.testing import CliRunner

from caesura.cli.main import app
from caesura.errors import CheckpointError, DataError, RecipeError
from caesura.files import claim, locked
from caesura.reproduce import catalogue
from caesura.reproduce.experiment import (
    SCALES,
    Comparison,
    Experiment,
    Outcome,
    Published,
    Settings,
)
from caesura.reproduce.queue import Queue
from caesura.reproduce.table import comparison_rows, json_rows, markdown, table_rows


class ToySettings(Settings):
    slope: float = 1.0


def run(cell, context):
    if cell == "broken":
        raise RuntimeError("no")
    base = {"a": 1.0, "b": 3.0}[cell]
    return Outcome({cell: {"error": base + context.settings.slope * context.seed}})


def toy(**changes):
    whole = {
        "name": "toy", "title": "a toy", "run": run,
        "settings": dict.fromkeys(SCALES, ToySettings()),
        "seeds": {"quick": 2, "medium": 3, "full": 3},
        "cells": {"quick": ("a", "b"), "medium": ("a", "b"), "full": ("a", "broken", "b")},
        "cost": dict.fromkeys(SCALES, "nothing"),
        "published": {("a", "error"): Published(0.9, 0.1)},
        "comparisons": (Comparison("a", "b", "error"),),
    }  # fmt: skip
    return Experiment(**(whole | changes))


class Bar:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return lambda progress: None

    def __exit__(self, *error):
        return None


def test_cells_are_kept_and_resumed_with_more_seeds(tmp_path):
    queue = Queue(toy(), "quick", tmp_path)
    assert queue.run(Bar)
    assert [(r["cell"], r["seed"]) for r in queue.results()] == [
        ("a", 0), ("a", 1), ("b", 0), ("b", 1)
    ]  # fmt: skip
    with pytest.raises(RecipeError, match="--resume"):
        Queue(toy(), "quick", tmp_path)
    more = Queue(toy(), "quick", tmp_path, seeds=3, resume=True)
    assert more.pending() == [("a", 2), ("b", 2)]
    assert not any(path.is_dir() for path in (tmp_path / "toy/quick/work").glob("*/*"))


def test_a_cell_that_fails_leaves_the_others(tmp_path):
    queue = Queue(toy(), "full", tmp_path, seeds=1)
    with pytest.raises(RuntimeError):
        queue.run(Bar)
    again = Queue(toy(), "full", tmp_path, seeds=1, cells=("b",), resume=True)
    assert again.run(Bar)
    assert [r["cell"] for r in again.results()] == ["a", "b"]


def test_a_cell_that_another_process_runs_is_skipped(tmp_path):
    queue = Queue(toy(), "quick", tmp_path, seeds=1)
    claim(queue.folder)
    with locked(tmp_path / "toy/quick/work/a-0"):
        assert not queue.run(Bar)
    assert queue.pending() == [("a", 0)]
    assert queue.run(Bar)


def test_results_of_other_settings_and_unknown_cells_are_refused(tmp_path):
    Queue(toy(), "quick", tmp_path).run(Bar)
    changed = toy(settings=dict.fromkeys(SCALES, ToySettings(slope=2.0)))
    with pytest.raises(CheckpointError, match="other settings"):
        Queue(changed, "quick", tmp_path, resume=True)
    with pytest.raises(RecipeError, match="unknown cell 'c'"):
        Queue(toy(), "quick", tmp_path, cells=("c",), resume=True)


def test_data_that_lack_are_named_before_anything_is_written(tmp_path):
    reader = toy(data="stars.parquet", free=("quick",))
    Queue(reader, "quick", tmp_path)
    with pytest.raises(DataError, match=r"toy reads stars\.parquet; pass --data"):
        Queue(reader, "medium", tmp_path)
    assert not list(tmp_path.iterdir())


def test_tables_hold_the_paper_beside_ours_and_paired_differences(tmp_path):
    queue = Queue(toy(), "medium", tmp_path)
    queue.run(Bar)
    results = queue.results()
    first, second = table_rows(toy(), results)
    assert (first["paper"], first["ours"], first["seeds"]) == ("0.9 ± 0.1", "2 ± 1", 3)
    assert second["paper"] == ""
    (gap,) = comparison_rows(toy(), results)
    assert (gap["mean"], gap["verdict"]) == ("-2", "lower")
    rows = json_rows(toy(), results, "a command")
    wanted = {"experiment", "row", "metric", "value", "std", "seeds", "paper", "paper_std",
              "command", "hardware", "date"}  # fmt: skip
    assert set(rows[0]) == wanted
    assert (rows[0]["value"], rows[0]["std"], rows[0]["paper"]) == (2.0, 1.0, 0.9)
    assert markdown([first]).splitlines()[1] == "|---|---|---|---|---|"


def test_a_difference_whose_interval_holds_0_is_undecided():
    values = {"a": (1.0, 2.0, 3.0), "b": (2.0, 1.0, 3.5)}
    results = [
        {"cell": cell, "seed": seed, "rows": {cell: {"error": value}}, "curves": {}}
        for cell, listed in values.items()
        for seed, value in enumerate(listed)
    ]
    (gap,) = comparison_rows(toy(), results)
    assert gap["verdict"] == "undecided"
    (one,) = comparison_rows(toy(), [r for r in results if r["seed"] == 0])
    assert one["verdict"] == "one seed"


def test_the_command_writes_results_table_and_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "find", lambda name: toy())
    result = CliRunner().invoke(app, ["reproduce", "toy", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "toy" / "quick"
    rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert rows[0]["command"] == "caesura reproduce toy --scale quick"
    assert "| a | error | 0.9 ± 0.1 |" in (folder / "table.md").read_text()
    assert (folder / "figure.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("name", catalogue.names())
def test_each_experiment_is_complete(name):
    one = catalogue.find(name)
    assert one.name == name
    assert one.title
    assert one.goal
    for scale in SCALES:
        assert one.cells[scale]
        assert one.seeds[scale] >= 1
        assert one.cost[scale]
        assert isinstance(one.settings[scale], Settings)
    if name != "dividend-rates":  # it chooses, and reports nothing
        assert one.seeds["medium"] >= 3


def test_an_unknown_experiment_lists_the_known_ones():
    with pytest.raises(RecipeError, match="unknown experiment 'x'; known: list, romae-positions"):
        catalogue.find("x")
