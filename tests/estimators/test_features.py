"""The scikit-learn transformer refuses what it does not know before it trains."""

import numpy as np
import pytest

from caesura.errors import RecipeError
from caesura.estimators.features import PretrainedFeatures


def test_an_unknown_pooling_is_refused_before_any_training():
    with pytest.raises(RecipeError, match=r"unknown pooling 'max'; known: auto, cls, mean"):
        PretrainedFeatures(pooling="max").fit(np.zeros((9, 1, 8)))
