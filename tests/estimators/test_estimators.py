"""The scikit-learn estimators: refusals before training, shapes and kinds of what comes out."""

import numpy as np
import pytest

from caesura.errors import RecipeError
from caesura.estimators.features import PretrainedFeatures
from caesura.estimators.generator import SeriesGenerator


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
