"""Ids, channels and classes: one spelling by every type and way in, and the type again on the way
out."""

import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caesura.data.column_types import typed
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.groups import SeriesGroups
from caesura.data.labels import read_labels
from caesura.data.queries import lay_out_queries, read_queries
from caesura.data.schema import fit_schema
from caesura.data.spelling import is_whole, spelled
from caesura.estimators.frames import count_of, order_of
from caesura.recipes.compose import compose
from caesura.run import Run

UUIDS = [uuid.UUID(int=k + 1).bytes for k in range(3)]
IDS = {
    "string": pa.array(["c", "a", "b"]),
    "large_string": pa.array(["c", "a", "b"], pa.large_string()),
    "string_view": pa.array(["c", "a", "b"], pa.string_view()),
    "category": pa.array(["c", "a", "b"]).dictionary_encode(),
    "category of numbers": pa.array([3, 1, 2]).dictionary_encode(),
    "int8": pa.array([3, 1, 2], pa.int8()),
    "uint64": pa.array([2**64 - 1, 1, 2], pa.uint64()),
    "double": pa.array([3.0, 1.0, 2.0]),
    "float": pa.array([3.0, 1.0, 2.0], pa.float32()),
    "halffloat": pa.array(np.array([3, 1, 2], np.float16)),
    "decimal": pa.array([Decimal("3.00"), Decimal("1.00"), Decimal("2.00")]),
    "fractional decimal": pa.array([Decimal("3.50"), Decimal("1.25"), Decimal("2.00")]),
    "date": pa.array([20000, 19000, 19500], pa.int32()).cast(pa.date32()),
    "timestamp": pa.array([3, 1, 2], pa.timestamp("ms")),
    "uuid": pa.array(UUIDS, pa.uuid()),
    "binary of 16": pa.array(UUIDS, pa.binary(16)),
    "bytes": pa.array([b"c", b"a", b"b"]),
}


def config(**columns):
    return DataConfig(columns=Columns(**columns), tokens="observation")


def long_table(ids, clean=True):
    """Return three series of four observations; not clean: one more, without a value."""
    rows = pa.array(np.repeat(np.arange(3), 4).tolist() + ([] if clean else [0]))
    values = pa.array(np.arange(12.0).tolist() + ([] if clean else [None]), pa.float64())
    times = np.tile(np.arange(4.0), 3).tolist() + ([] if clean else [9.0])
    cells = ids.take(rows) if not pa.types.is_string_view(ids.type) else None
    if cells is None:
        cells = ids.cast(pa.string()).take(rows).cast(pa.string_view())
    return pa.table({"id": cells, "time": times, "value": values})


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_type_join_with_their_labels_and_queries(kind, clean):
    ids, table = IDS[kind], long_table(IDS[kind], clean)
    store, _ = open_data(table, config())
    assert store.values.ravel().tolist() == list(range(12))
    labels = pa.table({"id": ids, "kind": ["x", "y", "x"]})
    assert read_labels(labels, store, "id").series.tolist() == [0, 1, 2]
    schema = fit_schema(store, np.arange(3), config())
    query = pa.table({"id": ids, "time": [0.0, 1.0, 2.0]})
    assert read_queries(query, store, schema)[0].series.tolist() == [0, 1, 2]
    assert order_of(table, store.ids, "id").tolist() == [0, 1, 2]
    assert count_of(table, None) == 3
    laid = lay_out_queries("0", store, schema)[1]["id"]
    wanted = {"string_view": pa.string(), "category of numbers": pa.int64()}.get(kind, ids.type)
    assert laid.type == wanted
    assert laid.to_pylist() == ids.to_pylist()


@pytest.mark.parametrize("kind", IDS)
def test_ids_of_every_type_are_found_by_their_text(kind):
    store, _ = open_data(long_table(IDS[kind]), config())
    labels = pa.table({"id": spelled(IDS[kind]), "kind": ["x", "y", "x"]})
    assert read_labels(labels, store, "id").series.tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", sorted(set(IDS) - {"string_view", "uuid", "category"}))
def test_streams_read_ids_of_every_type(kind, tmp_path):
    pq.write_table(long_table(IDS[kind]), tmp_path / "x.parquet", row_group_size=6)
    groups = SeriesGroups(tmp_path / "x.parquet", config())
    found = [groups.read(number) for number in range(2)]
    ids = [one for store in found if store is not None for one in store.ids.to_pylist()]
    assert ids == open_data(long_table(IDS[kind]), config())[0].ids.to_pylist()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_nullable_types_and_categories_of_frames_come_back(library):
    texts = ["c", "a", "b"]
    for ids in (
        [
            pd.array(texts, "string"),
            pd.Categorical(texts, ["z", "a", "b", "c"]),
            pd.array([3, 1, 2], "Int64"),
        ]
        if library == "pandas"
        else [pl.Series(texts, dtype=pl.Categorical), pl.Series([3, 1, 2], dtype=pl.Int16)]
    ):
        rows = np.repeat(np.arange(3), 2)
        columns = {"id": ids[rows], "time": [0.0, 1.0] * 3, "value": np.arange(6.0)}
        frame = pd.DataFrame(columns) if library == "pandas" else pl.DataFrame(columns)
        store, report = open_data(frame, config())
        assert not report.notices  # a category that no row has is no series without values
        back = typed(store.ids, store.column_types.get("id", "")).to_pylist()
        assert back == list(ids)


