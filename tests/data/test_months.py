"""Times by the month: told, counted and written as the calendar has them."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.grid import sample_store
from caesura.data.months import after_months, calendar_of, months_between
from caesura.data.sampling import fit_sampling
from caesura.data.schema import fit_schema


def ticks(dates):
    return pd.DatetimeIndex(dates).as_unit("us").asi8


@pytest.mark.parametrize(
    ("rule", "calendar"),
    [("MS", "month"), ("ME", "month end"), ("QS", "month"), ("YE", "month"), ("D", ""), ("W", ""),
     ("BMS", "business month"), ("BME", "business month end"), ("B", ""), ("30D", "")],
)  # fmt: skip
def test_calendars_are_told(rule, calendar):
    assert calendar_of(ticks(pd.date_range("1979-01-01", periods=120, freq=rule))) == calendar


def test_a_day_of_a_month_or_two_is_no_rule():
    assert calendar_of(ticks(["2020-01-01", "2020-02-01"] * 9)) == ""
    assert (
        calendar_of(ticks(["2020-01-15 08:30", "2020-02-15 08:30", "2020-05-15 08:30"])) == "month"
    )
    assert calendar_of(ticks(["2020-01-15 08:30", "2020-02-15 08:30", "2020-05-15 08:31"])) == ""


@pytest.mark.parametrize(
    ("first", "rule", "calendar"),
    [("1979-01-01", "MS", "month"), ("2003-11-30 23:59:59", "ME", "month end"),
     ("2020-02-29", "ME", "month end")],
)  # fmt: skip
def test_months_are_counted_and_added_as_the_calendar_has_them(first, rule, calendar):
    dates = ticks(pd.date_range(first, periods=500, freq=rule))
    count = np.arange(500.0)
    np.testing.assert_array_equal(months_between(dates[:1], dates, calendar), count)
    np.testing.assert_array_equal(after_months(dates[:1], count, calendar), dates)
    np.testing.assert_array_equal(after_months(dates[-1:], -count[::-1], calendar), dates)


def test_the_31st_is_the_last_day_of_shorter_months():
    found = after_months(ticks(["2019-12-31 06:00"]), np.arange(1.0, 4), "month")
    assert (
        found.tolist()
        == ticks(["2020-01-31 06:00", "2020-02-29 06:00", "2020-03-31 06:00"]).tolist()
    )


@pytest.mark.parametrize("rule", ["MS", "ME", "QS"])
def test_a_grid_of_months_has_each_value_at_a_step_of_its_own(rule):
    dates = pd.date_range("1979-01-01", periods=400, freq=rule)
    table = pa.table({"id": np.repeat([0, 1], 400), "time": pa.array([*dates, *dates]),
                      "value": np.arange(800.0)})  # fmt: skip
    config = DataConfig(columns=Columns(), tokens="step", own_rate=True)
    store, _ = open_data(table, config)
    schema = fit_sampling(store, np.arange(2), fit_schema(store, np.arange(2), config), config)
    series = sample_store(store, schema).series()
    np.testing.assert_array_equal(series, np.arange(800.0).reshape(2, 1, 400))
