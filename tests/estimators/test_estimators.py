"""The scikit-learn estimators: refusals before training, shapes and kinds of what comes out."""

import numpy as np
import pytest

from caesura.errors import DataError, RecipeError
from caesura.estimators import generator
from caesura.estimators.features import PretrainedFeatures
from caesura.estimators.generator import SeriesGenerator
from caesura.estimators.supervised import SeriesClassifier, SeriesRegressor


def test_an_unknown_pooling_is_refused_before_any_training():
    with pytest.raises(RecipeError, match=r"unknown pooling 'max'; known: auto, cls, mean"):
        PretrainedFeatures(pooling="max").fit(np.zeros((9, 1, 8)))


SMALL = ("encoder.width=16", "encoder.heads=2", "stages.1.objective.width=16",
         "stages.1.objective.heads=2", "training.threads=1")  # fmt: skip


def test_a_generator_makes_windows_and_fills_them(caplog):
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    X = np.random.default_rng(0).standard_normal((12, 2, 20)).cumsum(2) + 5
    maker = clone(SeriesGenerator(steps=4, settings=SMALL))
    with pytest.raises(NotFittedError):
        maker.sample(3)
    assert maker.fit(X).sample(3).shape == (3, 2, 20)
    assert "windows of 20 steps" in caplog.text
    np.testing.assert_array_equal(maker.sample(3, seed=1), maker.sample(3, seed=1))
    gaps = X.copy()
    gaps[:, 0, 5:9] = np.nan
    filled = maker.impute(gaps)
    assert np.isfinite(filled).all()
    np.testing.assert_allclose(filled[np.isfinite(gaps)], X[np.isfinite(gaps)])
    shorter = SeriesGenerator(window=8, steps=4, settings=SMALL).fit(list(X))
    assert shorter.sample(2).shape == (2, 2, 8)


def test_a_generator_makes_windows_of_a_class(monkeypatch):
    X = np.random.default_rng(0).standard_normal((12, 1, 20))
    kind = np.resize(["low", "high", "low"], 12)
    maker = SeriesGenerator(steps=4, settings=SMALL).fit(X, kind)
    assert maker.run_.schema.static_classes == (("high", "low"),)
    with monkeypatch.context() as patch:
        shown = []
        patch.setattr(generator, "generate", lambda *a, condition, **k: shown.append(condition))
        for y in (None, "low", ["low", "high"]):
            maker.sample(2, y=y)
    assert shown[0] is None
    assert [rows.argmax(1).tolist() for rows in shown[1:]] == [[1, 1], [1, 0]]
    assert maker.sample(2).shape == maker.sample(2, y="low").shape == (2, 1, 20)
    assert np.isfinite(maker.impute(np.where(X > 1, np.nan, X))).all()
    with pytest.raises(RecipeError, match="unknown y 'middle'; the run knows 'high', 'low'"):
        maker.sample(2, y="middle")
    with pytest.raises(DataError, match="12 series and y of shape"):
        SeriesGenerator(steps=2, settings=SMALL).fit(X, kind[:5])
    with pytest.raises(DataError, match="y goes with arrays; name a table's own columns"):
        SeriesGenerator(steps=2, settings=SMALL).fit({"id": [1], "time": [1], "value": [1]}, [1])


TINY = ("encoder.width=16", "encoder.depth=2", "encoder.heads=2", "training.threads=1",
        "training.lr=0.003")  # fmt: skip
TUNING = ("training.lr=0.003", "training.threads=1")


def bumps(count=48, seed=0):
    """Series of two channels with a bump, early or late, in noise; unequal lengths, gaps."""
    rng = np.random.default_rng(seed)
    late = rng.integers(0, 2, count)
    found = []
    for one in late:
        x = 0.2 * rng.standard_normal((2, rng.integers(24, 28)))
        x[:, 5 + 12 * one : 9 + 12 * one] += 2.0
        x[0, rng.integers(0, 20)] = np.nan
        found.append(x)
    return found, late


def small(kind, **options):
    return kind(steps=4, settings=TINY, tuning_settings=TUNING, **options)


