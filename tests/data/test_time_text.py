"""Text of dates is read with and without offsets, and written again as it was."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import laid_out
from caesura.answers import times_of
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.store import RaggedStore
from caesura.errors import DataError

_HOURS = pd.date_range("2024-03-28", periods=165, freq="h")
_HALVES = pd.date_range("2024-03-28", periods=165, freq="500ms")
_TEXTS = {
    "Z": _HOURS.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "an offset": _HOURS.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    "an offset without a colon": _HOURS.strftime("%Y-%m-%d %H:%M:%S-0330"),
    "an offset of hours": _HOURS.strftime("%Y-%m-%d %H:%M+00"),
    "the word UTC": _HOURS.strftime("%Y-%m-%d %H:%M:%S UTC"),
    "microseconds": _HALVES.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "nanoseconds": pd.Index([f"2024-01-01T00:00:00.{1000 * k + 7:09d}Z" for k in range(165)]),
    "what pandas prints": _HALVES.to_series().astype(str),
    "what Python prints": pd.Index([one.isoformat() for one in _HALVES]),
    "hours of a zone": pd.date_range("2024-03-30", periods=165, freq="h", tz="Europe/Berlin").map(
        str
    ),
    "days of a zone": pd.date_range("2024-01-01", periods=165, freq="D", tz="America/New_York").map(
        str
    ),
}


def read(*texts: str | None, kind: pa.DataType | None = None) -> RaggedStore:
    column = pa.array(texts, kind or pa.string())
    values = np.arange(float(len(texts)))
    return open_data({"id": ["a"] * len(texts), "time": column, "value": values}, DataConfig())[0]


@pytest.mark.parametrize("name", _TEXTS)
def test_text_comes_back_as_it_was_and_goes_on_so(name: str) -> None:
    texts = pa.array(_TEXTS[name].tolist())
    schema, view = laid_out(texts[:160])
    assert view.lengths.tolist() == [160, 160]
    found = times_of(schema, view.store, np.ones(165, np.int64), np.arange(165))
    assert found.to_pylist() == texts.to_pylist()


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_text_of_other_types_is_read(kind: pa.DataType) -> None:
    store = read("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z", kind=kind)
    assert store.times.tolist() == [0.0, 3600.0]
    assert store.measured(np.array([1])).to_pylist() == ["2024-01-01T01:00:00Z"]


def test_a_category_of_times_is_read_and_is_one_again() -> None:
    texts = pa.array(_TEXTS["Z"][:20].tolist()).dictionary_encode()
    schema, view = laid_out(texts)
    found = times_of(schema, view.store, np.zeros(20, np.int64), np.arange(20))
    assert pa.types.is_dictionary(found.type)
    assert found.to_pylist() == texts.to_pylist()


def test_offsets_are_told_apart() -> None:
    store = read("2024-10-27 02:30:00+02:00", "2024-10-27 02:30:00+01:00")
    assert store.times.tolist() == [0.0, 3600.0]
    first = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert store.origins[0] == first.timestamp() * 10**6


def test_offsets_of_no_zone_are_on_one_axis_and_come_back() -> None:
    texts = ["2024-01-01T00:00:00+09:00", "2023-12-31T16:00:00+00:00", "2024-01-01T00:00:00-02:00"]
    store = read(*texts)
    assert store.times.tolist() == [0.0, 3600.0, 11 * 3600.0]
    assert store.measured(np.arange(3)).to_pylist() == texts


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (["2024-01-01 00:00", "2024-01-02 00:00", "n/a"], "'n/a'"),
        (["2016-12-31 23:59:59", "2016-12-31 23:59:60"], "'2016-12-31 23:59:60'"),
        (["2016-12-31T23:59:59Z", "2016-12-31T23:59:60Z"], "'2016-12-31T23:59:60Z'"),
        (["2024-01-01T00:00:00Z", "soon", "2024-01-02T00:00:00Z"], "'soon'"),
        (["2024-01-01T00:00:00Z", "2024-01-02"], "'2024-01-02'; give all of them one, or none"),
    ],
)
def test_an_error_shows_the_cell_that_is_no_time(texts: list[str], shown: str) -> None:
    with pytest.raises(DataError, match=shown.replace("(", r"\(")):
        read(*texts)


def test_a_note_shows_times_as_times() -> None:
    times = pa.array([datetime(2024, 1, 1), datetime(2024, 1, 1), datetime(2024, 1, 2)])
    _, report = open_data({"id": [1, 1, 1], "time": times, "value": [1.0, 2, 3]}, DataConfig())
    assert "id=1, time=2024-01-01 00:00:00" in report.notices[0]
