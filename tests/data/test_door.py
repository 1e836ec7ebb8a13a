"""The door: bad input is an error, or is mended and counted; nothing is lost in silence."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from builders import long_table
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.read import read_table
from caesura.errors import DataError


def config(tokens="observation", **columns):
    columns.setdefault("channel", "channel")
    return DataConfig(columns=Columns(**columns), tokens=tokens)


def small(**changes):
    """Return a table of two series with two channels, columns replaced by `changes`."""
    columns = {
        "id": ["a", "a", "a", "b", "b"],
        "time": [0.0, 1.0, 1.0, 5.0, 7.5],
        "channel": ["u", "u", "v", "u", "v"],
        "value": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
    return pa.table(columns | changes)


def same(one, two):
    for name in ("values", "observed", "times", "channel", "offsets"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)
    assert one.ids.to_pylist() == two.ids.to_pylist()


def test_a_long_table_becomes_ragged_columns():
    store, report = open_data(small(), config())
    assert store.ids.to_pylist() == ["a", "b"]
    assert store.offsets.tolist() == [0, 3, 5]
    assert store.times.tolist() == [0.0, 1.0, 1.0, 0.0, 2.5]
    assert [store.channels[c] for c in store.channel] == ["u", "u", "v", "u", "v"]
    assert report.notices == []


@pytest.mark.parametrize("kind", ["parquet", "folder", "csv", "arrow", "pandas", "polars"])
def test_every_kind_of_table_gives_the_same_store(kind, tmp_path):
    table = small()
    if kind == "parquet":
        source = tmp_path / "t.parquet"
        pq.write_table(table, source)
    elif kind == "folder":
        source = tmp_path / "parts"
        source.mkdir()
        pq.write_table(table.slice(0, 2), source / "0.parquet")
        pq.write_table(table.slice(2), source / "1.parquet")
    elif kind == "csv":
        source = tmp_path / "t.csv"
        source.write_text(table.to_pandas().to_csv(index=False))
    elif kind == "arrow":
        source = tmp_path / "t.arrow"
        feather.write_feather(table, source)
    else:
        source = table.to_pandas() if kind == "pandas" else pl.from_arrow(table)
    same(open_data(source, config())[0], open_data(table, config())[0])


def test_unsorted_rows_are_sorted_and_said():
    table = small()
    store, report = open_data(table.take([4, 1, 0, 3, 2]), config())
    wanted, _ = open_data(table, config())
    assert any("not sorted" in notice for notice in report.notices)
    assert sorted(store.ids.to_pylist()) == wanted.ids.to_pylist()
    same(store.take(np.array([1, 0])), wanted)


def test_duplicates_are_averaged_counted_and_shown():
    table = pa.concat_tables([small(), small(value=[3.0, 2.0, 3.0, 4.0, 5.0]).slice(0, 1)])
    store, report = open_data(table, config())
    assert store.values[0, 0] == 2.0
    assert any("1 duplicated rows joined by mean" in n and "id=a" in n for n in report.notices)
    assert open_data(table, config(duplicates="last"))[0].values[0, 0] == 3.0
    with pytest.raises(DataError, match="1 duplicated rows"):
        open_data(table, config(duplicates="error"))


def test_the_same_file_twice_changes_nothing_but_the_report():
    table = long_table(4)
    store, report = open_data(pa.concat_tables([table, table]), config())
    wanted, _ = open_data(table, config())
    np.testing.assert_allclose(store.values, wanted.values)
    assert any(f"{table.num_rows} duplicated rows" in notice for notice in report.notices)


def test_nan_infinity_and_sentinels_are_dropped_and_counted():
    table = small(value=[float("nan"), float("inf"), -1.0, 4.0, 5.0])
    store, report = open_data(table, config(missing=(-1.0,)))
    assert len(store.values) == 2
    text = " ".join(report.notices)
    assert "1 NaN and 1 infinite" in text
    assert "1 values equal to a missing marker" in text
    assert "1 series have no value; what results say of them is empty, first: a" in text


def test_a_single_observation_is_kept_and_said():
    store, report = open_data(small().slice(0, 4), config())
    assert store.lengths.tolist() == [3, 1]
    assert any("1 series have a single observation" in notice for notice in report.notices)


def test_rows_without_a_time_are_dropped_and_counted():
    store, report = open_data(small(time=[0.0, float("nan"), 1.0, 5.0, 7.5]), config())
    assert len(store.values) == 4
    assert any("1 rows without a finite time" in notice for notice in report.notices)


def test_a_table_without_times_is_told_to_number_its_rows():
    with pytest.raises(DataError, match="add one of row numbers"):
        open_data(small().drop(["time"]), config())
    with pytest.raises(DataError, match="Pass --time time$"):
        open_data(small(), config(time="mjd"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"time": "mjd"}, "column 'mjd' not in table; columns: id, time, channel, value. Pass --t"),
        ({"value": ("flux",)}, "column 'flux' not in table.*Pass --value NAME"),
        ({"value": ("channel",)}, "column 'channel' is .*must hold numbers"),
        ({"time": "channel"}, "column 'channel' holds the text 'u', which is no time; times must"),
        ({"id": "time"}, "column 'time' holds fractions; ids must be whole numbers or text"),
    ],
)
def test_wrong_columns_say_what_to_do(columns, message):
    with pytest.raises(DataError, match=message):
        open_data(small(), config(**columns))


def test_a_wide_table_without_value_columns_is_told_its_own():
    table = pa.table({"time": [0, 1], "ward": ["a", "b"]} | {f"v{n}": [0.5, 1.0] for n in range(9)})
    with pytest.raises(DataError) as raised:
        open_data(table, config(channel=""))
    assert "columns: time, ward, v0, v1, v2, v3, v4, v5, v6, v7, v8. Pass" in str(raised.value)
    assert str(raised.value).endswith("--value v0,v1,v2,v3,v4,v5,v6,v7,...")


@pytest.mark.parametrize(("name", "kind"), [("datetime", pa.string()), ("t", pa.timestamp("us"))])
def test_the_column_of_dates_is_proposed_by_type_or_name(name, kind):
    table = pa.table({name: pa.array([None], kind), "load": [0.5]})
    with pytest.raises(DataError, match=f"Pass --time {name}$"):
        open_data(table, DataConfig(columns=Columns(id="", value=("load",))))


def test_mixed_id_types_are_an_error():
    frame = pd.DataFrame({"id": [1, "x"], "time": [0.0, 1.0], "value": [0.0, 1.0]})
    with pytest.raises(DataError, match="mixed types"):
        open_data(frame, config(channel=""))


def test_empty_ids_are_an_error():
    with pytest.raises(DataError, match="column 'id' has 1 empty cells"):
        open_data(small(id=["a", None, "a", "b", "b"]), config())


def test_nothing_measured_is_an_error():
    with pytest.raises(DataError, match="no row has a finite time and value"):
        open_data(small(value=[float("nan")] * 5), config())


def test_empty_missing_and_unknown_files(tmp_path):
    empty = tmp_path / "empty.csv"
    empty.touch()
    header = tmp_path / "header.csv"
    header.write_text("id,time,channel,value\n")
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and nothing else")
    strange = tmp_path / "t.xlsx"
    strange.write_text("x")
    (tmp_path / "none").mkdir()
    for path, message in [
        (empty, "is empty"),
        (header, "has no rows"),
        (broken, "cannot be read"),
        (strange, "unknown kind of file; known: Parquet"),
        (tmp_path / "nowhere.csv", "no file or folder"),
        (tmp_path / "none", "holds no .parquet file"),
    ]:
        with pytest.raises(DataError, match=message):
            open_data(path, config())
    with pytest.raises(DataError, match="cannot read series from int"):
        open_data(3, config())


def test_text_that_is_not_utf_8_is_said(tmp_path):
    """Found by benchmarks/fuzz.py."""
    path = tmp_path / "latin.csv"
    path.write_bytes("id,time,größe\na,1,2\na,2,3\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv holds text that is not UTF-8"):
        open_data(path, DataConfig())
    good = tmp_path / "good.parquet"
    table = pa.table({"id": ["é", "é"], "time": [1, 2], "größe": [2.0, 3.0]})
    pq.write_table(table, good, compression="none")
    content = good.read_bytes()
    for text, wrong in (("größe", b"gr\xe4\xb6\xe1\x9fe"), ("é", b"\xe9\xe9")):
        path.with_suffix(".parquet").write_bytes(content.replace(text.encode(), wrong))
        with pytest.raises(DataError, match=r"UTF-8|cannot be read"):
            open_data(path.with_suffix(".parquet"), DataConfig(columns=Columns(value=("größe",))))
        with pytest.raises(DataError, match=r"UTF-8|cannot be read"):  # as labels are, and queries
            read_table(path.with_suffix(".parquet"))


def test_nanoseconds_as_whole_numbers_are_read_with_gaps_as_without():
    """Found by benchmarks/fuzz_atheris.py: where a cell was empty, they were refused."""
    times = 1_700_000_000_000_000_123 + np.arange(6) * 10**9
    values = np.arange(6.0)
    read = []
    for gap in (np.nan, 2.0):
        values[2] = gap
        table = pa.table({"id": [0] * 6, "time": times, "value": values})
        read.append(open_data(table, DataConfig())[0])
    assert len(read[0].times) == 5
    np.testing.assert_array_equal(read[0].times, np.delete(read[1].times, 2))
    np.testing.assert_allclose(read[1].times, np.arange(6) * 1e9, atol=300)


@pytest.mark.parametrize("value", ["5e1667", "-inf", "1e19"])
def test_ids_beyond_64_bits_are_refused_as_numbers_and_read_as_text(tmp_path, value):
    """Found by benchmarks/fuzz_atheris.py."""
    with pytest.raises(DataError, match="'id' holds numbers beyond 64 bits"):
        open_data(small(id=[float(value)] * 5), config())
    path = tmp_path / "t.csv"
    path.write_text(f"id,time,value\n{value},1,1\n{value},2,2\n")
    assert open_data(path, DataConfig())[0].ids.to_pylist() == [value]


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_a_name_of_two_columns_is_refused(tmp_path, kind):
    """Found by benchmarks/fuzz_atheris.py."""
    one = pa.array([1.0, 2.0])
    table = pa.Table.from_arrays([one, one, one, one], ["id", "time", "value", "value"])
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        path.write_text("id,time,value,value\n1,1,1,1\n2,2,2,2\n")
    elif kind == "parquet":
        pq.write_table(table, path)
    source = table if kind == "arrow" else path
    with pytest.raises(DataError, match="2 columns 'value'; rename or drop"):
        open_data(source, DataConfig())
    with pytest.raises(DataError, match="2 columns 'value'; rename or drop"):
        read_table(source)


@pytest.mark.parametrize("place", [0, 1])
def test_a_footer_that_miscounts_its_rows_is_refused(tmp_path, place):
    """Found by benchmarks/fuzz_atheris.py: rows that are not there came out as whatever was in
    memory."""
    path, rows = tmp_path / "t.parquet", 1000
    pq.write_table(pa.table({"id": [0] * rows, "time": range(rows), "value": [1.0] * rows}), path)
    count, wrong = b"\x16\xd0\x0f", b"\x16\xd2\x0f"  # thrift: an i64 of 1000, one of 1001
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    at = content.index(count, footer) if place == 0 else content.rindex(count)
    path.write_bytes(content[:at] + wrong + content[at + len(count) :])
    with pytest.raises(DataError, match=r"damaged|cannot be read"):
        open_data(path, DataConfig())


def test_the_source_is_not_modified():
    table = long_table(3)
    before = table.to_pydict()
    open_data(table, config(error="error", missing=(0.5,)))
    assert table.to_pydict() == before


@pytest.mark.parametrize("zone", [None, "Europe/Rome"])
def test_dates_keep_microseconds_far_from_1970(zone):
    start = datetime.datetime(2193, 5, 1, 12, 0, 0, 1)
    times = pa.array([start + datetime.timedelta(microseconds=i) for i in range(5)])
    times = times.cast(pa.timestamp("us", tz=zone))
    store, _ = open_data(small(id=["a"] * 5, time=times), config())
    np.testing.assert_allclose(store.times, np.arange(5) * 1e-6, rtol=1e-9)
    assert store.time_kind == "timestamp"
    assert store.time_zone == (zone or "")


def test_iso_text_is_a_date():
    store, _ = open_data(
        small(time=["2024-01-01T00:00:00", "2024-01-01T01:00:00"] + ["2024-01-02"] * 3),
        config(),
    )
    assert store.times[1] == 3600.0


def test_modified_julian_dates_do_not_drift():
    mjd = [59_000.123456, 59_000.123457, 59_001.0, 59_002.0, 59_003.0]
    store, _ = open_data(small(id=["a"] * 5, time=mjd), config())
    assert store.times[1] == pytest.approx(1e-6, rel=1e-3)


def test_a_wide_table_keeps_partly_observed_steps():
    table = pa.table(
        {"id": [1, 1, 2], "time": [0, 1, 0], "a": [1.0, None, 3.0], "b": [None, 2.0, 4.0]}
    )
    wide = config(tokens="step", channel="", value=("a", "b"))
    store, _ = open_data(table, wide)
    assert store.observed.tolist() == [[True, False], [False, True], [True, True]]
    assert store.values[0].tolist() == [1.0, 0.0]
    melted, _ = open_data(table, config(channel="", value=("a", "b")))
    assert melted.channels == ("a", "b")
    assert len(melted.values) == 4


def test_groups_and_statics_belong_to_a_series():
    table = small(age=[50, 50, 50, 60, 60], ward=["x", "x", "x", "y", "y"])
    store, _ = open_data(table, config(group="ward", static=("age",)))
    assert store.static.tolist() == [[50.0], [60.0]]
    assert len(set(store.groups.tolist())) == 2
    with pytest.raises(DataError, match="series a lies in several groups of 'ward'"):
        open_data(small(ward=["x", "y", "x", "y", "y"]), config(group="ward"))
    _, report = open_data(small(age=[50, 51, 50, 60, 60]), config(static=("age",)))
    assert any("'age' changes within 1 series" in notice for notice in report.notices)


def test_arrays_and_lists_are_panels():
    array = np.arange(24.0).reshape(2, 3, 4)
    array[0, 1, 2] = np.nan
    array[1, :, 3] = np.nan
    store, _ = open_data(array, DataConfig(tokens="step"))
    assert store.lengths.tolist() == [4, 3]
    assert not store.observed[2, 1]
    ragged, _ = open_data([array[0], array[1][:, :3]], DataConfig(tokens="step"))
    same(store, ragged)
    melted, _ = open_data(array, DataConfig(tokens="observation"))
    assert melted.lengths.tolist() == [11, 9]
    lacking, report = open_data([array[0], np.full((3, 4), np.nan)], DataConfig(tokens="step"))
    assert (lacking.ids.to_pylist(), lacking.all_ids.to_pylist()) == ([0], [0, 1])
    assert "1 series have no value" in report.notices[0]
    with pytest.raises(DataError, match="the same number of channels"):
        open_data([array[0], array[1][:2]], DataConfig(tokens="step"))


def test_an_unused_channel_column_is_said():
    _, report = open_data(small(), config(channel=""))
    assert any("pass --channel channel" in notice for notice in report.notices)


def stays(count=12, hours=20):
    """Return a long table of stays: a number of each, whole minutes, three parameters."""
    stay, minute, name = np.indices((count, hours, 3)).reshape(3, -1)
    rng = np.random.default_rng(0)
    return pa.table({
        "stay": stay, "minute": 60 * minute, "name": np.array(["HR", "MAP", "Temp"])[name],
        "value": rng.integers(60, 90, len(stay)), "row": np.arange(len(stay)),
    })  # fmt: skip


@pytest.mark.parametrize(
    ("named", "telling"),
    [({}, "'stay' and 'name'"), ({"channel": "name"}, "'stay'"), ({"id": "stay"}, "'name'")],
)
def test_columns_that_would_tell_rows_apart_are_named_before_all_are_joined(named, telling):
    with pytest.raises(DataError, match=f"^most of 720 rows .*; {telling} would tell"):
        open_data(stays(), DataConfig(columns=Columns(time="minute", **named)))
    named = {"id": "stay", "channel": "name"}
    assert len(open_data(stays(), DataConfig(columns=Columns(time="minute", **named)))[0]) == 12
    few = stays().select(["minute", "value", "row"])  # numbers of rows tell nothing
    store, report = open_data(few, DataConfig(columns=Columns(time="minute")))
    assert len(store.values) == 20
    assert any("700 duplicated rows joined by mean" in notice for notice in report.notices)
