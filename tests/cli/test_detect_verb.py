"""`caesura detect` beside `Run.detect` and the estimator: one answer by three ways."""

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import caesura
from caesura.cli.main import app


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("detect")
    rng = np.random.default_rng(0)
    values = np.sin(np.arange(500) / 3) + 0.1 * rng.standard_normal(500)
    odd = values[:300].copy()
    odd[200:206] += 3.0
    for name, one in (("normal", values), ("new", odd)):
        marks = np.zeros(len(one), bool)
        marks[200:206] = name == "new"
        table = pa.table(
            {
                "id": ["a"] * len(one),
                "time": np.arange(len(one)),
                "value": one,
                "odd": marks.astype(int),
            }
        )
        pq.write_table(table, folder / f"{name}.parquet")
    settings = [
        "encoder.width=16",
        "encoder.depth=1",
        "encoder.heads=2",
        "encoder.patch=4",
        "data.rate=1",
        "data.window=32",
        "training.threads=1",
        "stages.0.decoder.width=16",
    ]
    run = caesura.pretrain(str(folder / "normal.parquet"), "mae", steps=2, settings=settings)
    run.save(folder / "run")
    return folder


def asked(*arguments):
    return CliRunner().invoke(app, ["detect", *map(str, arguments)])


def test_three_ways_give_one_answer(data):
    out = data / "scores.parquet"
    result = asked(data / "run", "--data", data / "new.parquet", "--by", "PCA", "-o", out)
    assert result.exit_code == 0, result.output
    assert "written: PCA" in result.output
    written = pq.read_table(out)
    run = caesura.load(data / "run")
    assert run.detect(str(data / "new.parquet"), by="PCA").equals(written)
    model = caesura.AnomalyDetector(run=run, by="PCA").fit(str(data / "normal.parquet"))
    scores = model.anomaly_scores(str(data / "new.parquet"))
    np.testing.assert_array_equal(scores["score"], written["score"])
    p = model.p_values(str(data / "new.parquet"))
    np.testing.assert_array_equal(p["p_value"], written["p_value"])


def test_the_table_of_detectors_goes_to_a_file_too(data):
    out, table = data / "marked.csv", data / "table.parquet"
    ways = ("--data", data / "new.parquet", "--truth", "odd", "-o", out)
    result = asked(data / "run", *ways, "--table", table)
    assert result.exit_code == 0, result.output
    rows = {row["detector"]: row for row in pq.read_table(table).to_pylist()}
    assert {"this-run", "random-init-twin", "KNN", "PCA", "uniform noise"} <= set(rows)
    (written,) = [name for name, row in rows.items() if row["written"]]
    assert f"written: {written}" in result.output
    assert rows["PCA"]["VUS-PR"] > rows["uniform noise"]["VUS-PR"]
    assert asked(data / "run", *ways, "--by", "KNN").exit_code == 0
    assert pa.csv.read_csv(data / "marked.detectors.csv").column_names[0] == "detector"


def test_an_unknown_detector_lists_the_known_ones_and_writes_nothing(data):
    out = data / "never.parquet"
    result = asked(data / "run", "--data", data / "new.parquet", "--by", "LOF", "-o", out)
    assert result.exit_code != 0
    assert "unknown detector 'LOF'; known: auto, this-run" in str(result.exception)
    assert not out.exists()


def test_a_file_of_the_users_is_no_table_of_detectors(data, tmp_path):
    (tmp_path / "scores.detectors.csv").write_text("mine\n")
    ways = ("--data", data / "new.parquet", "--by", "PCA", "-o", tmp_path / "scores.parquet")
    result = asked(data / "run", *ways)
    assert "is no table of detectors" in str(result.exception)
    assert (tmp_path / "scores.detectors.csv").read_text() == "mine\n"