CHANNELS = {
    "whole floats": (pa.array([1.0, 2.0]), ("1", "2"), True),
    "fractions": (pa.array([0.5, 1.0]), ("0.5", "1"), False),
    "single fractions": (pa.array([0.1, 1.0], pa.float32()), ("0.1", "1"), False),
    "integers": (pa.array([1, 2], pa.int16()), ("1", "2"), True),
    "bytes": (pa.array([1, 2], pa.uint8()), ("1", "2"), True),
    "decimals": (pa.array([Decimal("1.0"), Decimal("2.0")]), ("1", "2"), True),
    "decimal fractions": (pa.array([Decimal("1.50"), Decimal("2.00")]), ("1.5", "2"), False),
    "booleans": (pa.array([False, True]), ("False", "True"), False),
    "categories": (pa.array(["u", "v"]).dictionary_encode(), ("u", "v"), False),
    "views": (pa.array(["u", "v"], pa.string_view()), ("u", "v"), False),
}


def channelled(cells, **changes):
    if pa.types.is_string_view(cells.type):
        cells = cells.cast(pa.string())
    columns = {
        "id": np.repeat(["a", "b"], 8).tolist(),
        "time": np.repeat(np.tile(np.arange(4.0), 2), 2),
        "channel": cells.take(pa.array([0, 1] * 8)),
        "value": np.arange(16.0),
    }
    return pa.table(columns | changes)


@pytest.mark.parametrize("kind", CHANNELS)
def test_a_channel_has_one_name_by_every_way_in(kind, tmp_path):
    cells, names, numbered = CHANNELS[kind]
    values = np.arange(16.0)
    mended = pa.array([None, *values[1:].tolist()])
    used = config(channel="channel")
    table = channelled(cells)
    stores = [open_data(one, used)[0] for one in (table, channelled(cells, value=mended))]
    grouped = channelled(cells, g=[1] * 16)
    stores.append(open_data(grouped, config(channel="channel", group="g"))[0])
    pq.write_table(channelled(cells, value=mended), tmp_path / "x.parquet", row_group_size=8)
    groups = SeriesGroups(tmp_path / "x.parquet", used)
    stores += [groups.read(0), groups.read(1)]
    for store in stores:
        assert store.channels == names
        assert store.channels_are_numbers is numbered
    schema = fit_schema(stores[0], np.arange(2), used)
    query = pa.table({"id": ["a", "a"], "time": [0.0, 1.0], "channel": cells})
    assert read_queries(query, stores[0], schema)[0].variable.tolist() == [0, 1]
    written = lay_out_queries("0", stores[0], schema)[1]["channel"]
    views = pa.types.is_string_view(cells.type)
    assert written.type == (pa.string() if views else cells.type)
    assert written.to_pylist()[:2] == cells.to_pylist()


LABELS = {
    "booleans": pa.array([True, False, True]),
    "floats": pa.array([1.0, 0.0, 1.0]),
    "fractions": pa.array([0.5, 1.5, 0.5]),
    "bytes": pa.array([1, 0, 1], pa.int8()),
    "decimals": pa.array([Decimal("1.5"), Decimal("2.0"), Decimal("1.5")]),
    "texts": pa.array(["x", "y", "x"]),
    "categories": pa.array(["x", "y", "x"]).dictionary_encode(),
    "dates": pa.array([20000, 19000, 20000], pa.int32()).cast(pa.date32()),
}


@pytest.mark.parametrize("kind", LABELS)
def test_a_prediction_has_the_type_of_its_label(kind):
    recipe = compose("romae")
    store, _ = open_data(long_table(IDS["string"]), config())
    labels = pa.table({"id": IDS["string"], "y": LABELS[kind]})
    known = read_labels(labels, store, "id", task="classification")
    schema = fit_schema(store, np.arange(3), config())
    run = Run(recipe, schema.model_copy(update={"target": known.target}), {})
    outputs = np.eye(2)[known.values]
    table = run.prediction_table(store, outputs)
    assert table["prediction"].type == LABELS[kind].type
    assert table["prediction"].to_pylist() == LABELS[kind].to_pylist()
    assert table.column_names[2:] == [f"p_{name}" for name in known.target.classes]
    assert table[f"p_{spelled(LABELS[kind])[0]}"].to_pylist() == [1.0, 0.0, 1.0]


def test_rare_classes_that_are_left_out_leave_the_type_of_the_others():
    ids = pa.array([f"s{k}" for k in range(12)])
    rows = ids.take(pa.array(np.repeat(np.arange(12), 2)))
    columns = {"id": rows, "time": [0.0, 1.0] * 12, "value": np.arange(24.0)}
    store, _ = open_data(pa.table(columns), config())
    labels = pa.table({"id": ids, "y": pa.array([7] * 5 + [8] * 5 + [9] * 2, pa.int16())})
    found = read_labels(labels, store, "id", rare="drop")
    assert (found.target.classes, found.target.label_type) == (("7", "8"), "int16")
    assert read_labels(labels, store, "id", rare="other").target.classes == ("7", "8", "other")


def test_whole_numbers_are_those_that_are_written_so():
    assert all(map(is_whole, ("0", "7", "-12", str(2**63 - 1))))
    assert not any(map(is_whole, ("007", "-0", "+7", "1E5", "1.0", "", " 7", str(2**63))))
