"""Tables, frames and arrays in, the same kind out; folders that keep an estimator."""

import json

import numpy as np
import polars
import pyarrow as pa
import pytest
from sklearn.base import clone, is_outlier_detector

from caesura import (
    AnomalyDetector,
    PretrainedFeatures,
    ResolutionProbe,
    SeriesClassifier,
    SeriesForecaster,
    SeriesGenerator,
    SeriesInterpolator,
)
from caesura.errors import CheckpointError, DataError, RecipeError

TINY = ("encoder.width=16", "encoder.depth=2", "encoder.heads=2", "training.lr=0.003")
COLUMNS = {"id": "star", "time": "day", "value": ["flux"]}
SMALL = {"steps": 3, "settings": TINY, "columns": COLUMNS, "n_jobs": 1}


def light(count=12, seed=0):
    """Stars in an order that is not that of their names, the odd ones brighter."""
    rng = np.random.default_rng(seed)
    names = [f"s{number:02d}" for number in rng.permutation(count)]
    rows = [
        (name, float(day), rng.standard_normal() + 3 * (int(name[1:]) % 2))
        for name in names
        for day in np.sort(rng.uniform(0, 30, 15))
    ]
    table = pa.table(
        dict(zip(("star", "day", "flux"), map(list, zip(*rows, strict=True)), strict=True))
    )
    return table, names


KINDS = {"arrow": lambda table: table, "pandas": pa.Table.to_pandas, "polars": polars.from_arrow}


@pytest.mark.parametrize("kind", KINDS)
def test_tables_of_each_kind_come_back_as_that_kind_in_their_own_order(kind):
    table, names = light()
    X = KINDS[kind](table)
    features = PretrainedFeatures(**SMALL).fit(X)
    vectors = features.transform(X)
    assert isinstance(vectors, type(X))
    if kind == "pandas":
        assert list(vectors.index) == names
    columns = vectors.columns if kind != "arrow" else vectors.column_names
    assert list(columns) == list(features.get_feature_names_out())
    one = features.transform(table.filter(pa.compute.equal(table["star"], names[5]))).to_pandas()
    whole = np.stack([np.asarray(vectors[name]) for name in columns], 1)
    np.testing.assert_allclose(whole[[5]], one.to_numpy(), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_follow_the_order_of_a_table_and_so_do_predictions(kind):
    table, names = light(24)
    y = np.array(["odd" if int(name[1:]) % 2 else "even" for name in names])
    model = SeriesClassifier(**SMALL, tuning_steps=60, tuning_settings=("training.lr=0.003",))
    model.fit(KINDS[kind](table), y)
    said = model.predict(KINDS[kind](table))
    assert np.mean(np.asarray(said) == y) > 0.9
    assert model.score(KINDS[kind](table), y) > 0.9
    shares = model.predict_proba(KINDS[kind](table))
    named = shares.columns if kind != "arrow" else shares.column_names
    assert list(named) == ["even", "odd"]
    if kind == "pandas":
        assert list(said.index) == names
    with pytest.raises(DataError, match=r"24 series and labels of shape \(3,\)"):
        model.fit(KINDS[kind](table), y[:3])


def waves(count=6, time=160, seed=0):
    rng = np.random.default_rng(seed)
    at = np.arange(time) + rng.uniform(0, 12, (count, 1, 1))
    return np.sin(2 * np.pi * at / 12) + 0.1 * rng.standard_normal((count, 1, time))


GRID = ("encoder.width=16", "encoder.depth=2", "encoder.heads=2", "encoder.patch=4",
        "training.threads=1")  # fmt: skip


def test_a_forecaster_says_what_follows_and_how_good_it_was():
    X = waves()
    model = SeriesForecaster(horizon=6, window=32, steps=30, settings=GRID).fit(X[..., :-6])
    said = model.predict()
    assert said.shape == (6, 1, 6)
    assert np.abs(said - X[..., -6:]).mean() < 0.5
    assert {row["forecast"] for row in model.backtest_} >= {"seasonal naive", "DLinear"}
    np.testing.assert_allclose(
        clone(model).set_params(run=model.run_).fit(X).predict(X[..., :-6]), said
    )


def test_a_detector_follows_the_convention_of_outlier_detectors(tmp_path):
    X = waves(3, 400)
    model = AnomalyDetector(level=0.02, window=32, steps=5, settings=GRID, by="KNN").fit(X)
    odd = waves(2, 200, seed=1)
    odd[0, 0, 100:112] += 3.0
    scores, labels = model.score_samples(odd), model.predict(odd)
    assert [one.shape for one in scores] == [(200,), (200,)]
    assert scores[0][100:112].mean() < 2 * np.median(scores[1])
    assert model.by_ == model.support_[0]["detector"] == "KNN"
    for one, label, p, away, raw in zip(
        scores,
        labels,
        model.p_values(odd),
        model.decision_function(odd),
        model.anomaly_scores(odd),
        strict=True,
    ):
        np.testing.assert_array_equal(away, one - model.offset_)
        np.testing.assert_array_equal(label, np.where(away < 0, -1, 1))
        np.testing.assert_array_equal(label == -1, p <= max(0.02, model.normality_.null.least))
        np.testing.assert_array_equal(raw, -one)
    assert (labels[0][100:112] == -1).any()
    assert (labels[1] == -1).mean() < 0.2
    model.save(tmp_path / "kept")
    again = AnomalyDetector.load(tmp_path / "kept")
    np.testing.assert_array_equal(again.score_samples(odd)[0], scores[0])
    np.testing.assert_array_equal(again.predict(odd)[0], labels[0])
    assert again.support_ == model.support_
    (tmp_path / "kept" / "normal.safetensors").unlink()
    with pytest.raises(DataError, match="fit it to them again"):
        AnomalyDetector.load(tmp_path / "kept").predict(odd)


def test_a_detector_answers_tables_and_scikit_learn_knows_it_as_one_of_outliers():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "id": np.repeat([3, 4], 160),
            "time": np.tile(np.arange(160), 2),
            "value": waves(2).ravel(),
        }
    )
    model = AnomalyDetector(window=32, steps=5, settings=GRID, by="energy", level=0.1)
    predicted = model.fit_predict(table)
    assert list(predicted.columns) == ["id", "time", "predict"]
    assert set(predicted["predict"]) == {-1, 1}
    assert list(model.p_values(table).columns) == ["id", "time", "p_value"]
    assert is_outlier_detector(model)


