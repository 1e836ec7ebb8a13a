"""Figures of a training in TensorBoard, MLflow and W&B (offline), and what a service may do."""

import json

import pytest
from test_loop import stop_after

from builders import long_table, tiny_run
from caesura.errors import RecipeError, StoppedError
from caesura.training import track
from caesura.workflow import pretrain


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def asked(service):
    return {"steps": 4, "settings": (f'training.track=["{service}"]', "training.evaluate_every=2")}


def test_tensorboard_shows_what_metrics_hold(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tiny_run(tmp_path / "run", **asked("tensorboard"))
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    found.Reload()
    shown = [(one.step, one.value) for one in found.Scalars("validation_loss")]
    wanted = [(row["step"], row["validation_loss"]) for row in rows(tmp_path / "run")]
    assert [step for step, _ in shown] == [2, 4]
    assert [value for _, value in shown] == pytest.approx([value for _, value in wanted])


def test_mlflow_keeps_one_run_over_a_resume(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'server'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with pytest.raises(StoppedError):
        tiny_run(tmp_path / "run", on_progress=stop_after(3), **asked("mlflow"))
    others = ["training.threads=1", "training.lr=9"]  # what changes no result is taken
    pretrain(long_table(), out=tmp_path / "run", resume=True, settings=others)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("caesura")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params["steps"] == "4"
    history = client.get_metric_history(run.info.run_id, "validation_loss")
    assert {one.step for one in history} == {2, 4}
    assert history[-1].value == pytest.approx(rows(tmp_path / "run")[-1]["validation_loss"])


def test_wandb_writes_a_run_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tiny_run(tmp_path / "run", **asked("wandb"))
    name = (tmp_path / "run" / "tracking-wandb").read_text().strip()
    (kept,) = (tmp_path / "run" / "wandb").glob(f"offline-run-*-{name}/*.wandb")
    assert b"validation_loss" in kept.read_bytes()


def test_a_service_that_fails_is_left_and_the_training_goes_on(tmp_path, monkeypatch, caplog):
    calls = []

    class Away:
        def __init__(self, folder, about):
            calls.append("begin")

        def log(self, step, figures):
            calls.append("log")
            raise ConnectionError("no route to host")

        def close(self):
            calls.append("close")

    monkeypatch.setitem(track._MAKE, "mlflow", Away)
    run = tiny_run(tmp_path / "run", **asked("mlflow"))
    assert run.metrics["steps"] == 4
    assert "mlflow fails and is left (no route to host)" in caplog.text
    assert len(rows(tmp_path / "run")) == 2
    assert calls == ["begin", "log"]  # it is left at once


def test_what_cannot_be_tracked_is_said_before_the_training(tmp_path, monkeypatch):
    def absent(folder, about):
        raise ModuleNotFoundError("No module named 'wandb'")

    monkeypatch.setitem(track._MAKE, "wandb", absent)
    with pytest.raises(RecipeError, match=r'pip install "caesura\[track\]"'):
        tiny_run(tmp_path / "run", **asked("wandb"))
    with pytest.raises(RecipeError, match="pass --out"):
        tiny_run(None, **asked("wandb"))
    with pytest.raises(RecipeError, match="comet"):
        tiny_run(None, settings=('training.track=["comet"]',))
