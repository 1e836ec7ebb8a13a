"""Scores of all resamples at once are those of each one by itself."""

import numpy as np
import pytest

from caesura.metrics.bootstrap import bootstrap, percentile_interval, resample_counts
from caesura.metrics.classify import counted_scores, main_score


@pytest.mark.parametrize("task", ["classification", "two classes", "multilabel", "regression"])
@pytest.mark.parametrize("grouped", [False, True])
def test_an_interval_by_counts_is_that_of_the_resamples(task, grouped):
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 20, 80) if grouped else np.arange(80)
    kind = "classification" if task == "two classes" else task
    if kind == "classification":
        count = 2 if task == "two classes" else 4
        truth = rng.integers(0, count, 80)
        predicted = rng.dirichlet(np.ones(count), 80).round(1)  # ties count half
    elif kind == "multilabel":
        truth, predicted = rng.integers(0, 2, (80, 3)), rng.random((80, 3)).round(1)
    else:
        truth = 1e4 + rng.normal(size=(80, 2))
        predicted = truth + rng.normal(size=(80, 2))
    single = bootstrap(lambda c: main_score(kind, truth[c], predicted[c]), groups, draws=50)
    counts = resample_counts(groups, draws=50)
    scores = counted_scores(kind, truth, predicted, counts)
    together = percentile_interval(main_score(kind, truth, predicted), scores)
    assert (together.lower, together.upper) == pytest.approx((single.lower, single.upper))


def test_resamples_without_a_class_are_left_out():
    counts = np.array([[1, 2], [1, 0]], dtype=np.uint16)
    truth, predicted = np.array([[1], [0]]), np.array([[0.9], [0.1]])
    scores = counted_scores("multilabel", truth, predicted, counts)
    assert scores[0] == 1.0
    assert np.isnan(scores[1])
