"""Folders of Parquet: what is data in them, keys in their paths, files that differ."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caesura.data.cache import cached_path
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.groups import SeriesGroups
from caesura.data.labels import read_labels
from caesura.data.parquet_files import ParquetFiles, data_files
from caesura.data.read import read_table
from caesura.data.sort import sort_table
from caesura.errors import DataError

NAMES = ("a", "b", "c")


def table(**changes):
    """Return three series of four steps, whose values count from 0."""
    columns = {
        "id": np.repeat(NAMES, 4).tolist(),
        "time": np.tile(np.arange(4.0), 3),
        "value": np.arange(12.0),
    }
    return pa.table(columns | changes)


def opened(path, **columns):
    return open_data(str(path), DataConfig(columns=Columns(**columns), tokens="observation"))


@pytest.mark.parametrize("writer", ["pyarrow", "polars"])
def test_a_key_in_the_path_names_the_series(writer, tmp_path):
    folder = tmp_path / "by_id"
    if writer == "pyarrow":
        pq.write_to_dataset(table(), folder, partition_cols=["id"])
    else:
        pl.from_arrow(table()).write_parquet(pl.PartitionBy(folder, key="id", include_key=False))
    store, report = opened(folder, id="id")
    assert store.ids.to_pylist() == list(NAMES)
    assert store.values.ravel().tolist() == list(range(12))
    assert not report.notices


def test_several_keys_are_channels_and_groups(tmp_path):
    keyed = table(g=np.repeat([1, 2, 2], 4), kind=["u", "v"] * 6)
    pq.write_to_dataset(keyed, tmp_path / "t", partition_cols=["g", "kind"])
    store, _ = opened(tmp_path / "t", group="g", channel="kind")
    assert store.channels == ("u", "v")
    assert store.groups.tolist() == [0, 1, 1]
    assert store.values.ravel().tolist() == list(range(12))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (("7", "12"), [12, 7]),
        (("007", "7"), ["007", "7"]),
        (("a%2Fb", "a b"), ["a b", "a/b"]),
        (("1E5", "20"), ["1E5", "20"]),
    ],
)
def test_a_key_is_a_number_where_all_are_written_as_whole_numbers(written, read, tmp_path):
    for text in written:
        (tmp_path / f"id={text}").mkdir()
        part = table().slice(0, 4).drop_columns(["id"])
        pq.write_table(part, tmp_path / f"id={text}" / "0.parquet")
    store, _ = opened(tmp_path, id="id")
    assert sorted(store.ids.to_pylist(), key=str) == read


def test_the_default_partition_is_null(tmp_path):
    folder = tmp_path / "g=__HIVE_DEFAULT_PARTITION__"
    folder.mkdir()
    (tmp_path / "g=1").mkdir()
    pq.write_table(table(), folder / "0.parquet")
    pq.write_table(table(), tmp_path / "g=1" / "0.parquet")
    assert read_table(tmp_path)["g"].to_pylist() == [1] * 12 + [None] * 12


def test_dates_in_the_path_are_times(tmp_path):
    dated = table(day=["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04"] * 3)
    pq.write_to_dataset(dated.drop_columns(["time"]), tmp_path / "t", partition_cols=["day"])
    store, _ = opened(tmp_path / "t", time="day")
    assert store.times.tolist() == [0.0, 86400.0, 172800.0, 259200.0] * 3
    assert store.values.ravel().tolist() == list(range(12))


def test_streams_sorting_and_labels_see_the_keys(tmp_path):
    pq.write_to_dataset(table(), tmp_path / "t", partition_cols=["id"])
    config = DataConfig(columns=Columns(id="id"), tokens="observation")
    groups = SeriesGroups(tmp_path / "t", config)
    assert [groups.read(number).ids.to_pylist() for number in range(3)] == [[n] for n in NAMES]
    written = sort_table(tmp_path / "t", tmp_path / "sorted", ("id", "time"))
    assert pq.read_table(written[0])["id"].to_pylist() == table()["id"].to_pylist()
    store, _ = opened(tmp_path / "t", id="id")
    labels = pa.table({"id": ["b", "a"], "kind": ["x", "y"]})
    pq.write_to_dataset(labels, tmp_path / "labels", partition_cols=["id"])
    assert read_labels(tmp_path / "labels", store, "id").series.tolist() == [0, 1]


def test_another_key_makes_another_kept_form(tmp_path, monkeypatch):
    monkeypatch.setattr("caesura.data.cache._WORTH_CACHING", 0)
    monkeypatch.delenv("CAESURA_CACHE", raising=False)
    one = tmp_path / "t" / "id=1"
    one.mkdir(parents=True)
    pq.write_table(table(), one / "0.parquet")
    before = cached_path(tmp_path / "t", Columns(), True)
    one.rename(tmp_path / "t" / "id=2")
    assert cached_path(tmp_path / "t", Columns(), True) != before


@pytest.mark.parametrize(
    "other",
    [
        "_temporary/0/part.parquet",
        ".ipynb_checkpoints/part.parquet",
        "_delta_log/1.checkpoint.parquet",
        "sub/_metadata.parquet",
        "sub/.part.parquet",
        "id=7/_tmp/part.parquet",
    ],
)
def test_what_begins_with_an_underscore_or_a_dot_is_no_data(other, tmp_path):
    pq.write_table(table(), tmp_path / "part.parquet")
    (tmp_path / other).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(value=np.full(12, 99.0)), tmp_path / other)
    store, _ = opened(tmp_path)
    assert store.values.max() == 11


def test_a_hidden_folder_that_was_named_is_read(tmp_path):
    folder = tmp_path / "_data" / ".parts"
    folder.mkdir(parents=True)
    pq.write_table(table(), folder / "0.PQ")
    assert [file.name for file in data_files(folder)] == ["0.PQ"]
    assert opened(folder)[0].values.max() == 11


def test_files_of_other_numbers_and_orders_are_one_table(tmp_path):
    parts = [table().slice(4 * k, 4) for k in range(3)]
    cast = parts[0].set_column(2, "value", parts[0]["value"].cast(pa.int32()))
    single = parts[1].set_column(2, "value", parts[1]["value"].cast(pa.float32()))
    pq.write_table(cast, tmp_path / "0.parquet")
    pq.write_table(single.select(["value", "id", "time"]), tmp_path / "1.parquet")
    pq.write_table(parts[2].append_column("note", pa.nulls(4)), tmp_path / "2.parquet")
    store, report = opened(tmp_path)
    assert store.values.ravel().tolist() == list(range(12))
    assert store.ids.to_pylist() == list(NAMES)
    assert not report.notices
    config = DataConfig(columns=Columns(), tokens="observation")
    streamed = [SeriesGroups(tmp_path, config).read(number) for number in range(3)]
    assert [part.values.ravel().tolist() for part in streamed] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]


def test_a_column_that_is_empty_in_a_file_has_the_type_of_the_others(tmp_path):
    pq.write_table(table(value=pa.nulls(12)), tmp_path / "0.parquet")
    pq.write_table(table(id=np.repeat(["d", "e", "f"], 4)), tmp_path / "1.parquet")
    assert ParquetFiles(tmp_path).schema.field("value").type == pa.float64()
    assert opened(tmp_path)[0].ids.to_pylist() == ["d", "e", "f"]


def test_categories_and_dates_of_two_files_are_one_table(tmp_path):
    dates = pa.array(np.tile(np.arange(4), 3), pa.int32()).cast(pa.date32())
    coded = table(id=table()["id"].combine_chunks().dictionary_encode(), time=dates)
    stamps = dates.cast(pa.timestamp("ms"))
    pq.write_table(coded, tmp_path / "0.parquet")
    pq.write_table(table(id=np.repeat(["d", "e", "f"], 4), time=stamps), tmp_path / "1.parquet")
    store, _ = opened(tmp_path)
    assert store.ids.to_pylist() == ["a", "b", "c", "d", "e", "f"]
    assert store.times.tolist() == [0.0, 86400.0, 172800.0, 259200.0] * 6


def test_types_that_cannot_be_one_name_both_files_and_the_column(tmp_path):
    pq.write_table(table(), tmp_path / "0.parquet")
    pq.write_table(table(value=["x"] * 12), tmp_path / "1.parquet")
    with pytest.raises(DataError, match=r"'value' is double in .*0\.parquet and string in .*1\.p"):
        opened(tmp_path)


def test_a_folder_of_other_files_says_what_is_read(tmp_path):
    (tmp_path / "x.csv").write_text("id,time,value\na,0,1\n")
    with pytest.raises(DataError, match=r"\.csv.*only Parquet is read"):
        opened(Path(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_id_that_was_named_must_be_there(kind, tmp_path):
    without = table().rename_columns(["unit", "time", "value"])
    path = tmp_path / f"x.{kind}"
    if kind == "csv":
        without.to_pandas().to_csv(path, index=False)
    else:
        pq.write_table(without, path)
    with pytest.raises(DataError, match="'id' not in table; columns: unit, time, value"):
        opened(path, id="id")


def test_only_the_default_is_taken_as_one_series_also_by_what_was_saved():
    once = table().slice(0, 4).drop_columns(["id"])
    for columns in (Columns(), Columns.model_validate_json(Columns().model_dump_json())):
        store, report = open_data(once, DataConfig(columns=columns, tokens="observation"))
        assert len(store) == 1
        assert "taken as one" in report.notices[0]
    named = Columns.model_validate_json(Columns(id="id").model_dump_json())
    with pytest.raises(DataError, match="'id' not in table"):
        open_data(once, DataConfig(columns=named, tokens="observation"))
