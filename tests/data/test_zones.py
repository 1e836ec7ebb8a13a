"""Times that are asked for are those of the data's zone, to their tick."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.queries import lay_out_queries, read_queries
from caesura.data.schema import Schema, fit_schema
from caesura.data.store import RaggedStore
from caesura.errors import DataError

_DAY = datetime(2024, 3, 30)


def read(kind: pa.DataType) -> tuple[RaggedStore, Schema]:
    hours = pa.array(np.arange(48) * 3600 + int(_DAY.replace(tzinfo=UTC).timestamp()))
    times = hours.cast(pa.timestamp("s")).cast(pa.timestamp("ns")).cast(kind)
    store, _ = open_data({"id": ["a"] * 48, "time": times, "value": np.arange(48.0)}, DataConfig())
    return store, fit_schema(store, np.arange(1), DataConfig())


def asked(kind: pa.DataType, times: pa.Array) -> list[float]:
    store, schema = read(kind)
    queries, _ = read_queries({"id": ["a"] * len(times), "time": times}, store, schema)
    return queries.times.tolist()


def test_times_without_a_zone_are_those_of_the_data_and_a_note_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    berlin = pa.timestamp("us", tz="Europe/Berlin")
    noon = pa.array(["2024-03-30 12:00"])
    assert asked(berlin, noon) == [11 * 3600.0]
    assert "query times have no zone; they are taken as times of the data's, Europe/Berlin" in (
        caplog.text
    )
    assert asked(berlin, pa.array(["2024-03-30T12:00:00Z"])) == [12 * 3600.0]
    store, schema = read(berlin)
    queries, table = lay_out_queries("2024-03-30 12:00", store, schema)
    assert queries.times.tolist() == [11 * 3600.0]
    assert table["time"].to_pylist()[0].isoformat() == "2024-03-30T12:00:00+01:00"


@pytest.mark.parametrize("text", ["2024-03-31 02:30", "2024-10-27 02:30"])
def test_a_time_that_a_clock_shows_twice_or_never_is_an_error(text: str) -> None:
    with pytest.raises(DataError, match=r"show 2024-\d\d-\d\d 02:30.* twice or never"):
        asked(pa.timestamp("us", tz="Europe/Berlin"), pa.array([text]))


def test_times_in_a_zone_asked_of_times_without_one_are_an_error() -> None:
    with pytest.raises(DataError, match="in the zone UTC, the data's have none"):
        asked(pa.timestamp("us"), pa.array(["2024-03-30T12:00:00Z"]))
    store, schema = read(pa.timestamp("us"))
    with pytest.raises(DataError, match="--at times are in the zone UTC"):
        lay_out_queries("2024-03-30T12:00:00Z", store, schema)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("other", ["s", "ms", "us", "ns"])
def test_units_of_times_do_not_matter(unit: str, other: str) -> None:
    times = pa.array([_DAY.replace(hour=6)]).cast(pa.timestamp(other))
    assert asked(pa.timestamp(unit), times) == [6 * 3600.0]


def test_nanoseconds_lose_nothing() -> None:
    ticks = 1_711_324_800_000_000_001 + np.arange(4) * 1_000_000_007
    times = pa.array(ticks).cast(pa.timestamp("ns"))
    store, _ = open_data({"id": [1] * 4, "time": times, "value": [0.0] * 4}, DataConfig())
    assert store.measured(np.arange(4)).equals(times)
    assert store.times.tolist() == [0.0, 1.000000007, 2.000000014, 3.000000021]
    schema = fit_schema(store, np.arange(1), DataConfig())
    _, table = lay_out_queries("2024-03-25T00:00:00.000000008", store, schema)
    assert table["time"].combine_chunks().cast(pa.int64()).to_pylist() == [ticks[0] + 7]


def test_whole_numbers_beyond_doubles_lose_nothing() -> None:
    ticks = 2**60 + 1 + np.arange(4) * 3
    store, _ = open_data({"id": [1] * 4, "time": ticks, "value": [0.0] * 4}, DataConfig())
    assert store.times.tolist() == [0.0, 3.0, 6.0, 9.0]
    assert store.measured(np.arange(4)).to_pylist() == ticks.tolist()
    schema = fit_schema(store, np.arange(1), DataConfig())
    _, table = lay_out_queries(f"{2**60 + 2},{2**60 + 3}", store, schema)
    assert table["time"].to_pylist() == [2**60 + 2, 2**60 + 3]
    _, table = lay_out_queries("every:3", store, schema)
    assert table["time"].to_pylist() == ticks.tolist()