def test_an_interpolator_fills_arrays_and_answers_queries():
    X = waves(12, 40)
    X = np.concatenate([X, -X], 1)
    X[:, 0, 5:9] = np.nan
    model = SeriesInterpolator(steps=5, settings=TINY).fit(X)
    filled = model.transform(X)
    assert filled.shape == X.shape
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[np.isfinite(X)], X[np.isfinite(X)])
    lists = model.transform([one[:, :30] for one in X])
    np.testing.assert_allclose(lists[3].shape, (2, 30))
    said = model.predict(X, "every:10").to_pandas()
    assert {"value", "lower", "upper", "trust"} <= set(said.columns)
    table, _ = light()
    frame = SeriesInterpolator(**SMALL).fit(table).predict(table.to_pandas(), "1.5,7")
    assert len(frame) == 24
    with pytest.raises(DataError, match="fills arrays"):
        model.transform(table)


def test_a_resolution_probe_has_a_row_for_each_level():
    X, y = waves(30, 64), np.arange(30) % 2
    X[y == 1, 0, 20:30] += 2.0
    small = ("encoder.widths=[8,16]", "data.rate=1", "data.window=64", "training.threads=1")
    model = ResolutionProbe(steps=3, folds=3, settings=small).fit(X, y)
    names = [row["features"] for row in model.table_]
    assert {"level 1", "level 2"} <= set(names)
    assert model.level_ in names
    with pytest.raises(DataError, match="30 series and labels"):
        ResolutionProbe().fit(X, y[:4])


def test_a_generator_writes_the_table_it_was_fitted_to():
    frame = pa.table(
        {
            "house": np.repeat(["a", "b", "c"], 60),
            "hour": np.tile(np.arange(60), 3),
            "load": waves(3, 60).ravel(),
        }
    ).to_pandas()
    small = ("encoder.width=16", "encoder.heads=2", "stages.1.objective.width=16",
             "stages.1.objective.heads=2")  # fmt: skip
    columns = {"id": "house", "time": "hour", "value": ["load"]}
    made = SeriesGenerator(window=12, steps=4, settings=small, columns=columns, n_jobs=1).fit(frame)
    new = made.sample(5)
    assert list(new.columns) == ["house", "hour", "load"]
    assert len(new) == 60


def test_a_folder_keeps_parameters_classes_and_weights(tmp_path):
    table, names = light(12)
    y = np.array([int(name[1:]) % 2 for name in names])
    model = SeriesClassifier(**SMALL, tuning_steps=2, tuning_settings=("training.threads=1",))
    with pytest.raises(CheckpointError, match="nothing to save"):
        model.save(tmp_path / "new")
    model.fit(table, y).save(tmp_path / "kept")
    again = SeriesClassifier.load(tmp_path / "kept")
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.classes_, [0, 1])
    np.testing.assert_allclose(
        again.predict_proba(table).to_pandas(), model.predict_proba(table).to_pandas(), atol=1e-6
    )
    assert np.asarray(again.predict(table)).dtype.kind == "i"
    with pytest.raises(RecipeError, match="not empty"):
        model.save(tmp_path / "kept")
    with pytest.raises(CheckpointError, match="holds a SeriesClassifier"):
        PretrainedFeatures.load(tmp_path / "kept")
    with pytest.raises(CheckpointError, match="was not saved by an estimator"):
        SeriesClassifier.load(tmp_path)
    (tmp_path / "kept" / "estimator.json").write_text(json.dumps({"class": 3}))
    with pytest.raises(CheckpointError, match="is not an estimator's"):
        SeriesClassifier.load(tmp_path / "kept")


def test_random_states_of_numpy_are_seeds():
    X = waves(6, 20)
    small = {"steps": 2, "settings": TINY}
    one, two = (
        PretrainedFeatures(random_state=np.random.RandomState(3), **small).fit(X).transform(X)
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    other = PretrainedFeatures(random_state=np.random.RandomState(4), **small).fit(X).transform(X)
    assert not np.allclose(one, other)
