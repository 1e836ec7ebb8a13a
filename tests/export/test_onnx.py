"""Exported graphs do as their runs do, cost what the sheet says, and are refused otherwise."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch

import caesura
from builders import label_table, long_table, tiny_run
from caesura.data.synthetic.pulses import PulseSettings, pulses
from caesura.errors import CheckpointError, DataError, ExportError, RecipeError
from caesura.export import onnx as export
from caesura.export.certificate import count_macs, session
from caesura.export.forms import Answer, PyramidForm, folded, form_of
from caesura.export.onnx import export_onnx
from caesura.recipes import himae
from caesura.tasks.probe_head import fit_head, read_head, save_head
from caesura.tasks.probe_sources import probe_sources
from caesura.types import Grid

pytest.importorskip("onnxruntime")


def signals(count=80):
    return pulses(count, 0, PulseSettings(seconds=2.0, interval=0.6), subjects=6)


@pytest.fixture(scope="module")
def data():
    return signals().signals[:, None].astype(np.float64)


@pytest.fixture(scope="module")
def run(data):
    return caesura.pretrain(
        data, "himae", steps=8,
        settings=("data.rate=100", "encoder.widths=[8,16,16]", "training.batch_tokens=4000"),
    )  # fmt: skip


def answers(path, samples):
    opened = session(path)
    return opened.run(None, {opened.get_inputs()[0].name: samples})[0]


def test_the_graph_takes_raw_samples_and_gives_what_embed_gives(run, data, tmp_path):
    path = tmp_path / "graph.onnx"
    found = export_onnx(run, run.open(data), path)
    ours = answers(path, data.astype(np.float32))  # any batch
    np.testing.assert_allclose(ours, run.embed(data), atol=1e-4)
    assert found.parity["value"] <= 1e-5
    assert found.outputs == ["level 1: 8 features", "level 2: 16 features", "level 3: 16 features"]
    kept = json.loads((tmp_path / "graph.json").read_text())
    assert kept["inputs"]["samples"] == ["batch", 1, 200]
    assert kept["bytes"] == path.stat().st_size
    assert set(kept["latency_ms"]) == {"p10", "p50", "p90", "p99"}
    assert b"site-packages" not in path.read_bytes()  # no path of the machine that made it


@pytest.mark.slow
def test_one_level_alone_costs_less(run, data, tmp_path):
    every = export_onnx(run, run.open(data), tmp_path / "a.onnx")
    one = export_onnx(run, run.open(data), tmp_path / "b.onnx", level="2")
    assert one.macs < every.macs
    assert one.parameters < every.parameters
    np.testing.assert_allclose(
        answers(tmp_path / "b.onnx", data[:4].astype(np.float32)), run.embed(data)[:4, 8:24],
        atol=1e-4,
    )  # fmt: skip
    with pytest.raises(RecipeError, match="--level '4'; choose all, or one of 1 to 3"):
        form_of(run, "4")


def test_missing_samples_are_nan_where_the_graph_takes_them(run, data, tmp_path):
    holed = data.copy()
    holed[:, 0, 30:80] = np.nan
    export_onnx(run, run.open(holed), tmp_path / "m.onnx", missing=True)
    ours = answers(tmp_path / "m.onnx", holed.astype(np.float32))
    np.testing.assert_allclose(ours, run.embed(holed), atol=1e-4)


def test_a_probe_kept_answers_with_probabilities_inside_the_graph(run, data, tmp_path):
    store = run.open(data)
    table = pa.table({"id": np.arange(80), "kind": signals().labels["notch"]})
    labels = run.read_labels(table, store)
    sources = probe_sources(run, store)
    head = fit_head(sources, labels, store.group_codes, "level 2")
    save_head(head, tmp_path / "head.json")
    again = read_head(tmp_path / "head.json")
    found = export_onnx(run, store, tmp_path / "p.onnx", head=again)
    assert found.outputs == ["p_0", "p_1"]
    shares = answers(tmp_path / "p.onnx", data.astype(np.float32))
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-5)
    logits = sources.levels["level 2"].features @ np.array(head.weight) + np.array(head.bias)
    wanted = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    np.testing.assert_allclose(shares[:, 1], wanted, atol=1e-4)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is no probe"):
        read_head(tmp_path / "bad.json")
    with pytest.raises(RecipeError, match="no features 'level 9'; known: level 1"):
        fit_head(sources, labels, store.group_codes, "level 9")


def test_a_fine_tuned_run_answers_as_predict_does(run, data, tmp_path):
    table = pa.table({"id": np.arange(80), "kind": signals().labels["notch"]})
    tuned = caesura.finetune(run, table, data=data, steps=3)
    export_onnx(tuned, tuned.open(data), tmp_path / "t.onnx")
    shares = answers(tmp_path / "t.onnx", data.astype(np.float32))
    wanted = np.stack([tuned.predict(data)[f"p_{c}"].to_numpy() for c in (0, 1)], axis=1)
    np.testing.assert_allclose(shares, wanted, atol=1e-4)


def test_options_that_a_graph_cannot_follow_are_refused(run, data, run_folder):
    table = pa.table({"id": np.arange(80), "kind": signals().labels["notch"]})
    tuned = caesura.finetune(run, table, data=data, steps=1)
    with pytest.raises(RecipeError, match="--level chooses among embeddings"):
        form_of(tuned, "2")
    with pytest.raises(RecipeError, match="are for runs with levels"):
        form_of(caesura.load(run_folder), missing=True)


@pytest.mark.slow
def test_int8_is_near_or_refused_and_needs_windows_to_calibrate(run, data, tmp_path, monkeypatch):
    found = export_onnx(run, run.open(data), tmp_path / "i.onnx", int8=True)
    assert found.precision == "int8"
    assert 0 < found.parity["value"] <= 0.03
    with pytest.raises(DataError, match=r"20 windows to calibrate and check int8; at least 32"):
        export_onnx(run, run.open(data[:20]), tmp_path / "few.onnx", int8=True)
    monkeypatch.setattr(export, "INT8_LIMIT", 1e-9)
    with pytest.raises(ExportError, match="does not do as the run does: relative RMS"):
        export_onnx(run, run.open(data), tmp_path / "refused.onnx", int8=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["i.json", "i.onnx"]


def test_a_graph_that_differs_is_refused_and_not_written(run, data, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "FP32_LIMIT", -1.0)
    with pytest.raises(ExportError, match="largest difference .* nothing was written"):
        export_onnx(run, run.open(data), tmp_path / "refused.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_transformer_exports_for_any_number_of_series_and_observations(run_folder, tmp_path):
    run = caesura.load(run_folder)
    found = export_onnx(run, run.open(), tmp_path / "r.onnx")
    assert found.inputs["values"] == ["batch", "tokens", 1]
    assert found.inputs["time_unit"] == run.schema.time_unit
    with pytest.raises(ExportError, match="int8 is for convolutional runs"):
        export_onnx(run, run.open(), tmp_path / "r.onnx", int8=True)


def test_the_published_costs_come_out():
    for rate, macs in ((1000, 31.9e6), (250, 8.0e6)):
        encoder = himae.encoder().eval()
        form = PyramidForm(encoder, (1, 2, 3, 4, 5), _identity(), missing=False)
        found = count_macs(form, (torch.randn(1, 1, rate),))
        assert found == pytest.approx(macs, rel=0.01)


def _identity():
    return Answer(None, None)


@pytest.mark.parametrize("settings", [{}, {"absent": "flag"}, {"kind": "standard"},
                                      {"statistics": "fixed"}, {"norm": "group"}])  # fmt: skip
def test_folding_and_the_lean_form_change_nothing(settings):
    torch.manual_seed(0)
    encoder = himae.encoder(channels=2, widths=(8, 16), **settings)
    encoder(_grid(32))  # batch statistics that are not the initial ones
    encoder.eval()
    form = PyramidForm(encoder, (1, 2), _identity(), missing=False).eval()
    grid = _grid(4)
    wanted = torch.cat([level.features.mean(1) for level in encoder(grid).levels], dim=1)
    torch.testing.assert_close(form(grid.values), wanted, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded(encoder).modules())


def _grid(count):
    values = torch.randn(count, 2, 100).cumsum(-1)
    return Grid(values, torch.ones_like(values, dtype=torch.bool))


@pytest.mark.slow
def test_a_head_that_reads_statistics_answers_in_the_graph_too(tmp_path):
    table = long_table()
    settings = ["stages.0.objective.statistics=1"]
    tuned = caesura.finetune(
        tiny_run(steps=2), label_table(), data=table, head="linear", settings=settings
    )
    found = export_onnx(tuned, tuned.open(table), tmp_path / "tokens.onnx")
    assert found.parity["value"] <= 1e-4
    assert found.outputs == ["p_fast", "p_slow"]
