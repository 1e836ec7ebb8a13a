"""Results have the types of the table that was read, where these hold what is to be said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from builders import TINY_GENERATOR
from caesura.data.column_types import as_typed
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.workflow import pretrain


@pytest.mark.parametrize(
    ("values", "type_", "wanted"),
    [
        ([1, 2], "int32", pa.array([1, 2], pa.int32())),
        ([62.0, None], "uint8", pa.array([62, None], pa.uint8())),
        ([1.0, 0.0], "bool", pa.array([True, False])),
        ([0.1, 9.84], "float", pa.array([0.1, 9.84], pa.float32())),
        (["7", "11"], "int16", pa.array([7, 11], pa.int16())),
        (["a", "b", "a"], "dictionary", pa.array(["a", "b", "a"]).dictionary_encode()),
        ([1, 2], "dictionary", pa.array([1, 2])),
        # what a type does not hold stays as it is
        ([-3, 2], "uint8", pa.array([-3, 2])),
        ([300, 2], "int8", pa.array([300, 2])),
        ([0.5, 2.0], "int64", pa.array([0.5, 2.0])),
        ([2.0, 1.0], "bool", pa.array([2.0, 1.0])),
        (["07", "11"], "int16", pa.array(["07", "11"])),
        (["synthetic-0"], "int64", pa.array(["synthetic-0"])),
    ],
)
def test_columns_come_in_a_type_that_holds_them(
    values: list[object], type_: str, wanted: pa.Array
) -> None:
    found = as_typed({"x": values, "y": [1.0] * len(values)}, {"x": type_, "z": "int8"})
    assert found["x"].combine_chunks().equals(wanted)
    assert found["y"].type == pa.float64()


def _table(**changes: pa.DataType) -> pa.Table:
    count, time = 6, 40
    rng = np.random.default_rng(0)
    table = pa.table({
        "id": np.repeat(np.arange(count), time), "time": np.tile(np.arange(time), count),
        "flow": rng.standard_normal(count * time).cumsum(),
        "starts": rng.poisson(3, count * time),
        "age": np.repeat(rng.integers(20, 80, count), time),
        "ill": np.repeat(np.arange(count) % 2 == 0, time),
    })  # fmt: skip
    for name, type_ in changes.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(type_))
    return table


@pytest.mark.parametrize("hole", [False, True], ids=["clean", "mended"])
def test_a_store_knows_the_types_of_its_table(hole: bool) -> None:
    table = _table(id=pa.int32(), starts=pa.uint8()).select(["id", "time", "starts"])
    names = pa.array(["a"] * table.num_rows).dictionary_encode()
    table = table.append_column("kind", names)
    if hole:
        kind = pa.dictionary(pa.int8(), pa.large_string())  # pandas' category
        table = table.set_column(3, "kind", table["kind"].cast(kind))
        table = pa.concat_tables([table, table.slice(0, 1)])
    config = DataConfig(columns=Columns(value=("starts",), channel="kind"))
    store, _ = open_data(table, config)
    assert store.column_types == {"id": "int32", "kind": "dictionary", "starts": "uint8"}


def test_series_are_made_and_filled_in_the_types_of_the_table() -> None:
    table = _table(id=pa.int32(), flow=pa.float32(), starts=pa.uint8(), age=pa.int16())
    run = pretrain(
        table, "timemar", steps=2, settings=["data.window=10", *TINY_GENERATOR],
        columns={"value": ["flow", "starts"], "static": ["age", "ill"]},
    )  # fmt: skip
    made = run.generate(20, condition={"age": 62, "ill": True})
    kinds = {one.name: one.type for one in table.schema}
    assert {one.name: one.type for one in made.schema} == kinds
    assert set(made["age"].to_pylist()) == {62}
    assert set(made["ill"].to_pylist()) == {True}
    assert made["id"].to_pylist()[0] == 6
    known = table.slice(0, 10)
    completed = run.generate(2, given=known)
    assert completed["starts"].type == pa.uint8()
    filled = run.impute(table)
    assert filled["id"].type == pa.int32()