def test_a_classifier_learns_names_of_classes_from_unequal_series_with_gaps():
    X, late = bumps()
    y = np.array(["early", "late"])[late]
    model = small(SeriesClassifier, tuning_steps=60).fit(X, y)
    new, truth = bumps(seed=1)
    said = model.predict_proba(new)
    assert said.shape == (48, 2)
    np.testing.assert_allclose(said.sum(1), 1)
    assert model.score(new, np.array(["early", "late"])[truth]) > 0.9
    assert list(model.classes_) == ["early", "late"]


def test_more_than_ten_classes_keep_their_order():
    X = np.random.default_rng(0).standard_normal((36, 1, 10))
    y = np.tile(np.arange(12) * 10, 3)
    model = small(SeriesClassifier, tuning_steps=3).fit(X, y)
    target = model.run_.schema.target
    said, (own, _) = model.predict_proba(X), model._outputs(X)
    for name, column in zip(target.classes, own.T, strict=True):
        np.testing.assert_array_equal(said[:, int(name)], column)
    assert set(model.predict(X)) <= set(y)


def test_a_regressor_learns_a_number():
    X, late = bumps()
    model = small(SeriesRegressor, tuning_steps=80).fit(X, 100.0 + 10 * late)
    new, truth = bumps(seed=1)
    assert model.score(new, 100.0 + 10 * truth) > 0.7


def test_a_fit_starts_from_what_was_pretrained_and_a_clone_from_the_run_it_is_given(tmp_path):
    from sklearn.base import clone
    from sklearn.exceptions import NotFittedError

    X, late = bumps(24)
    model = small(SeriesClassifier, tuning_steps=1).pretrain(X)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.pretrained_.save(tmp_path / "run")
    first = model.fit(X, late).predict_proba(X)
    np.testing.assert_array_equal(model.fit(X, late).predict_proba(X), first)
    assert not hasattr(clone(model), "pretrained_")
    again = clone(model).set_params(run=tmp_path / "run").fit(X, late)
    np.testing.assert_allclose(again.predict_proba(X), first, atol=1e-6)
    other = clone(model).set_params(steps=8).fit(X, late)
    assert not np.allclose(other.predict_proba(X), first, atol=1e-4)


def test_scikit_learn_can_search_over_it(tmp_path):
    from sklearn.model_selection import GridSearchCV

    X, late = bumps(24)
    X = np.stack([one[:, :24] for one in X])
    run = small(SeriesClassifier).pretrain(X).pretrained_
    run.save(tmp_path / "run")
    model = small(SeriesClassifier, run=tmp_path / "run")
    found = GridSearchCV(model, {"tuning_steps": [1, 40]}, cv=2).fit(X, late)
    assert found.best_params_ == {"tuning_steps": 40}


def test_few_labels_a_class_still_validate(caplog):
    X, late = bumps(24)
    few = [*np.flatnonzero(late == 0)[:3], *np.flatnonzero(late == 1)[:3]]
    small(SeriesClassifier, tuning_steps=2).fit([X[n] for n in few], late[few])
    assert "one of 3 of each class or group validates" in caplog.text
    with pytest.raises(DataError, match="class '1' has 1 labelled series"):
        small(SeriesClassifier, tuning_steps=2).fit([X[n] for n in few[:4]], late[few[:4]])


def test_labels_that_cannot_be_are_refused():
    X = np.zeros((6, 1, 8))
    with pytest.raises(DataError, match="labels hold 1 class"):
        SeriesClassifier().fit(X, np.ones(6))
    with pytest.raises(DataError, match=r"6 series and labels of shape \(4,\)"):
        SeriesClassifier().fit(X, [0, 1, 0, 1])
    with pytest.raises(DataError, match=r"shape \(6, 2\)"):
        SeriesRegressor().fit(X, np.zeros((6, 2)))
    with pytest.raises(DataError, match="1 labels are not finite"):
        SeriesRegressor().fit(X, [0, 1, 2, 3, np.nan, 5])
