"""Rows are put in order by counting; the short way into a store gives what the long way gives."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caesura.data.clean_table import clean_store
from caesura.data.config import Columns
from caesura.data.order import is_strict, sorting_index
from caesura.data.rows import ParquetRows, TableRows
from caesura.data.store import DoorReport
from caesura.data.table import table_to_store

COLUMNS = Columns(channel="channel", error="error")
KINDS = {"whole": np.int32, "text": str, "date": "datetime64[us]"}


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 2)), min_size=1))
@settings(max_examples=150)
def test_the_order_is_that_of_a_stable_lexical_sort(rows):
    series, clock, channel = np.array(rows).T
    series = np.unique(series, return_inverse=True)[1]
    order, starts, in_order = sorting_index(series, clock.astype(float), channel.astype(np.int16))
    np.testing.assert_array_equal(in_order, clock[order])
    np.testing.assert_array_equal(order, np.lexsort((channel, clock, series)))
    np.testing.assert_array_equal(starts, np.searchsorted(np.sort(series), np.unique(series)))
    ordered = np.stack([series, clock, channel])[:, order]
    strict = len({tuple(row) for row in ordered.T.tolist()}) == len(rows)
    assert is_strict(starts, clock[order].astype(float), channel[order]) is strict


def random_table(ids, times, channels, rows=4000, seed=0, shuffled=True):
    rng = np.random.default_rng(seed)
    series = np.sort(rng.integers(0, 50, rows))
    clock = rng.permutation(rows).astype(float) + 0.25
    order = rng.permutation(rows) if shuffled else np.lexsort((clock, series))
    ids_ = {"whole": series + 7, "text": np.array([f"s{n}" for n in series])}[ids]
    times_ = {"number": clock, "date": (clock * 1e6).astype("datetime64[us]")}[times]
    bands = rng.integers(0, 12, rows)
    bands_ = {
        "bytes": bands.astype(np.int8), "negative": (-bands).astype(np.int8),
        "text": np.array(list("zyxwvutsrqpo"))[bands], "whole": bands * 1000,
    }[channels]  # fmt: skip
    return pa.table(
        {"id": ids_, "time": times_, "channel": bands_, "value": rng.normal(size=rows),
         "error": rng.random(rows) + 0.1}
    ).take(pa.array(order))  # fmt: skip


@pytest.mark.parametrize("shuffled", [True, False])
@pytest.mark.parametrize(
    ("ids", "times", "channels"),
    [("whole", "number", "bytes"), ("text", "date", "text"), ("whole", "date", "negative"),
     ("text", "number", "whole")],
)  # fmt: skip
def test_both_ways_into_a_store_agree(ids, times, channels, shuffled, tmp_path):
    table = random_table(ids, times, channels, shuffled=shuffled)
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=333)
    report = DoorReport()
    short = clean_store(ParquetRows(tmp_path / "t.parquet"), COLUMNS, report)
    again = clean_store(TableRows(table), COLUMNS, DoorReport())
    long, _ = table_to_store(table, COLUMNS, per_observation=True)
    assert report.notices == (["rows were not sorted by id and time; sorted (sorted input loads "
                               "faster)"] if shuffled else [])  # fmt: skip
    for store in (short, again):
        assert store.ids.to_pylist() == long.ids.to_pylist()
        for name in ("channels", "time_kind", "time_zone", "channels_are_numbers", "value_names"):
            assert getattr(store, name) == getattr(long, name), name
        for name in ("values", "observed", "clock", "channel", "offsets", "origins", "error"):
            np.testing.assert_array_equal(getattr(store, name), getattr(long, name), name)


def mended(**changes):
    table = random_table("whole", "number", "bytes", shuffled=False)
    for name, (row, value) in changes.items():
        column = table[name].to_pylist()
        column[row] = value
        table = table.set_column(table.column_names.index(name), name, pa.array(column))
    return table


@pytest.mark.parametrize(
    "change",
    [{"value": (5, None)}, {"value": (5, np.nan)}, {"value": (4, np.inf)}, {"time": (3, np.nan)},
     {"error": (9, 0.0)}, {"error": (9, -1.0)}],
)  # fmt: skip
def test_what_needs_mending_takes_the_long_way(change):
    assert clean_store(TableRows(mended(**change)), COLUMNS, DoorReport()) is None


def test_duplicates_take_the_long_way():
    table = mended()
    doubled = pa.concat_tables([table, table.slice(17, 1)])
    assert clean_store(TableRows(doubled), COLUMNS, DoorReport()) is None
    store, report = table_to_store(doubled, COLUMNS, per_observation=True)
    assert len(store.clock) == table.num_rows
    assert any("1 duplicated rows" in notice for notice in report.notices)
