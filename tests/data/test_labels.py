"""Labels and queries are joined by id, in any type that means the same."""

import numpy as np
import pyarrow as pa
import pytest

from builders import label_table, long_table, tiny_run
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.labels import read_labels
from caesura.data.queries import lay_out_queries, read_queries
from caesura.data.schema import fit_schema
from caesura.errors import DataError

CONFIG = DataConfig(columns=Columns(channel="channel"), tokens="observation")


@pytest.fixture
def store():
    return open_data(long_table(6), CONFIG)[0]


def test_labels_of_unknown_ids_are_left_out_and_said(store, caplog):
    labels = read_labels(label_table(8), store, "id")
    assert len(labels.series) == 6
    assert "2 ids are not in the data and were left out, first: 's6', 's7'" in caplog.text


def test_no_matching_id_is_an_error(store):
    with pytest.raises(DataError, match=r"none of the 2 ids is in the data, first: 'x'"):
        read_labels(pa.table({"id": ["x", "y"], "kind": [0, 1]}), store, "id")


def test_ids_given_twice_are_an_error(store):
    twice = pa.concat_tables([label_table(6), label_table(2)])
    with pytest.raises(DataError, match="given twice"):
        read_labels(twice, store, "id")


def test_one_class_is_an_error(store):
    with pytest.raises(DataError, match="one class only"):
        read_labels(pa.table({"id": ["s0", "s1"], "kind": ["a", "a"]}), store, "id")


def test_several_columns_need_a_target(store):
    table = label_table(6).append_column("z", pa.array(np.arange(6.0)))
    with pytest.raises(DataError, match="which label[?] columns: kind, z. Pass --target"):
        read_labels(table, store, "id")
    assert read_labels(table, store, "id", ("kind",)).target.classes == ("fast", "slow")


def test_the_task_follows_from_the_column(store):
    def task(values):
        ids = [f"s{i}" for i in range(6)]
        return read_labels(pa.table({"id": ids, "y": values}), store, "id").target.task

    assert task([0, 1, 0, 1, 0, 1]) == "classification"
    assert task([0.5, 1.0, 2.0, 0.1, 0.2, 0.3]) == "regression"
    assert task(["a", "b"] * 3) == "classification"


def test_several_targets_are_a_multi_label(store):
    ids = [f"s{i}" for i in range(6)]
    table = pa.table({"id": ids, "a": [0, 1] * 3, "b": [1, 1, 0] * 2})
    labels = read_labels(table, store, "id", ("a", "b"))
    assert labels.target.task == "multilabel"
    assert labels.values.shape == (6, 2)


def test_whole_number_ids_match_their_text():
    table = long_table(6)
    numbers = pa.array([int(i[1:]) for i in table["id"].to_pylist()])
    numbered = open_data(table.set_column(0, "id", numbers), CONFIG)[0]
    labels = pa.table({"id": [str(i) for i in range(6)], "y": [0, 1] * 3})
    assert read_labels(labels, numbered, "id").series.tolist() == list(range(6))
    with pytest.raises(DataError, match="none of the 1 ids.*string, in the data int64"):
        read_labels(pa.table({"id": ["s1"], "y": [0]}), numbered, "id")


def test_queries_keep_their_order_and_reject_the_unknown(store):
    schema = fit_schema(store, np.arange(6), CONFIG)
    query = pa.table({"id": ["s3", "s0"], "time": [4.0, 2.0], "channel": ["v", "u"]})
    queries, _ = read_queries(query, store, schema)
    assert queries.series.tolist() == [3, 0]
    assert queries.variable.tolist() == [1, 0]
    np.testing.assert_allclose(queries.times + store.origins[queries.series], [4.0, 2.0])
    for change, message in [
        ({"id": ["s3", "nobody"]}, "1 queries ask for ids that are not in --data.*'nobody'"),
        ({"channel": ["v", "w"]}, "unknown channel 'w'; the model knows 'u', 'v'"),
    ]:
        columns = {name: query[name].to_pylist() for name in query.column_names} | change
        with pytest.raises(DataError, match=message):
            read_queries(pa.table(columns), store, schema)
    with pytest.raises(DataError, match="query has no column 'time'"):
        read_queries(query.drop_columns(["time"]), store, schema)


def test_queries_are_laid_out_over_each_span(store):
    schema = fit_schema(store, np.arange(6), CONFIG)
    queries, table = lay_out_queries("every:0.5", store, schema)
    spans = store.spans
    assert table.num_rows == 2 * int((np.floor(spans / 0.5) + 1).sum())
    listed, _ = lay_out_queries("1.5,3", store, schema)
    assert len(listed) == 6 * 2 * 2
    for bad in ("every:-1", "every:x", "every:1h", "a,b", ","):
        with pytest.raises(DataError):
            lay_out_queries(bad, store, schema)


def test_dates_can_be_asked_with_units():
    table = long_table(6)
    seconds = pa.array([int(t * 3600e6) for t in table["time"].to_pylist()])
    dated = table.set_column(1, "time", seconds.cast(pa.timestamp("us", tz="UTC")))
    run = tiny_run(table=dated, steps=2)
    found = run.interpolate(dated, "every:2h")
    assert found.schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert run.schema.time_kind == "timestamp"


@pytest.mark.parametrize(("rare", "left"), [("drop", 10), ("other", 12)])
def test_rare_classes_are_dropped_or_joined_and_said(rare, left, caplog):
    store = open_data(long_table(12), CONFIG)[0]
    kinds = ["a"] * 5 + ["b"] * 5 + ["c", "d"]
    table = pa.table({"id": [f"s{n}" for n in range(12)], "kind": kinds})
    labels = read_labels(table, store, "id", rare=rare)
    assert len(labels.series) == left
    assert labels.target.classes == (("a", "b") if rare == "drop" else ("a", "b", "other"))
    assert "2 classes with fewer than 5 series" in caplog.text


def test_channels_that_are_numbers_come_back_as_numbers():
    table = long_table(6)
    codes = pa.array([{"u": 3, "v": 7}[name] for name in table["channel"].to_pylist()])
    numbered = open_data(table.set_column(2, "channel", codes), CONFIG)[0]
    schema = fit_schema(numbered, np.arange(6), CONFIG)
    _, laid_out = lay_out_queries("every:4", numbered, schema)
    assert set(laid_out["channel"].to_pylist()) == {3, 7}
    queries, _ = read_queries(laid_out, numbered, schema)
    assert set(queries.variable.tolist()) == {0, 1}
