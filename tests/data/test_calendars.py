"""Steps of a grid have the times of the table, and go on as its calendar does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from builders import laid_out
from caesura.answers import times_of
from caesura.data.calendars import after, elapsed
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.sampling import fit_sampling
from caesura.data.schema import fit_schema

_ROWS, _MORE = 160, 5
_COUNT = np.arange(_ROWS + _MORE)
_MARCH_2024 = 1_711_324_800


def dates(rule: str, first: str, zone: str | None = None, unit: str = "us") -> pa.Array:
    """Return what pandas has of a frequency."""
    return pa.array(pd.date_range(first, periods=len(_COUNT), freq=rule, tz=zone, unit=unit))


_CALENDARS = {
    "business days": dates("B", "2023-01-02"),
    "business days of a zone": dates("B", "2023-01-02", "America/New_York"),
    "last business day of a month": dates("BME", "2005-01-31"),
    "first business day of a month": dates("BMS", "2005-01-03"),
    "last business day of a quarter": dates("BQE", "1980-03-31"),
    "last business day of a month of a zone": dates("BME", "2005-01-31", "Asia/Tokyo"),
    "ends of months": dates("ME", "2005-01-31"),
    "months of a zone": dates("MS", "2005-01-01", "Europe/Berlin"),
    "ends of quarters": dates("QE", "1980-03-31"),
    "ends of years": dates("YE", "1850-12-31"),
    "weeks of a zone": dates("W", "2022-01-02", "Europe/Berlin"),
    "days of a zone": dates("D", "2023-08-01", "Europe/Berlin"),
    "days of a zone without a change": dates("D", "2024-04-01", "Europe/Berlin"),
    "noons of a zone": dates("D", "2018-05-01 12:00", "America/Sao_Paulo"),
    "every other day of a zone": dates("2D", "2023-08-01", "America/New_York"),
    "hours of a zone": dates("h", "2024-03-28", "Europe/Berlin"),
    "quarters of an hour of a zone": dates("15min", "2024-10-26", "Europe/Berlin"),
    "hours of an offset": dates("h", "2024-03-28", "+02:00"),
    "weeks": dates("W-WED", "2020-01-01"),
    "business days without times": dates("B", "2023-01-02").cast(pa.date32()),
    "business days in milliseconds": dates("B", "2023-01-02").cast(pa.date32()).cast(pa.date64()),
    "seconds": dates("90s", "2024-01-01", unit="s"),
    "30 a second in nanoseconds": pa.array(
        _MARCH_2024 * 10**9 + np.round(_COUNT / 30 * 1e9).astype(np.int64)
    ).cast(pa.timestamp("ns")),
    "30 a second in milliseconds": pa.array(np.round(_COUNT / 30 * 1e3).astype(np.int64)).cast(
        pa.timestamp("ms")
    ),
}
_NUMBERS = {
    "tenths of days": pa.array(60_000 + _COUNT * 0.1),
    "50 a second": pa.array(_COUNT / 50),
    "thirds": pa.array(_COUNT / 30),
    "30 a second, rounded": pa.array(np.round(_COUNT / 30, 3)),
    "30 a second, whole": pa.array(np.round(_COUNT / 30 * 1e3).astype(np.int64)),
    "30 a second, cut off": pa.array(np.floor(_COUNT / 30 * 1e3).astype(np.int64)),
    "24 a second, begun late": pa.array(np.round((_COUNT + 7) / 24 * 1e3).astype(np.int64)),
    "120 a second, whole": pa.array(np.round(_COUNT / 120 * 1e3).astype(np.int32)),
    "nanoseconds since 1970": pa.array(_MARCH_2024 * 10**9 + 1 + _COUNT * 1_000_003),
    "seconds since 1970": pa.array(_MARCH_2024 + _COUNT / 1000),
    "float32": pa.array((_COUNT * 0.1).astype(np.float32)),
    "uint8": pa.array(_COUNT.astype(np.uint8)),
}


@pytest.mark.parametrize("times", [*(_CALENDARS | _NUMBERS).values()], ids=[*_CALENDARS, *_NUMBERS])
def test_steps_have_the_times_of_the_table_and_go_on_as_it_does(times: pa.Array) -> None:
    schema, view = laid_out(times[:_ROWS])
    assert view.lengths.tolist() == [_ROWS, _ROWS]
    found = times_of(schema, view.store, np.ones(len(times), np.int64), _COUNT)
    assert found.equals(times)


@pytest.mark.parametrize("times", [*_CALENDARS.values()], ids=[*_CALENDARS])
def test_steps_that_are_missing_have_the_dates_of_the_calendar(times: pa.Array) -> None:
    there = np.delete(np.arange(_ROWS), [3, 20, 21, 77, 120])
    schema, view = laid_out(times.take(pa.array(there)))
    assert view.lengths.tolist() == [_ROWS, _ROWS]
    found = times_of(schema, view.store, np.zeros(len(times), np.int64), _COUNT)
    assert found.equals(times)


@pytest.mark.parametrize(
    ("name", "hertz"),
    [
        ("30 a second, rounded", 30.0),
        ("50 a second", 50.0),
        ("tenths of days", 10.0),
        ("30 a second in nanoseconds", 30.0),
        ("120 a second, whole", 0.12),
    ],
)
def test_a_rate_is_that_of_the_whole_series_and_round(name: str, hertz: float) -> None:
    schema, _ = laid_out((_CALENDARS | _NUMBERS)[name][:_ROWS])
    assert schema.sampling is not None
    assert schema.sampling.rate_hz == hertz


def test_a_clock_that_jitters_neither_slips_nor_drifts() -> None:
    hours, rng = 8760, np.random.default_rng(0)
    jitter = np.round(rng.normal(0, 60, hours) * 1e6).astype(np.int64)
    times = pa.array(np.arange(hours) * 3_600_000_000 + jitter).cast(pa.timestamp("us"))
    schema, view = laid_out(times)
    assert schema.sampling is not None
    assert schema.sampling.rate_hz == 1 / 3600
    assert view.lengths.tolist() == [hours, hours]
    np.testing.assert_array_equal(view.series()[0][0], np.arange(hours))
    found = times_of(schema, view.store, np.zeros(hours + 1, np.int64), np.arange(hours + 1))
    assert found[:hours].equals(times)
    assert abs(found[hours].cast(pa.int64()).as_py() - hours * 3_600_000_000) < 60_000_000


def test_times_of_another_rate_that_counts_as_the_same_do_not_slip() -> None:
    times = pa.array(np.round(_COUNT / 30, 3))
    schema, view = laid_out(times[:_ROWS], rate=30.303, window=0.2)
    assert view.lengths.tolist() == [_ROWS, _ROWS]
    np.testing.assert_array_equal(view.series()[0][0], np.arange(_ROWS))
    found = times_of(schema, view.store, np.zeros(len(times), np.int64), _COUNT)
    assert found.equals(times)


def test_what_is_resampled_has_the_times_of_the_grid() -> None:
    times = pa.array(np.arange(100) * 2)
    schema, view = laid_out(times, rate=1.0, window=4.0)
    steps = np.arange(int(view.lengths[0]))
    found = times_of(schema, view.store, np.zeros(len(steps), np.int64), steps)
    np.testing.assert_array_equal(found, steps)


def test_every_third_step_has_the_time_of_the_table() -> None:
    times = pa.array(60_000 + np.arange(30) * 0.1)
    schema, view = laid_out(times, every=3)
    assert view.lengths.tolist() == [10, 10]
    found = times_of(schema, view.store, np.zeros(11, np.int64), np.arange(11))
    assert found[:10].equals(times.take(pa.array(np.arange(0, 30, 3))))
    assert found[10].as_py() == 60_003.0


def test_channels_of_a_step_have_their_own_times() -> None:
    seconds = np.arange(40) * 1.0
    table = pa.table(
        {
            "id": ["a"] * 80,
            "time": np.concatenate([seconds, seconds + 0.125]),
            "channel": np.repeat(["u", "v"], 40),
            "value": np.arange(80.0),
        }
    )
    config = DataConfig(columns=Columns(channel="channel"), own_rate=True, window=4)
    store, _ = open_data(table, config)
    schema = fit_schema(store, np.arange(1), config)
    schema = fit_sampling(store, np.arange(1), schema, config, silent=True)
    series, steps = np.zeros(3, np.int64), np.array([0, 7, 40])
    found = [
        times_of(schema, store, series, steps, np.full(3, code)).to_pylist() for code in (0, 1)
    ]
    assert found == [[0.0, 7.0, 40.0], [0.125, 7.125, 40.0]]


def test_days_with_holidays_and_one_saturday_are_counted_by_weekdays() -> None:
    days = pd.bdate_range("2023-01-02", periods=300).delete([70, 100, 101, 180, 240])
    days = days.append(pd.DatetimeIndex(["2023-06-03"])).sort_values()  # a Saturday
    schema, view = laid_out(pa.array(days))
    assert schema.sampling is not None
    assert schema.sampling.calendar == "weekdays 1111100"
    steps = np.arange(int(view.lengths[0]) + 1)
    found = times_of(schema, view.store, np.zeros(len(steps), np.int64), steps)
    expected = pd.bdate_range("2023-01-02", periods=301)
    assert len(steps) == 301
    assert found.to_pandas().tolist() == expected.tolist()


@pytest.mark.parametrize("first", ["2024-02-29 08:30", "2023-03-25 23:59:59.999999"])
@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "America/New_York", "+05:30"])
@pytest.mark.parametrize(
    "calendar", ["day", "weekdays 1111100", "month", "month end", "business month end"]
)
def test_what_is_counted_is_added_again(first: str, zone: str, calendar: str) -> None:
    start = pd.Timestamp(first, tz=zone or None).as_unit("ns").value
    begin = np.full(400, start)
    second = {"day": 86_400.0, "weekdays 1111100": 86_400.0}.get(calendar, 365.2425 / 12 * 86_400)
    since = np.arange(400) * second
    later = after(begin, since, calendar, zone, 10**9)
    counted = elapsed(later[:1], later, calendar, zone, 10**9)
    np.testing.assert_allclose(counted, since, atol=1e-3 if "month" not in calendar else 4 * 86_400)
    assert (np.diff(later) > 0).all()


def test_a_day_at_a_time_that_a_clock_leaps_over_begins_after_the_leap() -> None:
    first = pd.Timestamp("2024-03-29 02:30", tz="Europe/Berlin").value
    found = after(np.full(4, first), np.arange(4) * 86_400.0, "day", "Europe/Berlin", 10**9)
    wall = pd.DatetimeIndex(found, tz="UTC").tz_convert("Europe/Berlin")
    assert [f"{one:%d %H:%M}" for one in wall] == ["29 02:30", "30 02:30", "31 03:00", "01 02:30"]
