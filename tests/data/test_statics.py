"""Columns that are constant in a series: numbers as they are, classes by their names."""

import numpy as np
import pyarrow as pa
import pytest

from caesura.data.collate import conditions
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.join import joined
from caesura.data.panel import conditioned
from caesura.data.schema import fit_schema
from caesura.errors import DataError

ROOT = 2**0.5
"""What a class of two is to a model."""


def store_of(kind, ids="abc", static=("kind",), classes=()):
    table = pa.table({
        "id": list(np.repeat(list(ids), 2)), "time": [0.0, 1.0] * len(ids),
        "value": np.arange(2.0 * len(ids)),
        "kind": pa.array(np.repeat(np.array(kind, dtype=object), 2).tolist()),
    })  # fmt: skip
    return open_data(table, DataConfig(columns=Columns(static=static, classes=classes)))[0]


def fitted(store):
    return fit_schema(store, np.arange(len(store)), DataConfig(tokens="observation"))


def test_text_is_a_class_and_an_empty_cell_is_none():
    store = store_of(["run", None, "rest"])
    assert store.static_classes == (("rest", "run"),)
    np.testing.assert_array_equal(store.static[:, 0], [1, np.nan, 0])
    assert store.static_column("kind").to_pylist() == ["run", None, "rest"]
    np.testing.assert_allclose(store.static_numbers(), ROOT * np.array([[0, 1], [0, 0], [1, 0]]))
    schema = fitted(store)
    assert schema.conditions == 2
    np.testing.assert_allclose(conditions(store, schema), store.static_numbers(), rtol=1e-6)


@pytest.mark.parametrize("values", [[7, 3, 7], [7.0, None, 3.0], [True, False, True]])
def test_what_is_no_text_is_a_class_where_it_is_named(values):
    plain = store_of(values)
    assert plain.static_classes == ((),)
    assert fitted(plain).conditions == 1
    named = store_of(values, classes=("kind",))
    known = sorted({one for one in values if one is not None})
    assert named.static_classes == (tuple(known),)
    assert named.static_column("kind").to_pylist() == values
    assert store_of(values, static=(), classes=("kind",)).static_names == ("kind",)


def test_arrays_have_a_class_or_a_number_each():
    arrays = np.zeros((3, 1, 4)) + np.arange(4)
    store, _ = open_data(arrays, DataConfig())
    named = conditioned(store, arrays, np.array([1, 0, 1]))
    assert (named.static_names, named.static_classes) == (("y",), ((0, 1),))
    age = conditioned(store, arrays, [50.0, 60.0, 70.5])
    assert age.static_classes == ((),)
    assert age.static_column("y").to_pylist() == [50.0, 60.0, 70.5]
    with pytest.raises(DataError, match=r"3 series and y of shape \(2,\); give one each"):
        conditioned(store, arrays, [1, 2])
    with pytest.raises(DataError, match="y goes with arrays; name a table's own columns"):
        conditioned(store, "table.parquet", [1, 2, 3])


def test_fractions_and_names_of_series_are_no_classes():
    with pytest.raises(DataError, match="holds fractions"):
        store_of([0.5, 1.0, 2.0], classes=("kind",))
    many = np.arange(1001)
    table = pa.table({"id": many, "time": many, "value": many, "kind": many})
    with pytest.raises(DataError, match="1001 classes, 1,000 at most"):
        open_data(table, DataConfig(columns=Columns(classes=("kind",))))


def test_stores_of_other_classes_join():
    one, two = store_of(["run", "rest"], "ab"), store_of(["walk", None, "rest"], "cde")
    both = joined([one, two])
    assert both.static_classes == (("rest", "run", "walk"),)
    assert both.static_column("kind").to_pylist() == ["run", "rest", "walk", None, "rest"]


def test_a_model_refuses_classes_that_it_does_not_know():
    schema = fitted(store_of(["run", "rest", "run"]))
    few = store_of(["run", "run", None])
    expected = ROOT * np.array([[0, 1], [0, 1], [0, 0]])
    np.testing.assert_allclose(conditions(few, schema), expected, rtol=1e-6)
    assert not conditions(store_of([None] * 3, classes=("kind",)), schema).any()
    with pytest.raises(DataError, match="unknown kind 'walk'; the model knows 'rest', 'run'"):
        conditions(store_of(["run", "walk", "run"]), schema)
    with pytest.raises(DataError, match="holds numbers; the model knows classes"):
        conditions(store_of([1.0, 2.0, 3.0]), schema)
    with pytest.raises(DataError, match="the model knows it as numbers"):
        conditions(store_of(["run", "rest", "run"]), fitted(store_of([1.0, 2.0, 3.0])))
