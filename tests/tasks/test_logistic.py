"""The logistic regression of probes: scikit-learn's optimum and choice, in far fewer iterations."""

import numpy as np
import pytest

from caesura.errors import DataError
from caesura.tasks.logistic import FoldedLogistic


def cases(rows=240, features=12, classes=4, seed=0):
    """Strongly correlated features of a few classes, standardised."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    centres = rng.normal(size=(classes, features))
    x = (centres[y] + rng.normal(size=(rows, features))) @ rng.normal(size=(features, features))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("features", [12, 400])
def test_probabilities_are_those_of_the_exact_optimum(classes, features):
    from sklearn.linear_model import LogisticRegression

    x, y = cases(features=features, classes=classes)
    exact = LogisticRegression(C=0.1, max_iter=20_000, tol=1e-8).fit(x.astype(float), y)
    fitted = FoldedLogistic((0.1,)).fit(x, y)
    assert fitted.coef_.shape == exact.coef_.shape
    np.testing.assert_allclose(fitted.predict_proba(x), exact.predict_proba(x), atol=0.005)


def test_the_strength_is_the_one_of_least_log_loss_on_the_folds():
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import KFold

    x, y = cases(classes=3)
    cuts, strengths = list(KFold(3).split(x)), (1e-4, 1e-2, 1.0, 100.0)
    theirs = LogisticRegressionCV(
        Cs=strengths, cv=cuts, scoring="neg_log_loss", max_iter=5000, tol=1e-7
    ).fit(x.astype(float), y)
    assert FoldedLogistic(strengths, cuts).fit(x, y).C_[0] == theirs.C_[0]


def test_a_start_changes_nothing_but_the_way():
    x, y = cases()
    cold = FoldedLogistic((1.0,)).fit(x, y)
    warm = FoldedLogistic((1.0,), start=(cold.coef_, cold.intercept_)).fit(x, y)
    np.testing.assert_allclose(warm.predict_proba(x), cold.predict_proba(x), atol=0.01)


def test_rows_of_one_class_say_so():
    with pytest.raises(DataError, match="all 3 cases .* of class 1"):
        FoldedLogistic((1.0,)).fit(np.eye(3), np.ones(3, int))
