"""Columns of the data that are named as a result's own stay, in every verb that writes a table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import caesura
from builders import TINY_GENERATOR
from caesura.data.column_types import beside, free_name
from caesura.data.write import check_apart, check_writable
from caesura.errors import DataError

GRID = (
    "data.rate=1",
    "data.window=16",
    "encoder.patch=4",
    "encoder.width=16",
    "encoder.depth=1",
    "encoder.heads=2",
)


def regular(**names):
    steps, rng = np.arange(80), np.random.default_rng(0)
    series = [
        pd.DataFrame(
            {
                names.get("id", "id"): f"s{i}",
                names.get("time", "time"): steps,
                names.get("value", "x"): np.sin(steps / 3 + i) + 0.1 * rng.normal(size=80),
            }
        )
        for i in range(6)
    ]
    return pd.concat(series, ignore_index=True)


@pytest.fixture(scope="module", params=["channel", "value"])
def named(request):
    """A run whose ids, or whose times, are called as columns of results are."""
    columns = {"id": request.param, "time": "lower", "value": ["score"]}
    table = regular(id=request.param, time="lower", value="score")
    run = caesura.pretrain(table, "lejepa", steps=2, settings=GRID, columns=columns)
    return run, table, request.param


def test_forecasts_and_scores_keep_ids_and_times(named):
    run, table, name = named
    ids = set(table[name])
    ahead = run.forecast(table, horizon=2)
    assert ahead.column_names[:2] == [name, "lower"]
    assert set(ahead[name].to_pylist()) == ids
    assert ahead["lower"].to_pylist()[:2] == [80, 81]
    assert f"result_{name}" in ahead.column_names
    assert np.isfinite(ahead["result_lower"].to_numpy()).all()
    assert set(run.detect(table, normal=table)[name].to_pylist()) == ids


@pytest.mark.parametrize("names", [{"id": "channel"}, {"id": "draw"}, {"time": "value"}])
def test_generators_keep_ids_and_times(names):
    table = regular(**names)
    run = caesura.pretrain(
        table,
        "timemar",
        steps=4,
        settings=("data.window=16", *TINY_GENERATOR),
        columns={"value": ["x"], **names},
    )
    whole = run.impute(table, draws=2).to_pandas()
    key = [names.get("id", "id"), names.get("time", "time")]
    assert len(whole.merge(table, on=key)) == len(table)
    part = table[table[key[1]] < 16]
    drawn = run.generate(2, given=part)
    assert set(drawn[key[0]].to_pylist()) == set(table[key[0]])


def test_queries_keep_their_own_columns(run_folder):
    run = caesura.load(run_folder)
    query = pa.table(
        {
            "id": ["s0", "s1"],
            "time": [1.0, 2.0],
            "channel": ["u", "v"],
            "value": [5.0, 6.0],
            "trust": pa.nulls(2, pa.string()),
        }
    )
    table = run.interpolate(None, query)
    assert table["value"].to_pylist() == [5.0, 6.0]
    assert set(table["trust"].to_pylist()) <= {"high", "low"}  # was left empty, to be filled
    assert "result_trust" not in table.column_names
    plain = run.interpolate(None, query.select(["id", "time", "channel"]))
    assert table["result_value"].equals(plain["value"])


def test_predictions_keep_ids(run_folder):
    from builders import label_table

    run = caesura.load(run_folder)
    tuned = caesura.finetune(run, label_table(), steps=2)
    for name in ("prediction", "p_slow"):
        columns = tuned.schema.columns.model_copy(update={"id": name})
        schema = tuned.schema.model_copy(update={"columns": columns})
        store = run.open()
        outputs = np.tile([0.25, 0.75], (len(store), 1))
        renamed = type(tuned)(tuned.recipe, schema, tuned.parts)
        table = renamed.prediction_table(store, outputs)
        assert table[name].to_pylist() == store.ids.to_pylist()
        assert table[f"result_{name}"].to_pylist()[0] in ("slow", 0.25, 0.75)


def test_a_free_name_is_told(caplog):
    assert free_name("value", {"id"}) == "value"
    assert not caplog.messages
    assert free_name("value", {"value", "result_value"}) == "result_result_value"
    assert "'value' is of the data" in caplog.text
    assert list(beside({"lower": 1}, {"lower": 2, "upper": 3})) == [
        "lower",
        "result_lower",
        "upper",
    ]


def test_a_result_is_not_written_over_what_is_read(tmp_path):
    data = tmp_path / "data.parquet"
    data.write_bytes(b"x")
    (tmp_path / "link.parquet").symlink_to(data)
    for path in (data, tmp_path / "link.parquet", tmp_path / "a" / ".." / "data.parquet"):
        with pytest.raises(DataError, match="what is read"):
            check_writable(path, None, str(data))
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(DataError, match="count as data"):
        check_writable(folder / "z.parquet", folder)
    with pytest.raises(DataError, match="count as data"):
        check_apart(folder / "z", folder)
    check_writable(folder / "z.csv", folder)
    check_writable(tmp_path / "z.parquet", data, folder, np.zeros(3))
