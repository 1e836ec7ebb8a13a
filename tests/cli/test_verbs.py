"""The command line, as a user types it."""

import json
import signal
import subprocess
import sys
import time

import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from builders import TINY, label_table, long_table
from caesura.cli.main import app
from caesura.errors import CheckpointError, DataError, RecipeError

VERBS = ["demo", "pretrain", "finetune", "embed", "predict", "interpolate", "probe", "doctor",
         "runs", "recipe list", "recipe show", "data validate", "reproduce"]  # fmt: skip


def call(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with data and labels, and a run pre-trained by the command line."""
    folder = tmp_path_factory.mktemp("user")
    pq.write_table(long_table(), folder / "data.parquet")
    csv.write_csv(label_table(), folder / "labels.csv")
    settings = [part for setting in TINY for part in ("--set", setting)]
    output = call("pretrain", "romae", "--data", folder / "data.parquet", "--channel", "channel",
                  "--error", "error", "--steps", 30, "--out", folder / "run",
                  *settings)  # fmt: skip
    assert "Coverage of 90 % intervals" in output
    assert "next: caesura probe" in output
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb):
    output = CliRunner().invoke(app, [*verb.split(), "--help"]).output
    assert "Example:" in output
    assert f"caesura {verb}" in " ".join(output.replace("│", " ").split())


def test_a_run_folder_holds_what_is_promised(place):
    names = {path.name for path in (place / "run").iterdir()}
    assert names == {
        ".caesura",
        "model.safetensors",
        "recipe.toml",
        "schema.json",
        "metrics.jsonl",
        "metrics.json",
        "calibration.json",
        "README.md",
    }


def test_embed_with_neighbours(place):
    out = place / "z.parquet"
    assert "30 series, 32 features" in call("embed", place / "run", "-o", out, "--neighbours", 2)
    table = pq.read_table(out)
    assert table.column_names[:3] == ["id", "f0", "f1"]
    assert table.column_names[-4:] == ["neighbour_1", "distance_1", "neighbour_2", "distance_2"]
    assert all(a != b for a, b in zip(table["id"].to_pylist(), table["neighbour_1"].to_pylist(),
                                      strict=True))  # fmt: skip


def test_finetune_predict_and_runs(place):
    labels = ("--labels", place / "labels.csv")
    output = call("finetune", place / "run", *labels, "--steps", 5, "--out", place / "tuned")
    assert "On the same 6 held-out series" in output
    for method in (
        "this fine-tuning",
        "linear on the frozen embedding",
        "linear on levels+max",
        "linear on statistics",
        "linear on statistics + embedding",
    ):
        assert method in output
    figures = json.loads((place / "tuned" / "metrics.json").read_text())
    assert {"validation AUROC", "linear on statistics, AUROC"} <= set(figures)
    linear = call("finetune", place / "run", *labels, "--head", "linear", "--out", place / "lin")
    assert "next: caesura predict" in linear
    call("predict", place / "tuned", "-o", place / "p.csv")
    assert csv.read_csv(place / "p.csv").column_names == ["id", "prediction", "p_fast", "p_slow"]
    listed = call("runs", place)
    assert "tuned" in listed
    assert "whole" in listed
    assert "validation_loss" in call("runs", place / "run")


def test_probe_prints_a_verdict_in_words(place):
    output = call("probe", place / "run", "--labels", place / "labels.csv", "--folds", 3, "-o",
                  place / "probe.json")  # fmt: skip
    assert "random twin" in output
    assert "embedding - channel statistics (AUROC):" in output
    assert (place / "probe.json").exists()


def test_interpolate_at_and_query(place):
    call("interpolate", place / "run", "--at", "every:3", "-o", place / "i.parquet")
    table = pq.read_table(place / "i.parquet")
    pq.write_table(table.select(["id", "time", "channel"]).slice(5, 9), place / "q.parquet")
    call("interpolate", place / "run", "--query", place / "q.parquet", "-o", place / "j.parquet")
    asked = pq.read_table(place / "j.parquet")
    assert asked.select(["id", "time", "channel"]).equals(
        table.select(["id", "time", "channel"]).slice(5, 9)
    )
    with pytest.raises(RecipeError, match="either --query FILE or --at"):
        call("interpolate", place / "run", "-o", place / "x.parquet")


def test_recipes_and_data_are_shown(place):
    assert "romae-tiny" in call("recipe", "list")
    assert "mask_ratio = 0.3" in call(
        "recipe", "show", "romae", "--set", "stages.0.objective.mask_ratio=0.3"
    )
    shown = call("data", "validate", "--data", place / "data.parquet", "--channel", "channel")
    assert "nothing was dropped or mended" in shown
    assert "torchvision" in CliRunner().invoke(app, ["doctor"]).output


def test_finished_work_is_never_overwritten(place):
    with pytest.raises(RecipeError, match="is not empty; choose another --out"):
        call("pretrain", "romae", "--data", place / "data.parquet", "--channel", "channel", "--out",
             place / "run")  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--set", "training.learning_rate=1"], RecipeError,
         r"unknown key recipe.training.learning_rate; known there: batch_tokens, batches"),
        (["--set", "stages.0.objective.ratio=1"], RecipeError, "unknown key objective.ratio"),
        (["--set", "stages.3.objective.mask_ratio=1"], RecipeError, "'3' is not one of 0..0"),
        (["--set", "stages.0.objective.mask_ratio=2"], RecipeError, "less than 1"),
        (["--set", "encoder.type=gru"], RecipeError, "unknown encoder 'gru'; known: conv_py"),
        (["--set", "encoder.heads=5"], RecipeError, "width 96 does not split into 5 heads"),
        (["--time", "mjd"], DataError, "column 'mjd' not in table"),
        (["--steps", "3", "--epochs", "2"], RecipeError, "steps and epochs are both set"),
    ],
)  # fmt: skip
def test_wrong_settings_leave_no_folder(place, arguments, kind, message, tmp_path):
    with pytest.raises(kind, match=message):
        call("pretrain", "romae", "--data", place / "data.parquet", "--channel", "channel", "--out",
             tmp_path / "new", *arguments)  # fmt: skip
    assert not (tmp_path / "new").exists()


def test_a_missing_part_names_the_stage_that_makes_it(place, tmp_path):
    with pytest.raises(CheckpointError, match="no head .*made by `caesura finetune`"):
        call("predict", place / "run", "-o", tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"cannot write p.xlsx; name a .parquet, .csv or .arrow"):
        call("predict", place / "run", "-o", tmp_path / "p.xlsx")
    with pytest.raises(CheckpointError, match="no run folder at"):
        call("predict", tmp_path / "none", "-o", tmp_path / "p.parquet")


def test_errors_are_one_line_and_an_exit_code(tmp_path):
    command = [sys.executable, "-m", "caesura.cli.main", "embed", str(tmp_path), "-o", "z.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error")
    assert "Traceback" not in done.stderr


def test_ctrl_c_saves_and_exits_130(place, tmp_path):
    settings = [part for setting in TINY for part in ("--set", setting)]
    command = [sys.executable, "-m", "caesura.cli.main", "pretrain", "romae", "--data",
               str(place / "data.parquet"), "--channel", "channel", "--steps", "100000",
               "--set", "training.evaluate_every=10", "--out", str(tmp_path / "run")]  # fmt: skip
    running = subprocess.Popen([*command, *settings], stderr=subprocess.PIPE, text=True)
    for _ in range(2400):
        if (tmp_path / "run" / "checkpoint.safetensors").exists():
            break
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, printed = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "continue with --resume" in printed
    assert "Traceback" not in printed
