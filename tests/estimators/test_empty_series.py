"""Series without a value: as many answers as series, in their order, and no word for the empty."""

import logging

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import caesura
from caesura import (
    AnomalyDetector,
    PretrainedFeatures,
    SeriesClassifier,
    SeriesForecaster,
    SeriesInterpolator,
    SeriesRegressor,
)
from caesura.cli.main import app
from caesura.errors import DataError
from caesura.shards import embed_parts

TINY = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2")
SMALL = {"steps": 2, "settings": TINY, "n_jobs": 1}
EMPTY = [3, 10]
FULL = [k for k in range(12) if k not in EMPTY]


def panel():
    """Return 12 series of 2 channels and 20 steps; two have no value."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(12, 2, 20)) + np.arange(12)[:, None, None] % 2
    values[EMPTY] = np.nan
    return values


def as_table(values, kind):
    """Return a wide table, ids in an order that is not that of their names."""
    ids = np.repeat([f"s{(7 * k) % 12:02d}" for k in range(12)], 20)
    columns = {"id": ids, "time": np.tile(np.arange(20.0), 12)}
    columns |= {f"v{c}": values[:, c].ravel() for c in range(2)}
    frame = pd.DataFrame(columns)
    if kind == "pandas":
        return frame
    return pl.from_pandas(frame) if kind == "polars" else pa.Table.from_pandas(frame)


def as_kind(values, kind):
    if kind == "numpy":
        return values
    if kind == "lists":
        return [one[:, : 20 - k] for k, one in enumerate(values)]
    return as_table(values, kind)


def numbers(found):
    if isinstance(found, np.ndarray):
        return found
    frame = found if isinstance(found, pd.DataFrame) else found.to_pandas()
    return frame.to_numpy()


@pytest.fixture(scope="module")
def base():
    return caesura.pretrain(panel()[FULL], "romae", steps=2, settings=TINY)


@pytest.fixture(scope="module")
def tabled():
    columns = {"value": ["v0", "v1"]}
    whole = as_table(panel(), "arrow")
    return caesura.pretrain(whole, "romae", steps=2, settings=TINY, columns=columns)


@pytest.mark.parametrize("kind", ["numpy", "lists", "pandas", "polars", "arrow"])
def test_twelve_series_have_twelve_vectors_and_classes(kind, base, tabled, caplog):
    run = base if kind in ("numpy", "lists") else tabled
    columns = None if kind in ("numpy", "lists") else {"value": ["v0", "v1"]}
    X = as_kind(panel(), kind)
    with caplog.at_level(logging.WARNING):
        vectors = numbers(PretrainedFeatures(run=run, columns=columns).fit(X).transform(X))
    assert "2 series have no value" in caplog.text
    assert np.isnan(vectors).all(1).tolist() == [k in EMPTY for k in range(12)]
    full = as_kind(panel(), kind)
    if kind in ("numpy", "lists"):
        full = [full[k] for k in FULL]
        np.testing.assert_allclose(run.embed(full), vectors[FULL], atol=1e-5)
    y = np.array(["odd", "even"])[np.arange(12) % 2]
    model = SeriesClassifier(run=run, columns=columns, tuning_steps=2).fit(X, y)
    shares = numbers(model.predict_proba(X))
    assert np.isnan(shares).all(1).tolist() == [k in EMPTY for k in range(12)]
    np.testing.assert_allclose(shares[FULL].sum(1), 1, atol=1e-6)
    predicted = model.predict(X)
    predicted = predicted.to_pylist() if kind == "arrow" else list(predicted)
    assert [k for k, one in enumerate(predicted) if one not in ("odd", "even")] == EMPTY


def test_numbers_are_nan_for_a_series_without_a_value(base):
    X, y = panel(), np.arange(12)
    model = SeriesClassifier(run=base, tuning_steps=2).fit(X, y % 2)
    predicted = model.predict(X)
    assert np.isnan(predicted[EMPTY]).all()
    assert set(predicted[FULL]) <= {0.0, 1.0}
    assert model.predict(X[FULL]).dtype == y.dtype
    assert (
        np.flatnonzero(
            np.isnan(SeriesRegressor(run=base, tuning_steps=2).fit(X, y).predict(X))
        ).tolist()
        == EMPTY
    )


def test_a_pre_training_leaves_them_out_and_no_series_at_all_is_an_error(base):
    made = caesura.pretrain(panel(), "romae", steps=2, settings=TINY)
    assert made.schema.scales == base.schema.scales
    with pytest.raises(DataError, match="none of 2 series has a finite value"):
        base.embed(panel()[EMPTY])


def test_the_command_line_writes_a_row_for_each(tabled, tmp_path):
    tabled.save(tmp_path / "run")
    pq.write_table(as_table(panel(), "arrow"), tmp_path / "x.parquet")
    out = tmp_path / "z.parquet"
    arguments = ["embed", str(tmp_path / "run"), "--data", str(tmp_path / "x.parquet")]
    found = CliRunner().invoke(app, [*arguments, "-o", str(out), "--neighbours", "1"])
    assert found.exit_code == 0, found.output
    table = pq.read_table(out).to_pandas()
    assert table["id"].tolist() == [f"s{(7 * k) % 12:02d}" for k in range(12)]
    assert np.flatnonzero(table["f0"].isna()).tolist() == EMPTY
    assert np.flatnonzero(table["neighbour_1"].isna()).tolist() == EMPTY
    assert set(table["neighbour_1"].dropna()) <= set(table["id"][FULL])


def test_parts_have_a_row_for_each_also_where_a_row_group_is_empty(tabled, tmp_path):
    values = panel()
    values[[4, 5]] = np.nan
    whole = as_table(values, "arrow").sort_by([("id", "ascending"), ("time", "ascending")])
    pq.write_table(whole, tmp_path / "x.parquet", row_group_size=40)
    ids = whole["id"].unique().to_pylist()
    embed_parts(tabled, tmp_path / "x.parquet", tmp_path / "z", rows=40)
    parts = [pq.read_table(one).to_pandas() for one in sorted((tmp_path / "z").glob("*.parquet"))]
    found = pd.concat(parts)
    assert found["id"].tolist() == ids
    by_id = dict(zip([f"s{(7 * k) % 12:02d}" for k in range(12)], values, strict=True))
    assert found["f0"].isna().tolist() == [bool(np.isnan(by_id[one]).all()) for one in ids]


def test_forecasts_and_scores_of_arrays_keep_their_places():
    values = np.sin(np.arange(64) / 3) + np.random.default_rng(0).normal(0, 0.1, (6, 1, 64))
    values[[0, 4]] = np.nan
    settings = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2", "encoder.patch=4")
    shared = {"window": 8, "steps": 2, "settings": settings, "n_jobs": 1}
    forecasts = SeriesForecaster(horizon=3, **shared).fit(values).predict()
    assert forecasts.shape == (6, 1, 3)
    assert np.isnan(forecasts).all((1, 2)).tolist() == [True, False, False, False, True, False]
    scores = AnomalyDetector(**shared).fit(values[[1, 2, 3, 5]]).score_samples(values)
    assert [len(one) for one in scores] == [64] * 6
    assert [bool(np.isnan(one).all()) for one in scores] == [True, False, False, False, True, False]


def test_a_query_of_an_empty_series_or_no_time_is_answered_by_nothing(tabled, caplog):
    data = as_table(panel(), "arrow")
    query = pa.table(
        {
            "id": ["s00", data["id"][60].as_py(), "s00", "s00"],
            "time": [3.0, 3.0, None, float("inf")],
            "channel": ["v0", "v1", "v0", "v1"],
        }
    )
    found = tabled.interpolate(data, query)
    assert np.isnan(found["value"].to_numpy()).tolist() == [False, True, True, True]
    assert np.isnan(found["lower"].to_numpy()).tolist() == [False, True, True, True]
    assert found["trust"].to_pylist()[1:] == ["low"] * 3
    assert "3 queries have no time" in caplog.text
    alone = tabled.interpolate(data, query.slice(1, 1))
    assert alone["trust"].to_pylist() == ["low"]
    assert tabled.interpolate(data, "nan")["trust"].unique().to_pylist() == ["low"]
    with pytest.raises(DataError, match="ask for ids that are not in --data, first: 's99'"):
        tabled.interpolate(data, query.set_column(0, "id", pa.array(["s99"] * 4)))


def test_a_query_without_a_date_is_answered_by_nothing():
    days = pd.date_range("2024-01-01", periods=20)
    data = pd.DataFrame({"id": np.repeat(["a", "b", "c", "d"], 20), "time": np.tile(days, 4)})
    data["value"] = np.random.default_rng(0).normal(size=80)
    run = caesura.pretrain(data, "romae", steps=2, settings=TINY)
    query = pd.DataFrame({"id": ["a", "a"], "time": [pd.NaT, days[3]]})
    found = run.interpolate(data, query)
    assert np.isnan(found["value"].to_numpy()).tolist() == [True, False]
    assert found["trust"][0].as_py() == "low"


def test_what_is_empty_in_arrays_stays_empty(base):
    filled = SeriesInterpolator(run=base).fit(panel()).transform(panel())
    assert np.isnan(filled).all((1, 2)).tolist() == [k in EMPTY for k in range(12)]
    assert np.isfinite(filled[FULL]).all()
