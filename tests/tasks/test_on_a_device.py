"""Every verb on a device that is not the CPU: what a loop forgot to move raises (`stand_in`)."""

import copy
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import caesura
from builders import TINY_GENERATOR, label_table, long_table, tiny_run, waves_and_counts
from caesura.export.forms import form_of
from caesura.study.dividend.begin import Question, begin, data_config
from caesura.tasks.detect import detect
from caesura.tasks.embed import embed_layers, embed_windows
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.generate import generate, redraw
from caesura.tasks.generate_given import generate_given
from caesura.tasks.generate_long import generate_long
from caesura.tasks.impute import impute
from caesura.tasks.random_twin import random_twin
from caesura.training.inference import device_of
from stand_in import STAND_IN, Moved, stand_in

WAVES = np.sin(np.arange(200) / 3 + np.arange(4)[:, None])[:, None]
LABELS = label_table()
SERIES = waves_and_counts(4, 60)
HOLES = [np.where(np.arange(60) % 20 > 14, np.nan, one) for one in SERIES]
PYRAMID = ("encoder.widths=[4,8]", "data.rate=1", "data.window=32", "encoder.statistics=fixed")
PATCHES = (
    "encoder.width=16",
    "encoder.depth=1",
    "encoder.patch=8",
    "data.rate=1",
    "data.window=32",
    "stages.0.decoder.width=16",
)
STUDY = {
    "objectives": ("lejepa",),
    "views": ("none",),
    "encoders": ("16x1",),
    "seeds": 1,
    "folds": 2,
    "steps": 2,
    "tuning_steps": 2,
    "rates": (1e-3,),
    "tuning_rates": (1e-3,),
    "batch_tokens": 64,
}


@pytest.fixture(scope="module")
def runs():
    """A run of each system, trained on the device and left there."""
    with stand_in():
        tokens = tiny_run(steps=2, labels=LABELS)  # with an online probe
        return {
            "romae": tokens,
            "tuned": caesura.finetune(tokens, LABELS, data=long_table(), steps=2),
            "himae": caesura.pretrain(WAVES, "himae", steps=2, settings=PYRAMID),
            "mae": caesura.pretrain(WAVES, "mae", steps=2, settings=PATCHES),
            "timemar": caesura.pretrain(
                SERIES, "timemar", steps=4, settings=["data.window=20", *TINY_GENERATOR]
            ),
        }


def opened(run, data):
    return run, run.open(data)


def stream(run):
    reader = run.stream()
    return reader.push(torch.from_numpy(WAVES[0]).float()) + reader.finish()


def interpolated(run):
    return [run.interpolate(long_table(), "every:3")["upper"].to_numpy()]


def forecasts(run, data, **settings):
    found = forecast(*opened(run, data), ForecastSettings(2, **settings))
    return found.value, found.lower, found.upper


# of each verb the run that it is asked of, and the numbers that it answers
VERBS = {
    "embed": ("romae", lambda r: [r.embed(long_table())]),
    "embed a grid": ("himae", lambda r: [r.embed(WAVES)]),
    "embed patches": ("mae", lambda r: [r.embed(WAVES)]),
    "embed --windows": ("himae", lambda r: embed_windows(*opened(r, WAVES))),
    "layers": ("romae", lambda r: embed_layers(*opened(r, long_table()))),
    "predict": ("tuned", lambda r: [r.predict(long_table())["p_slow"].to_numpy()]),
    "interpolate": (
        "romae",
        interpolated,
    ),
    "forecast by a head": ("mae", lambda r: forecasts(r, WAVES)),
    "forecast by draws": ("timemar", lambda r: forecasts(r, SERIES, draws=4)),
    "detect": ("mae", lambda r: detect(*opened(r, WAVES), r.open(WAVES)).score),
    "stream": ("himae", stream),
    "impute": ("timemar", lambda r: impute(*opened(r, HOLES), 4).upper),
    "generate --given": ("timemar", lambda r: [generate_given(*opened(r, HOLES), 2).values]),
    "redraw": ("timemar", lambda r: [redraw(*opened(r, SERIES), 1)]),
    "generate": ("timemar", lambda r: [generate(r, 5)]),
    "generate --steps": ("timemar", lambda r: [generate_long(r, 2, 30)]),
}
MAKES_ITS_OWN = ("generate",)
"""Verbs without an input that could be moved."""


