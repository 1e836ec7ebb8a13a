"""A merge of results with their input, by id and time, finds every row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from typer.testing import CliRunner

import caesura
from builders import TINY_GENERATOR
from caesura.cli.main import app

_STEPS = np.arange(66)
_TINY = (
    "data.own_rate=true",
    "data.window=16",
    "encoder.patch=4",
    "encoder.width=16",
    "encoder.depth=1",
    "encoder.heads=2",
)
_CLOCKS = {
    "tenths of days": pa.array(60_000 + _STEPS * 0.1),
    "30 a second": pa.array(np.round(_STEPS / 30, 3)),
    "nanoseconds": pa.array(2**60 + 1 + _STEPS * 1_000_003),
    "business days": pa.array(pd.bdate_range("2023-01-02", periods=66, unit="us")),
    "text": pa.array(
        pd.date_range("2024-03-30", periods=66, freq="h").strftime("%Y-%m-%dT%H:%M:%SZ").tolist()
    ),
}


def series_at(times: pa.Array) -> pa.Table:
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(3 * len(times)) / 3) + rng.normal(0, 0.1, 3 * len(times))
    ids = np.repeat(["a", "b", "c"], len(times))
    return pa.table({"id": ids, "time": pa.concat_arrays([times] * 3), "value": values})


def joined(table: pa.Table, result: pa.Table) -> int:
    assert result["time"].type == table["time"].type
    return len(table.to_pandas().merge(result.to_pandas(), on=["id", "time"]))


@pytest.mark.parametrize("name", _CLOCKS)
def test_scores_join_and_forecasts_follow(name: str) -> None:
    whole = _CLOCKS[name]
    table = series_at(whole[:64])
    run = caesura.pretrain(table, "lejepa", steps=2, settings=_TINY)
    scores = run.detect(table, normal=table)
    assert (scores.num_rows, joined(table, scores)) == (3 * 64, 3 * 64)
    ahead = run.forecast(table, horizon=2)
    assert ahead["time"].to_pylist() == whole[64:].to_pylist() * 3


@pytest.mark.parametrize("name", ["tenths of days", "nanoseconds", "business days"])
def test_what_is_filled_completed_and_made_has_times_of_the_table(name: str) -> None:
    table = series_at(_CLOCKS[name][:64])
    settings = ["data.window=16", *TINY_GENERATOR]
    run = caesura.pretrain(table, "timemar", steps=2, settings=settings)
    gappy = table.filter(np.arange(table.num_rows) % 64 != 9)
    filled = run.impute(gappy, draws=2)
    assert (filled.num_rows, joined(table, filled)) == (3 * 64, 3 * 64)
    completed = run.generate(2, given=table)
    assert joined(table, completed) == 2 * 3 * 64
    made = run.generate(1)
    assert made["time"].to_pylist() == _CLOCKS[name][:16].to_pylist()


def test_commands_write_times_of_the_table(tmp_path: Path) -> None:
    path, out = tmp_path / "data.parquet", tmp_path / "run"
    table = series_at(_CLOCKS["30 a second"][:64])
    parquet.write_table(table, path)
    caesura.pretrain(str(path), "lejepa", steps=2, settings=_TINY, out=out)
    for verb in (["detect", str(out)], ["embed", str(out), "--windows"]):
        result = tmp_path / f"{verb[0]}.parquet"
        done = CliRunner().invoke(app, [*verb, "-o", str(result)])
        assert done.exit_code == 0, done.output
        found = parquet.read_table(result)
        assert joined(table, found) == found.num_rows
    assert found["time"].to_pylist()[:4] == [0.0, 0.533, 1.067, 1.6]
