"""aeon's own checks of its estimators; `make extras` runs them in an environment with aeon."""

import pytest

pytest.importorskip("aeon", reason="aeon caps numpy: `make extras` has an environment of its own")

from aeon.testing.estimator_checking import parametrize_with_checks

from caesura.estimators.aeon import AeonClassifier, AeonFeatures, AeonRegressor


@parametrize_with_checks([AeonFeatures, AeonClassifier, AeonRegressor])
def test_aeon_finds_its_own_estimators(check):
    check()
