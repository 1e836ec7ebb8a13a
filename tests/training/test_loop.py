"""Training resumes bit-equal, stops when told or when it diverges, and keeps the best."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

import caesura
from builders import TINY, long_table, tiny_run
from caesura.errors import CheckpointError, DivergedError, RecipeError, StoppedError
from caesura.files import claim, write_text
from caesura.training.checkpoint import load_tensors, save_tensors
from caesura.training.config import TrainingConfig
from caesura.training.loop import Trainer
from caesura.training.optim import learning_rate_factor, parameter_groups

REGULARISED = ("encoder.dropout=0.1", "encoder.stochastic_depth=0.2")


def weights(folder):
    return load_file(folder / "model.safetensors")


def stop_after(step):
    """Ask the process to stop once a step is done, as Ctrl-C does."""

    def watch(progress):
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return watch


def test_an_interrupted_training_resumes_bit_equal(tmp_path):
    options = {"steps": 16, "settings": REGULARISED}
    tiny_run(tmp_path / "whole", **options)
    with pytest.raises(StoppedError, match="stopped at step 7"):
        tiny_run(tmp_path / "cut", on_progress=stop_after(7), **options)
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    with pytest.raises(CheckpointError, match="continue it with --resume"):
        caesura.load(tmp_path / "cut")
    caesura.pretrain(long_table(), out=tmp_path / "cut", resume=True)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow
@pytest.mark.parametrize("there", [[], ["schema.json"]])
def test_a_resume_begins_where_nothing_was_begun(tmp_path, there):
    """So does one of a run that was killed before its recipe was written."""
    whole = tiny_run(tmp_path / "whole", steps=4)
    (tmp_path / "new").mkdir()
    if there:
        claim(tmp_path / "new")
    for name in there:
        (tmp_path / "new" / name).write_text("{}")
    again = tiny_run(tmp_path / "new", steps=4, resume=True)
    ours, theirs = (run.parts["encoder"].state_dict() for run in (whole, again))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert tiny_run(tmp_path / "new", steps=4, resume=True).metrics == again.metrics


def test_a_resume_in_a_folder_of_other_things_is_refused(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "letters.txt"):
        with pytest.raises(CheckpointError, match="nothing to resume in .*choose another --out"):
            tiny_run(folder, steps=4, resume=True)
    assert (tmp_path / "letters.txt").read_text() == "mine"


def test_a_resume_says_which_settings_it_does_not_take(tmp_path, caplog):
    whole = tiny_run(tmp_path / "run", steps=4, seed=3)
    caplog.clear()
    with caplog.at_level("WARNING", logger="caesura"):
        tiny_run(tmp_path / "run", steps=4, seed=3, resume=True)  # the same command
        assert not caplog.text
        asked = {"steps": 6, "seed": 5, "settings": ["training.lr=0.5"]}
        again = tiny_run(tmp_path / "run", **asked, resume=True)
    assert again.metrics == whole.metrics
    said = [record.getMessage().partition(" is not taken")[0] for record in caplog.records]
    assert said == ["training.steps=6", "seed=5", "training.lr=0.5"]
    with pytest.raises(RecipeError, match=r"training\.bogus"):
        tiny_run(tmp_path / "run", settings=["training.bogus=1"], resume=True)


def test_a_killed_training_resumes_bit_equal(tmp_path):
    """SIGKILL gives no warning: the state is that of the last evaluation."""
    pq.write_table(long_table(), tmp_path / "data.parquet")
    arguments = ["pretrain", "romae", "--data", str(tmp_path / "data.parquet"), "--channel",
                 "channel", "--steps", "200", "--set", "training.evaluate_every=5"]  # fmt: skip
    for setting in (*TINY, *REGULARISED):
        arguments += ["--set", setting]
    command = [sys.executable, "-m", "caesura.cli.main", "--quiet", "--threads", "1", *arguments]
    killed = subprocess.Popen([*command, "--out", str(tmp_path / "killed")])
    for _ in range(2400):
        if (tmp_path / "killed" / "checkpoint.safetensors").exists():
            break
        time.sleep(0.05)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    subprocess.run([*command, "--out", str(tmp_path / "killed"), "--resume"], check=True)
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_same_seed_same_weights_and_another_seed_others(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_run(tmp_path / name, steps=4, seed=seed)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_torchs_generator_is_left_as_it_was():
    before = torch.get_rng_state()
    tiny_run(steps=2)
    assert torch.equal(before, torch.get_rng_state())


def test_a_diverged_training_stops_and_says_what_to_try(tmp_path):
    with pytest.raises(DivergedError, match=r"try a lower training\.lr"):
        tiny_run(tmp_path / "run", steps=50, settings=("training.lr=1e30", "training.clip=1e30"))
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_resume_with_other_settings_is_refused(tmp_path):
    with pytest.raises(StoppedError):
        tiny_run(tmp_path / "run", steps=16, on_progress=stop_after(5))
    recipe = tmp_path / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("lr = 0.002", "lr = 0.003"))
    with pytest.raises(CheckpointError, match="was begun with other settings"):
        caesura.pretrain(long_table(), out=tmp_path / "run", resume=True)


def test_early_stop_keeps_the_best_weights(tmp_path):
    run = tiny_run(
        tmp_path / "run",
        steps=300,
        settings=("training.lr=0.05", "training.evaluate_every=5", "training.patience=2"),
    )
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    losses = [json.loads(row)["validation_loss"] for row in rows]
    assert min(losses) == run.metrics["validation_loss"]
    assert run.metrics["steps"] < 300


def test_minutes_bound_a_training():
    run = tiny_run(steps=0, minutes=0.03)
    assert 0 < run.metrics["seconds"] < 20


def test_two_lengths_and_none_are_refused():
    with pytest.raises(RecipeError, match="steps and epochs are both set"):
        tiny_run(steps=3, epochs=2)
    with pytest.raises(RecipeError, match="no length of training"):
        Trainer(None, None, TrainingConfig(), 0)


def test_the_rate_rises_then_falls_to_zero():
    rates = [learning_rate_factor(x, 0.1) for x in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([1e-5, 0.5, 1.0, 0.5, 0.0], abs=1e-6)


def test_decay_spares_norms_biases_and_single_vectors():
    run = tiny_run(steps=1)
    encoder = run.parts["encoder"]
    decayed, spared = parameter_groups(encoder, 0.1)
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert any(p is encoder.cls for p in spared["params"])
    assert any(p is encoder.channel_embedding.weight for p in spared["params"])


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["cut", "flip", "pickle"])
def test_damaged_weights_are_an_error(tmp_path, damage):
    path = Path(tmp_path) / "w.safetensors"
    save_tensors(path, {"x": torch.arange(100.0)}, {"a": 1})
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[:-7])
    elif damage == "flip":
        path.write_bytes(b"\xff" + whole[1:])
    else:
        torch.save({"x": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not a whole safetensors file|is a pickle"):
        load_tensors(path)


def test_parts_of_a_batch_give_the_gradient_of_the_whole(tmp_path, monkeypatch):
    """In fp32: the counts weigh the parts, up to the order of sums."""
    options = {"steps": 3, "settings": ["training.precision=fp32"]}
    whole = tiny_run(tmp_path / "whole", **options)
    monkeypatch.setattr("caesura.training.loop.affordable_tokens", lambda module: 70)
    parts = tiny_run(tmp_path / "parts", **options)
    for one, two in zip(whole.parts["encoder"].parameters(), parts.parts["encoder"].parameters(),
                        strict=True):  # fmt: skip
        torch.testing.assert_close(one, two, atol=2e-4, rtol=1e-2)


def test_out_of_memory_halves_the_parts_and_goes_on(tmp_path, monkeypatch, caplog):
    from caesura.objectives.masked_tokens import MaskedTokens

    honest = MaskedTokens.forward

    def limited(self, batch, rng):
        if self.training and batch.inputs.valid.numel() > 200:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")
        return honest(self, batch, rng)

    monkeypatch.setattr(MaskedTokens, "forward", limited)
    run = tiny_run(tmp_path / "run", steps=3)
    assert run.metrics["steps"] == 3
    assert "in parts of 128 tokens" in caplog.text


def test_what_never_fits_is_raised(tmp_path, monkeypatch):
    from caesura.objectives.masked_tokens import MaskedTokens

    def full(self, batch, rng):
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(MaskedTokens, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        tiny_run(tmp_path / "run", steps=3)
