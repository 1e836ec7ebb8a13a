"""What the machine is asked once, and what a run does with the answer."""

import json

import pytest
import torch

import caesura
from builders import long_table, tiny_run
from caesura.errors import CaesuraError
from caesura.training import arithmetic, compilation, precision
from caesura.training.config import TrainingConfig
from caesura.training.precision import fast_float32, onednn_is_exact


def test_auto_is_resolved_and_recorded_in_the_recipe(tmp_path):
    run = tiny_run(tmp_path / "run", steps=2, settings=["training.precision=auto"])
    written = caesura.load(tmp_path / "run").recipe.training
    assert written == run.recipe.training
    assert written.precision == ("bf16" if precision.bf16_is_native() else "fp32")
    assert written.products != "auto"
    assert written.plain_attention >= 0
    assert written.batches == ("buckets" if torch.cuda.is_available() else "random")


def test_a_set_value_is_kept():
    config = TrainingConfig(
        precision="fp32", products="default", plain_attention=7, batches="buckets"
    )
    assert arithmetic.resolved(config) is config
    assert arithmetic.resolved(TrainingConfig(precision="fp32")).precision == "fp32"


def test_the_machine_is_measured_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CAESURA_CACHE", str(tmp_path))
    found = arithmetic.measured()
    monkeypatch.setattr(arithmetic, "_measure", lambda: pytest.fail("measured again"))
    assert arithmetic.measured() == found
    for file in tmp_path.iterdir():
        file.write_text("damaged")
    monkeypatch.setattr(arithmetic, "_measure", lambda: found)
    assert arithmetic.measured() == found
    assert all(json.loads(file.read_text()) == found for file in tmp_path.iterdir())


def test_the_fast_products_keep_float32_s_accuracy():
    a, b = torch.randn(2, 300, 300)
    with fast_float32("onednn"):
        error = ((a @ b).double() - a.double() @ b.double()).abs().max()
    assert error < 1e-3 * 300**0.5 * 0.1  # bf16 would give about 0.1
    assert torch.get_float32_matmul_precision() == "highest"


def test_an_inexact_route_is_refused_even_if_a_recipe_names_it(monkeypatch):
    monkeypatch.setattr(precision, "onednn_is_exact", lambda: False)
    with fast_float32("onednn"):
        assert torch.get_float32_matmul_precision() == "highest"
    assert isinstance(onednn_is_exact(), bool)


def test_dynamic_teams_are_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_DYNAMIC", "true")
    with pytest.raises(CaesuraError, match="OMP_DYNAMIC"):
        tiny_run(tmp_path / "run", steps=1)


def test_a_failed_compilation_falls_back_and_says_so(monkeypatch, caplog, tmp_path):
    from torch._dynamo.exc import FailOnRecompileLimitHit

    def broken(module):
        for block in compilation._blocks(module):
            block._compiled_call_impl = _raise
        return 1

    def _raise(*args, **kwargs):
        raise FailOnRecompileLimitHit("limit hit")

    monkeypatch.setattr("caesura.training.loop.compile_blocks", broken)
    settings = ["encoder.dropout=0.1", "training.batches=buckets"]
    run = tiny_run(tmp_path / "a", steps=14, settings=[*settings, "training.compile=on"])
    assert "goes on without it" in caplog.text
    plain = tiny_run(tmp_path / "b", steps=14, settings=[*settings, "training.compile=off"])
    for one, two in zip(
        run.parts["encoder"].parameters(), plain.parts["encoder"].parameters(), strict=True
    ):
        assert torch.equal(one, two)


def test_a_short_run_is_not_compiled(monkeypatch):
    monkeypatch.setattr(
        "caesura.training.loop.compile_blocks", lambda module: pytest.fail("compiled")
    )
    caesura.pretrain(
        long_table(),
        columns={"channel": "channel"},
        steps=12,
        settings=["encoder.width=16", "encoder.heads=2", "encoder.depth=1"],
    )
