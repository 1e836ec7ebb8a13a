"""Controls are what they say."""

import numpy as np
import pyarrow as pa
import pytest

from builders import long_table
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.queries import Queries
from caesura.data.schema import fit_schema
from caesura.tasks.controls import STATISTICS, channel_statistics
from caesura.tasks.filling import neighbours, ridge_predictions

CONFIG = DataConfig(columns=Columns(channel="channel"), tokens="observation", scaling="off")


def test_statistics_are_those_of_numpy():
    store = open_data(long_table(5), CONFIG)[0]
    found = channel_statistics(store, fit_schema(store, np.arange(5), CONFIG))
    rows = (store.series == 2) & (store.channel == 1)
    x = store.values[rows, 0]
    wanted = [np.log1p(len(x)), x.mean(), x[-1], x.std(), x.min(), x.max(), x[0]]
    np.testing.assert_allclose(found[2, len(STATISTICS) :], wanted, rtol=1e-5)


def test_a_channel_that_was_not_seen_is_nan_but_its_count_is_zero():
    table = pa.table({"id": ["a", "b", "b", "c"], "time": [0.0, 0, 1, 0],
                      "channel": ["u", "u", "v", "u"], "value": [1.0, 2, 3, 4]})  # fmt: skip
    store = open_data(table, CONFIG)[0]
    found = channel_statistics(store, fit_schema(store, np.arange(3), CONFIG))
    width = len(STATISTICS)
    assert found[0, width] == 0
    assert np.isnan(found[0, width + 1 :]).all()


def test_neighbours_are_previous_following_and_between():
    table = pa.table({"id": ["a"] * 4, "time": [0.0, 2.0, 4.0, 1.0],
                      "channel": ["u", "u", "u", "v"], "value": [0.0, 4.0, 2.0, 9.0]})  # fmt: skip
    store = open_data(table, CONFIG)[0]
    schema = fit_schema(store, np.arange(1), CONFIG)
    asked = Queries(np.zeros(4, np.int64), np.array([1.0, 3.0, -1.0, 9.0]), np.zeros(4, np.int64))
    near = neighbours(store, asked, schema)
    assert near.last_value().tolist() == [0.0, 4.0, 0.0, 2.0]
    assert near.following.tolist() == [4.0, 2.0, 0.0, 2.0]
    assert near.linear.tolist() == [2.0, 3.0, 0.0, 2.0]
    assert near.own_mean.tolist() == [2.0] * 4
    assert near.others[:, 1].tolist() == [9.0] * 4


def test_a_ridge_finds_a_linear_rule():
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((400, 3)), rng.integers(0, 2, 400)
    y = np.where(v == 0, x[:, 0], -2 * x[:, 1])
    found = ridge_predictions(x[:300], y[:300], v[:300], x[300:], v[300:])
    assert np.square(found - y[300:]).mean() == pytest.approx(0, abs=1e-2)
