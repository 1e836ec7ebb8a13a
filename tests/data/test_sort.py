"""Sorting on disk: all rows, each series whole in one file, in order; nothing half-written."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_stream import COLUMNS, corpus_table

from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.sort import sort_table
from caesura.data.stream import Corpus
from caesura.errors import DataError


@pytest.mark.parametrize("ids", ["text", "whole"])
def test_parts_hold_whole_series_in_order_and_can_be_streamed(tmp_path, ids):
    table = corpus_table(ids=ids)
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
    pq.write_table(shuffled, tmp_path / "t.parquet", row_group_size=100)
    written = sort_table(tmp_path / "t.parquet", tmp_path / "out", ("id", "time"), rows_a_part=900)
    assert len(written) > 2
    seen, rows = [], 0
    for path in written:
        part = pq.read_table(path)
        pairs = list(zip(part["id"].to_pylist(), part["time"].to_pylist(), strict=True))
        assert pairs == sorted(pairs)
        seen.append(set(part["id"].to_pylist()))
        rows += part.num_rows
    assert rows == table.num_rows
    assert sum(map(len, seen)) == len(set.union(*seen)) == 120
    corpus = Corpus(tmp_path / "out", DataConfig(columns=COLUMNS, tokens="observation"), seed=0)
    assert len(corpus) == 120
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "t.parquet"]


def test_nothing_is_overwritten_and_a_wrong_name_is_told(tmp_path):
    pq.write_table(corpus_table(), tmp_path / "t.parquet")
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError, match="nothing is overwritten"):
        sort_table(tmp_path / "t.parquet", tmp_path / "out", ("id", "time"))
    with pytest.raises(DataError, match="'mjd' not in table"):
        sort_table(tmp_path / "t.parquet", tmp_path / "new", ("id", "mjd"))
    assert not (tmp_path / "new").exists()


def test_a_sorted_table_is_not_called_unsorted(tmp_path):
    """Channels of one moment may come in any order."""
    table = pa.table({"id": ["a", "a", "b"], "time": [1.0, 1.0, 0.0], "channel": ["v", "u", "u"],
                      "value": [1.0, 2.0, 3.0]})  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    sort_table(tmp_path / "t.parquet", tmp_path / "out", ("id", "time"))
    config = DataConfig(columns=COLUMNS, tokens="observation")
    store, report = open_data(tmp_path / "out", config)
    assert report.notices == ["1 series have a single observation"]
    assert store.values[:, 0].tolist() == [2.0, 1.0, 3.0]
