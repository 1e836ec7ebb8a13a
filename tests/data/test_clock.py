"""Times are written as the table they were read from writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from caesura.data.clock import Clock
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.store import RaggedStore

_DAYS = [date(1969, 12, 30) + timedelta(one) for one in (0, 1, 2, 5)]
_MOMENTS = [datetime(2024, 3, 30, 23) + timedelta(minutes=one) for one in (0, 30, 60, 150)]
_HALVES = [one + timedelta(milliseconds=500) for one in _MOMENTS]


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array(values).cast(kind)


_COLUMNS = {
    "days": pa.array(_DAYS),
    "days in milliseconds": _column(_DAYS, pa.date64()),
    "seconds": _column(_MOMENTS, pa.timestamp("s")),
    "milliseconds": _column(_HALVES, pa.timestamp("ms")),
    "microseconds": _column(_HALVES, pa.timestamp("us")),
    "nanoseconds": _column(_HALVES, pa.timestamp("ns")),
    "a zone": pa.array(
        [one.replace(tzinfo=UTC) for one in _MOMENTS], pa.timestamp("ns", tz="Europe/Paris")
    ),
    "text of days": pa.array([f"{one}" for one in _DAYS]),
    "text of minutes": pa.array([f"{one:%Y-%m-%d %H:%M}" for one in _MOMENTS]),
    "text of seconds": pa.array([f"{one}" for one in _MOMENTS]),
    "text with a T": pa.array([one.isoformat() for one in _MOMENTS], pa.large_string()),
    "text of milliseconds": pa.array([f"{one}"[:-3] for one in _HALVES]),
    "text of microseconds": pa.array([f"{one}" for one in _HALVES]),
    "int64": pa.array([3, 4, 6, 7]),
    "int32": pa.array([3, 4, 6, 7], pa.int32()),
    "uint8": pa.array([3, 4, 6, 7], pa.uint8()),
    "whole float64": pa.array([3.0, 4.0, 6.0, 7.0]),
    "float64": pa.array([0.1, 0.2, 0.4, 0.7]),
    "float32": pa.array([0.1, 0.2, 0.4, 0.7], pa.float32()),
}


def _store(times: pa.Array, hole: bool = False) -> RaggedStore:
    values = [1.0, 2.0, None if hole else 3.0, 4.0]
    table = pa.table({"id": ["a", "a", "b", "b"], "time": times, "value": values})
    return open_data(table, DataConfig())[0]


@pytest.mark.parametrize("hole", [False, True], ids=["clean", "mended"])
@pytest.mark.parametrize("name", _COLUMNS)
def test_times_come_back_in_the_type_they_had(name: str, hole: bool) -> None:
    store = _store(_COLUMNS[name], hole)
    found = store.written(store.series, store.times)
    wanted = _COLUMNS[name].take([0, 1, 3]) if hole else _COLUMNS[name]
    text = pa.types.is_large_string(wanted.type)
    assert found.equals(wanted.cast(pa.string()) if text else wanted)


@pytest.mark.parametrize("name", ["days", "days in milliseconds"])
def test_a_noon_is_a_timestamp_where_the_table_has_days(name: str) -> None:
    store = _store(_COLUMNS[name])
    found = store.written(np.array([0, 1]), np.array([86_400.0, 43_200.0]))
    assert found.type == pa.timestamp("us")
    assert found.to_pylist() == [datetime(1969, 12, 31), datetime(1970, 1, 1, 12)]


@pytest.mark.parametrize(
    ("name", "since", "kind"),
    [
        ("seconds", 0.25, pa.timestamp("us")),
        ("nanoseconds", 3e10, pa.timestamp("us")),  # the year 2974
        ("uint8", 300.0, pa.int64()),
        ("uint8", 0.5, pa.float64()),
    ],
)
def test_what_a_type_cannot_hold_is_written_exactly(
    name: str, since: float, kind: pa.DataType
) -> None:
    store = _store(_COLUMNS[name])
    found = store.written(np.array([0]), np.array([since]))
    assert found.type == kind
    begin = store.origins[0] + since * store.ticks
    in_table = begin / 1000 if name == "nanoseconds" else begin
    exact = found.cast(pa.int64()) if pa.types.is_timestamp(kind) else found
    assert exact.to_pylist() == [in_table]


def test_fractions_by_a_column_of_whole_numbers_are_kept() -> None:
    store = _store(_COLUMNS["int64"])
    assert store.written(np.array([0]), np.array([0.5])).to_pylist() == [3.5]
    near = store.written(np.array([0]), np.array([1 / 3 * 3]))
    assert near.type == pa.int64()


def test_a_noon_is_text_of_more_digits_where_the_table_has_text_of_days() -> None:
    found = _store(_COLUMNS["text of days"]).written(np.array([0, 1]), np.array([86_400.0, 43_200]))
    assert found.to_pylist() == ["1969-12-31", "1970-01-01 12:00:00"]


def test_text_of_several_layouts_is_written_as_it_was() -> None:
    texts = ["2024-01-01", "2024-01-02 12:00", "2024-01-03 00:00:00.5", "2024-01-04"]
    store = _store(pa.array(texts))
    assert store.measured(np.arange(4)).to_pylist() == texts
    assert store.measured(np.array([2, 0])).to_pylist() == [texts[2], texts[0]]
    assert store.take(np.array([1])).measured(np.arange(2)).to_pylist() == texts[2:]


def test_a_clock_of_no_form_writes_microseconds_and_whole_numbers() -> None:
    assert Clock("timestamp").written(np.array([5])).type == pa.timestamp("us")
    assert Clock().written(np.array([1.0, 2.0])).type == pa.int64()
    assert Clock().written(np.array([1.5, 2.0])).type == pa.float64()
