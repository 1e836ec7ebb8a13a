"""Digits that vary survive at any level, and measured values come back as they were."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import caesura
from builders import TINY_GENERATOR
from caesura.data.cache import load_store, save_store
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.store import DoorReport
from caesura.errors import DataError

TINY = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2", "training.threads=1")


def columns(level, steps=60, spread=1.0, count=8):
    rng = np.random.default_rng(0)
    at = np.arange(steps)
    waves = np.sin(at / 3 + np.arange(count)[:, None]) + 0.1 * rng.normal(size=(count, steps))
    return {
        "id": np.repeat(np.arange(count), steps),
        "time": np.tile(at, count).astype(float),
        "value": (level + spread * waves).ravel(),
    }


def frame(**changes):
    return pa.table(columns(0.0) | changes)


def without(hidden):
    return np.where(hidden, np.nan, 0.0)


WAYS = {
    "table": lambda own: pa.table(own),
    "unsorted": lambda own: pa.table(own).take(pa.array(np.arange(len(own["id"]))[::-1])),
    "with a gap": lambda own: pa.table(own | {"value": own["value"] + without(own["time"] == 5)}),
    "array": lambda own: own["value"].reshape(8, 1, -1),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", [1e7, 1e8, 1e12])
def test_small_changes_at_a_large_level_are_kept(way, level):
    own = columns(level)
    store, _ = open_data(WAYS[way](own), DataConfig())
    assert store.values.dtype == np.float64
    assert len(np.unique(store.values[store.observed])) >= 0.9 * len(np.unique(own["value"]))


def test_series_of_far_apart_levels_keep_their_changes():
    own = columns(0.0)
    own["value"] = own["value"] + 1e7 * own["id"]
    data = pa.table(own)
    store, _ = open_data(data, DataConfig())
    assert store.values.dtype == np.float64
    flat = pa.table(own | {"value": 1e7 * own["id"] + own["time"] % 2})
    for recipe, settings in (("romae", ()), ("lejepa", ("data.rate=1", "data.window=60"))):
        run = caesura.pretrain(data, recipe, steps=1, settings=(*TINY, *settings))
        ours, other = run.embed(data), run.embed(flat)
        assert np.abs(ours - other).max() > 1e-3 * np.abs(ours).max()


def test_ordinary_values_are_float32_and_a_level_changes_no_window():
    assert open_data(pa.table(columns(50.0)), DataConfig())[0].values.dtype == np.float32
    assert (
        open_data(pa.table(columns(1e-9, spread=1e-9)), DataConfig())[0].values.dtype == np.float32
    )
    whole = {"value": np.arange(480) * 1e3}
    assert open_data(frame(**whole), DataConfig())[0].values.dtype == np.float32
    settings = (*TINY, "data.rate=1", "data.window=60")
    near, far = (
        caesura.pretrain(data, "mae", steps=1, settings=settings).embed(data)
        for data in (pa.table(columns(0.0)), pa.table(columns(1e8)))
    )
    np.testing.assert_allclose(near, far, atol=1e-4 * np.abs(near).max())


def test_observations_at_a_large_level_train_as_others():
    near, far = (
        caesura.pretrain(data, "romae", steps=1, settings=TINY).embed(data)
        for data in (pa.table(columns(0.0)), pa.table(columns(1e8)))
    )
    np.testing.assert_allclose(near, far, atol=1e-4 * np.abs(near).max())


@pytest.mark.parametrize("gap", [False, True])
def test_values_beyond_float32_are_left_out_and_said(gap):
    value = columns(0.0)["value"]
    value[3] = 1e39
    value[4] = np.nan if gap else value[4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store, report = open_data(frame(value=value), DataConfig())
        panel, told = open_data(value.reshape(8, 1, -1), DataConfig())
    for found, said in ((store, report), (panel, told)):
        assert np.abs(found.values).max() < 10
        assert int(found.observed.sum()) == len(value) - 1 - gap
        assert any("1 values beyond 3.4e+38 left out" in one for one in said.notices)


def test_errors_and_statics_beyond_float32_are_said():
    error, static = np.ones(480), np.repeat(np.arange(8) * 1.0, 60)
    error[7], static[:60] = 1e39, 1e39
    config = DataConfig(columns=Columns(error="error", static=("age",)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store, report = open_data(frame(error=error, age=static), config)
        run = caesura.pretrain(
            frame(error=error, age=static),
            "romae",
            steps=1,
            settings=TINY,
            columns={"error": "error", "static": ["age"]},
        )
    assert np.isfinite(store.error).all()
    assert np.isnan(store.static[0, 0])
    assert "1 errors beyond 3.4e+38" in " ".join(report.notices)
    assert "values of 'age' beyond 3.4e+38 left out" in " ".join(report.notices)
    assert np.isfinite(run.embed(frame(error=error, age=static))).all()


def test_tiny_errors_stay_errors():
    error = np.full(480, 1e-44)
    config = DataConfig(columns=Columns(error="error"))
    store, _ = open_data(frame(error=error), config)
    np.testing.assert_array_equal(store.error[:, 0], error)


def test_a_kept_store_has_all_digits(tmp_path):
    store, _ = open_data(pa.table(columns(1e8)), DataConfig())
    save_store(tmp_path / "a-b.arrow", store, DoorReport(1, 1))
    again, _ = load_store(tmp_path / "a-b.arrow")
    assert again.values.dtype == np.float64
    np.testing.assert_array_equal(again.values, store.values)


def test_a_streamed_corpus_has_all_digits(tmp_path):
    pq.write_table(pa.table(columns(1e8)), tmp_path / "data.parquet", row_group_size=120)
    settings = (*TINY, "data.stream=on")
    run = caesura.pretrain(str(tmp_path / "data.parquet"), "romae", steps=1, settings=settings)
    assert run.schema.scales[0][0].scale == pytest.approx(0.7, rel=0.2)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64])
def test_imputed_tables_and_given_ones_hold_what_was_measured(kind):
    own = columns(6_170_000.0, steps=24)
    value = np.round(own["value"], 3)
    own["value"] = (
        20_000_000 + np.round(100 * value) % 1000 if kind == np.int64 else value
    ).astype(kind)
    data = pa.table(own)
    settings = (*TINY_GENERATOR, "data.window=24")
    run = caesura.pretrain(data, "timemar", steps=2, settings=settings)
    hidden = (own["time"] == 5) & (own["id"] < 4)
    gaps = pa.table(own | {"value": pa.array(own["value"], mask=hidden)})
    for found in (run.impute(gaps, draws=2), run.generate(1, given=gaps)):
        values = found["value"].to_numpy()
        assert len(values) == len(data)
        np.testing.assert_array_equal(values[~hidden], own["value"][~hidden])
        assert found["value"].type == data["value"].type


def test_nothing_that_can_be_held_is_an_error():
    with pytest.raises(DataError, match="no row has a finite time and value"):
        open_data(frame(value=np.full(480, 1e39)), DataConfig())
