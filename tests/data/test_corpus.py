"""Corpora: shards that go on after a kill, archive files, and series in common."""

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pytest

from caesura.data import corpus
from caesura.data.config import DataConfig
from caesura.data.corpus import as_long_table, shared_series, synthesise
from caesura.data.door import open_data
from caesura.data.fingerprint import Register
from caesura.data.read import read_table
from caesura.errors import DataError


def walks(count=6, length=900, seed=0):
    rng = np.random.default_rng(seed)
    steps = rng.standard_normal((count, length + 40))
    smooth = np.stack([np.convolve(s.cumsum(), np.ones(9) / 9, "same") for s in steps])
    return list(smooth[:, 20:-20])


def test_shards_are_the_same_in_one_go_or_after_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "SHARD", 4)
    synthesise("kernel-synth", 10, 40, tmp_path / "a", seed=2)
    paths = synthesise("kernel-synth", 8, 40, tmp_path / "b", seed=2)
    before = paths[0].stat().st_mtime_ns
    synthesise("kernel-synth", 10, 40, tmp_path / "b", seed=2)
    assert paths[0].stat().st_mtime_ns == before
    one, two = (read_table(tmp_path / k) for k in "ab")
    assert one.equals(two)
    assert one.num_rows == 400
    with pytest.raises(DataError, match="made with other settings"):
        synthesise("kernel-synth", 10, 41, tmp_path / "a", seed=2)
    with pytest.raises(DataError, match="unknown generator 'magic'; known: kernel-synth, lmc"):
        synthesise("magic", 10, 40, tmp_path / "c")


def test_several_channels_are_wide(tmp_path):
    synthesise("lmc", 3, 30, tmp_path, channels=4)
    assert read_table(tmp_path).column_names == ["id", "time", "v0", "v1", "v2", "v3"]


def test_a_monash_file_is_read_with_its_gaps(tmp_path):
    path = tmp_path / "a.tsf"
    path.write_text(
        "# a comment\n@relation x\n@attribute series_name string\n"
        "@attribute start_timestamp date\n@frequency daily\n@data\n"
        "T1:2020-01-01 00-00-00:1.0,?,3.5\nT2:2021-01-01 00-00-00:4,5\n"
    )
    table = read_table(path)
    assert table["id"].to_pylist() == ["T1", "T1", "T1", "T2", "T2"]
    assert table["time"].to_pylist() == [0, 1, 2, 0, 1]
    assert table["value"].to_pylist() == [1.0, None, 3.5, 4.0, 5.0]
    store, _ = open_data(path, DataConfig())
    assert store.lengths.tolist() == [2, 2]
    path.write_text("@attribute series_name string\n@data\nT1:1,x\n")
    with pytest.raises(DataError, match="line 3"):
        read_table(path)


def test_a_gluonts_file_is_read_with_one_channel_or_several(tmp_path):
    path = tmp_path / "a.arrow"
    feather.write_feather(pa.table({"item_id": ["a", "b"], "target": [[1.0, 2.0], [3.0]]}), path)
    table = as_long_table(str(path))
    assert table.to_pydict() == {"id": ["a", "a", "b"], "time": [0, 1, 0], "value": [1.0, 2, 3]}
    feather.write_feather(pa.table({"target": [[[1.0, 2.0], [3.0, 4.0]]]}), path)
    table = as_long_table(str(path))
    assert table["channel"].to_pylist() == ["0", "0", "1", "1"]


def test_the_csv_of_long_term_forecasting_is_a_series_a_variable(tmp_path):
    path = tmp_path / "ett.csv"
    path.write_text("date,HUFL,OT\n2016-07-01,1,2\n2016-07-02,3,4\n")
    table = as_long_table(str(path))
    assert table.to_pydict() == {
        "id": ["HUFL", "HUFL", "OT", "OT"], "time": [0, 1, 0, 1], "value": [1.0, 3, 2, 4],
    }  # fmt: skip
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="no column 'date'"):
        as_long_table(str(path))


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: 3 * x + 7,
        lambda x: x[300:800],
        lambda x: x[::2],
        lambda x: x[: len(x) // 3 * 3].reshape(-1, 3).mean(1),
        lambda x: np.interp(np.arange(0, len(x) - 1, 1 / 1.5), np.arange(len(x)), x),
        lambda x: x + 0.01 * x.std() * np.random.default_rng(1).standard_normal(len(x)),
    ],
    ids=["copy", "rescaled", "cut", "every second", "means of three", "finer", "noise"],
)
def test_a_series_is_found_again(change):
    register = Register()
    known = walks()
    register.add(known)
    found = register.overlaps([change(x) for x in known])
    assert {one.series for one in found} == set(range(6))
    assert all(one.known == one.series for one in found)


def test_other_series_are_not_found():
    register = Register()
    register.add(walks(20))
    assert register.overlaps(walks(20, seed=5)) == []
    # any two sines are alike and say nothing
    t = np.arange(900.0)
    register.add([np.sin(t / 7)])
    assert register.overlaps([np.sin(t / 9 + 1)]) == []


def test_shared_series_are_named_by_id_and_channel():
    values = walks(4)

    def store(rows):
        n = len(rows[0])
        ids = np.repeat([f"s{i}" for i in range(len(rows))], n)
        return open_data(
            pa.table(
                {"id": ids, "time": np.tile(np.arange(n), len(rows)), "value": np.concatenate(rows)}
            ),
            DataConfig(),
        )[0]

    rows = shared_series(store(values), store([*walks(1, seed=9), values[2] * 5]))
    assert [(row["series"], row["overlaps"]) for row in rows] == [("s1", "s2")]