def test_a_training_leaves_its_parts_where_it_was(runs):
    for run in runs.values():
        assert {type(p) for part in run.parts.values() for p in part.parameters()} == {Moved}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_answers_on_a_device_as_on_the_cpu(runs, verb):
    name, ask = VERBS[verb]
    with stand_in():
        answered = ask(runs[name])
        on_cpu = copy.deepcopy(runs[name]).to("cpu")
    assert device_of(*on_cpu.parts.values()) == torch.device("cpu")
    for ours, theirs in zip(answered, ask(on_cpu), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in MAKES_ITS_OWN])
def test_a_verb_whose_batches_were_not_moved_is_found(runs, verb):
    name, ask = VERBS[verb]
    unmoved = lambda value, device: value  # noqa: E731
    with (
        stand_in(),
        mock.patch("caesura.training.inference.move", unmoved),
        mock.patch("caesura.tasks.impute.move", unmoved),
        pytest.raises(RuntimeError, match="was not moved|one of shape"),
    ):
        ask(runs[name])


def test_probes_tuning_and_students_train_on_the_device(runs):
    with stand_in():
        assert runs["romae"].probe(LABELS, long_table(), folds=2).metrics
        assert device_of(random_twin(runs["mae"], 0).parts["encoder"]) == STAND_IN
        student = caesura.distil(
            runs["mae"], "himae-small", data=WAVES, steps=2, settings=("encoder.widths=[4,8]",)
        )
        assert type(next(student.parts["encoder"].parameters())) is Moved
        assert student.embed(WAVES).shape[0] == 4


def test_a_run_is_saved_loaded_and_exported_from_the_device(runs, tmp_path):
    with stand_in():
        runs["himae"].save(tmp_path / "run")
        loaded = caesura.load(tmp_path / "run")
        assert device_of(*loaded.parts.values()) == STAND_IN
        np.testing.assert_array_equal(loaded.embed(WAVES), runs["himae"].embed(WAVES))
        here = caesura.load(tmp_path / "run", device="cpu")
        assert device_of(*here.parts.values()) == torch.device("cpu")
        assert device_of(form_of(loaded)) == torch.device("cpu")
        assert device_of(*loaded.parts.values()) == STAND_IN  # a copy was exported


@pytest.mark.parametrize("task", [{"horizon": 4, "season": 12}, {"truth": "odd"}])
def test_a_study_probes_and_tunes_on_the_device(task, tmp_path):
    path = table_of_waves(tmp_path)
    config = data_config(path, {"value": ["value"]}, 1.0, 24.0 if "truth" in task else 0.0)
    study = begin(Question(path, config, **task), tmp_path / "study", STUDY)
    study.open(resume=False)
    with stand_in():
        run, _ = study.pretrained(next(study.plan.cells_of("rate")), tmp_path / "work", 1.0)
        assert device_of(run.parts["encoder"]) == STAND_IN
        for part in (study.choice, study.report):
            assert np.isfinite(part.probed(run, 0)).all()
        assert np.isfinite(study.choice.tuned(run, 1e-3, 2, 0)).all()
        assert np.isfinite(study.choice.tuned(run, 1e-3, 2, 0, from_scratch=True)).all()


def table_of_waves(folder: Path) -> str:
    rng = np.random.default_rng(0)
    at = np.arange(400)
    rows = [np.sin(at / 2 + k) + 0.1 * rng.standard_normal(400) for k in range(3)]
    odd = np.zeros((3, 400), int)
    odd[:, 300:312] = 1
    table = {"id": np.repeat(["a", "b", "c"], 400), "time": np.tile(at, 3)}
    table |= {"value": np.concatenate(rows) + 2 * odd.ravel(), "odd": odd.ravel()}
    pq.write_table(pa.table(table), folder / "waves.parquet")
    return str(folder / "waves.parquet")


def test_estimators_train_and_answer_on_the_device_that_they_are_given():
    settings = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2")
    with stand_in():
        for device in ("cuda", "cpu"):
            made = caesura.SeriesClassifier(
                steps=2, tuning_steps=2, settings=settings, device=device
            )
            made.fit(WAVES, [0, 1, 0, 1])
            assert device_of(*made.run_.parts.values()).type == device
            assert made.predict_proba(WAVES).shape == (4, 2)
