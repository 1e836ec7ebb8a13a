"""bf16 learns what fp32 learns: the condition under which "auto" takes it."""

import json

import numpy as np
import pytest

from builders import TINY
from caesura.data.bundled import bundled
from caesura.data.read import read_table
from caesura.study.demo import COLUMNS
from caesura.training.precision import bf16_is_native
from caesura.workflow import pretrain


@pytest.mark.slow
@pytest.mark.skipif(not bf16_is_native(), reason="bf16 would be emulated here")
def test_bf16_and_fp32_reach_the_same_validation_loss_at_equal_tokens(tmp_path):
    """On real records, at each evaluation; at full length `benchmarks/parity.py` says the same."""
    table = read_table(bundled("physionet2012.parquet"))
    stays = table["stay"].to_numpy()
    table = table.filter(np.isin(stays, np.unique(stays)[:200]))
    curves = {}
    for precision in ("fp32", "bf16"):
        settings = [*TINY, "encoder.width=32", "stages.0.decoder.width=32",
                    f"training.precision={precision}", "training.evaluate_every=30",
                    "training.batch_tokens=1024", "training.patience=0"]  # fmt: skip
        pretrain(table, columns=COLUMNS, steps=90, settings=settings, out=tmp_path / precision)
        lines = (tmp_path / precision / "metrics.jsonl").read_text().splitlines()
        curves[precision] = [json.loads(line)["validation_loss"] for line in lines]
    assert curves["fp32"][-1] < 0.97 * curves["fp32"][0]  # there is something to learn
    for exact, fast in zip(curves["fp32"], curves["bf16"], strict=True):
        assert fast == pytest.approx(exact, rel=0.02)
