"""A forecast is one function: the command, `Run` and the estimator write the same bytes."""

import inspect
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import caesura
from caesura.cli.ahead import forecast as verb
from caesura.cli.main import app
from caesura.run import Run
from caesura.tasks.forecast import ForecastSettings

SIZES = {
    "lejepa": ["data.own_rate=true", "data.window=16", "encoder.width=16", "encoder.depth=1"],
    "timemar": [
        "data.window=16",
        "encoder.width=16",
        "encoder.heads=2",
        "stages.1.objective.width=16",
        "stages.1.objective.heads=2",
    ],
}


def months(count=3, steps=80):
    rng = np.random.default_rng(0)
    times = np.datetime64("2001-01") + np.arange(steps)
    values = np.sin(2 * np.pi * np.arange(steps) / 12) + 0.1 * rng.standard_normal((count, steps))
    return pa.table(
        {
            "id": np.repeat([f"s{k}" for k in range(count)], steps),
            "time": np.tile(times.astype("datetime64[us]"), count),
            "value": values.ravel(),
        }
    )


@pytest.mark.parametrize("recipe", SIZES)
def test_a_forecast_has_the_same_bytes_by_all_three_ways(recipe, tmp_path):
    data = months()
    pq.write_table(data, tmp_path / "data.parquet")
    settings = [*SIZES[recipe], "training.threads=1"]
    folder = tmp_path / "run"
    path = str(tmp_path / "data.parquet")
    caesura.pretrain(path, recipe, folder, steps=3, settings=settings)
    written = tmp_path / "next.parquet"
    asked = ["forecast", str(folder), "--horizon", "4", "-o", str(written), "--seed", "1"]
    result = CliRunner().invoke(app, [*asked, "--draws", "3"] if recipe == "timemar" else asked)
    assert result.exit_code == 0, result.output
    draws = 3 if recipe == "timemar" else None
    by_run = caesura.load(folder).forecast(horizon=4, seed=1, draws=draws)
    model = caesura.SeriesForecaster(horizon=4, run=folder, random_state=1, draws=draws).fit(data)
    by_estimator = model.predict()
    assert pq.read_table(written).equals(by_run)
    assert by_estimator.equals(by_run)
    assert by_run.column_names[:4] == ["id", "time", "channel", "value"]
    assert set(by_run["way"].to_pylist()) <= {row["forecast"] for row in model.backtest_}


def test_a_generator_draws_by_default_in_every_way(tmp_path):
    run = caesura.pretrain(
        months(), "timemar", steps=3, settings=[*SIZES["timemar"], "training.threads=1"]
    )
    found = caesura.SeriesForecaster(horizon=2, run=run, way="draws of this run").fit(months())
    table = found.predict()
    assert set(table["way"].to_pylist()) == {"draws of this run"}
    assert found.backtest_[1]["forecast"] == "draws of this run"


def test_no_way_lacks_a_setting():
    names = {field.name for field in fields(ForecastSettings)}
    assert names <= set(inspect.signature(verb).parameters)
    assert names <= set(inspect.signature(Run.forecast).parameters)
    model = caesura.SeriesForecaster().get_params()
    assert names - {"seed"} <= set(model)
    assert "random_state" in model  # the seed, as scikit-learn calls it
