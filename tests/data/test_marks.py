"""Marks of anomalies: every type that a column of them has."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.grid import GridStore, sample_store
from caesura.data.marks import read_marks
from caesura.errors import DataError
from caesura.recipes.compose import compose
from caesura.tasks.pretrain import prepare, split_of

WANTED = [[False, False, True, True], [False, True, False, False]]


def table(marks, **changes):
    columns = {"id": ["a"] * 4 + ["b"] * 4, "time": [0.0, 1, 2, 3] * 2, "value": np.arange(8.0)}
    return pa.table(columns | {"odd": marks} | changes)


def view_of(source) -> GridStore:
    recipe = compose("lejepa", settings=("data.own_rate=true", "data.window=2"))
    store, _ = open_data(source, DataConfig(columns=Columns(), tokens="step"))
    return sample_store(store, prepare(store, recipe, split_of(store, recipe))[1])


@pytest.mark.parametrize(
    "marks",
    [
        [0, 0, 1, 1, 0, 1, 0, 0],
        [0.0, np.nan, 1.0, 1.0, 0.0, 1.0, 0.0, np.nan],
        [False, False, True, True, False, True, False, False],
        [False, None, True, True, None, True, False, False],
        ["0", "0", "1", "1", "0", "1", "0", "0"],
        ["false", "False", "true", "TRUE", "false", "True", "false", "false"],
        ["normal", "normal", "anomaly", "Anomaly", "normal", "anomaly", None, ""],
        [Decimal(0), Decimal(0), Decimal(1), Decimal(1), Decimal(0), Decimal(1), None, Decimal(0)],
        pa.array(["no", "no", "yes", "yes", "no", "yes", "no", "no"]).dictionary_encode(),
        pa.Array.from_pandas(
            pd.Series([0, 0, 1, 1, 0, 1, None, 0], dtype="Int8").astype("category")
        ),
        pa.array([0, 0, 1, 1, 0, 1, 0, 0], pa.uint8()),
    ],
)
def test_marks_of_every_type_are_the_same(marks):
    source = table(marks)
    assert [one.tolist() for one in read_marks(source, view_of(source), Columns(), "odd")] == WANTED


def test_dates_and_categories_of_ids_are_found_too():
    days = pa.array(pd.date_range("2024-01-01", periods=4).tolist() * 2)
    ids = pa.array(["a"] * 4 + ["b"] * 4).dictionary_encode()
    source = table([0, 0, 1, 1, 0, 1, 0, 0], time=days, id=ids)
    assert [one.tolist() for one in read_marks(source, view_of(source), Columns(), "odd")] == WANTED


def test_words_that_say_nothing_of_it_are_named():
    source = table(["ok", "ok", "fault", "fault", "ok", "fault", "ok", "ok"])
    with pytest.raises(DataError, match="'odd' holds 'ok', 'fault'; marks are 0 and 1"):
        read_marks(source, view_of(source), Columns(), "odd")


def test_no_mark_at_all_is_an_error():
    source = table([0] * 8)
    with pytest.raises(DataError, match="marks no time stamp"):
        read_marks(source, view_of(source), Columns(), "odd")
