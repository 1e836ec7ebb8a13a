"""Missing markers: found in every type and column, by every way in; one without a match is said."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.stream import Corpus

MARKERS = (-999.0, -999.9, -99.99, 1e20)


def opened(source, missing, tokens="observation", **columns):
    return open_data(source, DataConfig(columns=Columns(missing=missing, **columns), tokens=tokens))


def table(values, **more):
    columns = {"id": np.repeat(["a", "b", "c"], 20), "time": np.tile(np.arange(20.0), 3)}
    return pa.table(columns | {"value": values} | more)


def marked(marker, seed=0):
    values = np.random.default_rng(seed).normal(size=60)
    values[::10] = marker
    return values


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("kind", ["float64", "float32", "float16", "float32 as float64"])
def test_a_marker_is_found_in_the_type_of_its_column(marker, kind):
    if kind == "float16" and marker > 1e5:
        pytest.skip("infinite there, and left out as that")
    values = marked(marker).astype(kind.split()[0]).astype(kind.split()[-1])
    store, report = opened(table(values), (marker,))
    assert len(store.values) == 54
    assert report.notices == ["6 values equal to a missing marker were left out"]


@pytest.mark.parametrize("kind", [pa.int64(), pa.int16(), pa.decimal128(6, 2), pa.float64()])
def test_whole_numbers_and_decimals_have_markers_too(kind):
    values = [Decimal(k) for k in range(60)]
    values[::10] = [Decimal("-99")] * 6
    cells = pa.array(values, pa.decimal128(6, 2)).cast(kind)
    store, _ = opened(table(cells), (-99.0, -99.5))
    assert len(store.values) == 54
    assert store.values.min() == 1


def test_a_marker_that_a_type_cannot_hold_is_in_none_of_its_cells():
    store, report = opened(table(pa.array(np.arange(60), pa.int8())), (-999.0,))
    assert len(store.values) == 60
    assert report.notices == ["no value is equal to the missing marker -999"]


@pytest.mark.parametrize("kind", ["float64", "float32"])
@pytest.mark.parametrize("tokens", ["observation", "step"])
@pytest.mark.parametrize("form", ["array", "list"])
def test_arrays_have_markers_too(kind, tokens, form):
    values = np.stack([marked(-999.9).reshape(3, 20), marked(-999.9, 1).reshape(3, 20)], 1)
    values = values.astype(kind)
    source = values if form == "array" else list(values)
    store, report = opened(source, (-999.9, -5.5), tokens)
    assert store.observed.sum() == 108
    assert np.abs(store.values).max() < 10
    assert report.notices == [
        "12 values equal to a missing marker were left out",
        "no value is equal to the missing marker -5.5",
    ]


@pytest.mark.parametrize("tokens", ["observation", "step"])
def test_wide_tables_blank_a_marker_in_each_column(tokens):
    wide = table(marked(-9.9).astype(np.float32), other=marked(-9.9, 1))
    store, _ = opened(wide, (-9.9,), tokens, value=("value", "other"))
    assert store.observed.sum() == 108


def test_errors_and_static_columns_have_markers_too():
    error = np.full(60, 0.5, np.float32)
    error[3] = -99.9
    age = np.repeat(np.array([40.5, -99.9, 60.5], np.float32), 20)
    kind = np.repeat([1, -99, 2], 20)
    columns = {"error": "error", "static": ("age",), "classes": ("kind",)}
    more = {"error": error, "age": age, "kind": kind}
    values = np.random.default_rng(0).normal(size=60)
    store, report = opened(table(values, **more), (-99.9, -99.0), **columns)
    assert store.static_column("age").to_pylist() == [40.5, None, 60.5]
    assert store.static_column("kind").to_pylist() == [1, None, 2]
    assert store.error[3] == 0
    assert report.notices == ["1 errors are not positive; those values count as exact"]


def test_classes_of_a_csv_that_are_text_have_markers_too(tmp_path):
    codes = {"a": "007", "b": "-9", "c": "07"}
    rows = "".join(f"{one},{k},1.5,{code}\n" for one, code in codes.items() for k in range(3))
    path = tmp_path / "x.csv"
    path.write_text("id,time,value,code\n" + rows)
    store, _ = opened(path, (-9.0,), classes=("code",))
    assert store.static_column("code").to_pylist() == ["007", None, "07"]


def test_streams_say_what_the_other_way_says(tmp_path, monkeypatch, caplog):
    """Row groups without a value are among them."""
    monkeypatch.setenv("CAESURA_CACHE", "off")
    ids = np.repeat([f"s{k:02d}" for k in range(20)], 10)
    values = np.random.default_rng(0).normal(size=200).astype(np.float32)
    values[5::20] = -999.9
    values[40:60] = np.nan
    values[70] = np.inf
    columns = {"id": ids, "time": np.tile(np.arange(10.0), 20), "value": values}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", row_group_size=20)
    config = DataConfig(columns=Columns(missing=(-999.9, -1.5)), tokens="observation")
    store, report = open_data(tmp_path / "x.parquet", config)
    assert len(store) == 18
    caplog.clear()
    corpus = Corpus(tmp_path / "x.parquet", config, 0)
    assert len(corpus) == 18
    said = [record.getMessage() for record in caplog.records]
    assert sorted(said) == sorted(report.notices)
    assert sum(corpus.load(range(10))[0].lengths) == sum(store.lengths)
