"""The kept form: the same store, made anew when its source changes or it is damaged."""

import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_order import random_table

from caesura.data import cache, door
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.errors import DataError

CONFIG = DataConfig(columns=Columns(channel="channel", error="error"), tokens="observation")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("CAESURA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_WORTH_CACHING", 1)
    path = tmp_path / "data.parquet"
    pq.write_table(random_table("text", "date", "text"), path)
    return path


def kept(source):
    return list((source.parent / "cache" / "data").glob("*.arrow"))


def assert_equal(one, two):
    assert one.ids.to_pylist() == two.ids.to_pylist()
    for name in ("channels", "time_kind", "time_zone", "value_names", "static_names",
                 "static_classes"):  # fmt: skip
        assert getattr(one, name) == getattr(two, name), name
    for name in ("values", "observed", "clock", "channel", "offsets", "origins", "error", "groups",
                 "static"):  # fmt: skip
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), name)


def test_the_second_time_nothing_is_read(source, monkeypatch):
    first, report = open_data(source, CONFIG)
    assert len(kept(source)) == 1
    monkeypatch.setattr(door, "_open_table", lambda *a: pytest.fail("read again"))
    second, again = open_data(source, CONFIG)
    assert_equal(first, second)
    assert report == again


def test_gaps_groups_and_statics_are_kept(source):
    table = random_table("whole", "number", "text")
    number = table["id"].to_numpy()
    wide = pa.table({
        "id": number, "time": table["time"], "g": number % 5, "age": number * 1.5,
        "kind": [f"kind {one % 3}" for one in number.tolist()],
        "a": np.where(np.arange(4000) % 3, table["value"], np.nan), "b": table["error"],
    })  # fmt: skip
    pq.write_table(wide, source)
    columns = Columns(value=("a", "b"), group="g", static=("age", "kind"))
    config = DataConfig(columns=columns, tokens="step")
    first, _ = open_data(source, config)
    assert not first.observed.all()
    assert_equal(first, open_data(source, config)[0])


def test_a_changed_source_makes_a_new_form_and_removes_the_old(source):
    open_data(source, CONFIG)
    before = kept(source)
    pq.write_table(random_table("text", "date", "text", seed=1), source)
    store, _ = open_data(source, CONFIG)
    assert len(kept(source)) == 1
    assert kept(source) != before
    assert_equal(store, open_data(source, CONFIG)[0])


def test_other_columns_are_another_form(source):
    open_data(source, CONFIG)
    open_data(source, DataConfig(columns=Columns(channel="channel"), tokens="observation"))
    assert len(kept(source)) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "foreign"])
def test_a_damaged_form_is_told_and_made_anew(source, damage, caplog):
    first, _ = open_data(source, CONFIG)
    (path,) = kept(source)
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 4
    ends = {"cut": len(content) // 3, "flipped": len(content), "emptied": 0, "foreign": 0}
    path.write_bytes(content[: ends[damage]] + (b"PK junk" * 9 if damage == "foreign" else b""))
    with caplog.at_level(logging.WARNING):
        assert_equal(first, open_data(source, CONFIG)[0])
    assert "is cut or damaged" in caplog.text
    caplog.clear()
    assert_equal(first, open_data(source, CONFIG)[0])
    assert "damaged" not in caplog.text


def test_small_sources_and_a_switch_keep_nothing(source, monkeypatch):
    monkeypatch.setattr(cache, "_WORTH_CACHING", 10**9)
    open_data(source, CONFIG)
    monkeypatch.setattr(cache, "_WORTH_CACHING", 1)
    monkeypatch.setenv("CAESURA_CACHE", "off")
    open_data(source, CONFIG)
    assert not kept(source)


def test_what_was_read_without_a_group_is_not_taken_for_data_with_one(source):
    config = CONFIG.model_copy(
        update={"columns": CONFIG.columns.model_copy(update={"group": "field"})}
    )
    assert open_data(source, config, lenient=True)[0].groups is None
    with pytest.raises(DataError, match="column 'field' not in table"):
        open_data(source, config)


def test_files_whose_types_differ_are_joined_by_the_long_way(source, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    table = random_table("whole", "number", "bytes", shuffled=False)
    pq.write_table(table.slice(0, 2000), folder / "a.parquet")
    later = table.slice(2000)
    wider = later.set_column(0, "id", later["id"].cast(pa.int32()))
    pq.write_table(wider, folder / "b.parquet")
    assert len(open_data(folder, CONFIG)[0].clock) == 4000


def test_series_without_values_are_kept_by_name(source):
    ids, times = np.repeat([f"s{k}" for k in range(6)], 4), np.tile(np.arange(4.0), 6)
    values = np.where(ids == "s2", np.nan, np.arange(24.0))
    pq.write_table(pa.table({"id": ids, "time": times, "value": values}), source)
    config = DataConfig(columns=Columns(), tokens="observation")
    read = [open_data(str(source), config)[0] for _ in range(2)]
    assert kept(source)
    for store in read:
        assert store.all_ids.to_pylist() == [f"s{k}" for k in range(6)]
        assert len(store) == 5
