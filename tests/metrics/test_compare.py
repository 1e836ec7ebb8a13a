"""Comparisons over data sets and seeds."""

import numpy as np
import pytest

from caesura.metrics.compare import (
    cliques,
    hierarchical_bootstrap,
    mean_ranks,
    variance_shares,
    wilcoxon_holm,
)
from caesura.metrics.skill import (
    anomaly_skill,
    classification_skill,
    forecast_skill,
    regression_skill,
)


def test_an_interval_over_sets_is_wider_than_one_over_seeds():
    rng = np.random.default_rng(0)
    between = rng.standard_normal((8, 1)) + 0.01 * rng.standard_normal((8, 3))
    found = hierarchical_bootstrap(between)
    assert found.lower < found.value < found.upper
    assert found.upper - found.lower > 0.5  # eight sets of deviation 1
    assert hierarchical_bootstrap(between.T).upper - found.value < 2  # one set, eight seeds
    assert hierarchical_bootstrap(np.full((4, 3), 0.2)).excludes_zero


def test_an_interval_holds_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        table = 0.3 * rng.standard_normal((12, 1)) + 0.1 * rng.standard_normal((12, 3))
        found = hierarchical_bootstrap(table, draws=400)
        hits += found.lower <= 0 <= found.upper
    assert 170 <= hits <= 200


def test_shares_of_a_planted_design_are_found():
    rng = np.random.default_rng(2)
    a, b = np.array([0.0, 3.0, 6.0]), np.array([0.0, 1.0])
    table = a[:, None, None] + b[None, :, None] + 0.01 * rng.standard_normal((3, 2, 50))
    found = variance_shares(table, ("objective", "view", "seed"))
    assert found["objective"] == pytest.approx(6 / 6.25, abs=0.01)
    assert found["view"] == pytest.approx(0.25 / 6.25, abs=0.01)
    assert sum(found.values()) == pytest.approx(1)
    crossed = a[:, None, None] * b[None, :, None] + np.zeros((3, 2, 4))
    assert variance_shares(crossed, ("a", "b", "c"))["a x b"] > 0.1


def test_ranks_and_pairs_know_a_better_method():
    rng = np.random.default_rng(3)
    base = rng.standard_normal((20, 1))
    table = base + np.array([0.0, 0.01, 1.0]) + 0.1 * rng.standard_normal((20, 3))
    ranks, p = mean_ranks(table), wilcoxon_holm(table)
    assert ranks.argmin() == 2
    assert p[0, 2] < 0.01 < p[0, 1]
    assert cliques(ranks, p) == [[int(i) for i in np.argsort(ranks)[1:]]]
    assert wilcoxon_holm(np.ones((5, 2))) == {(0, 1): 1.0}


def test_holm_multiplies_the_smallest_p_by_the_number_of_pairs():
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(4)
    table = rng.standard_normal((12, 3))
    raw = {(a, b): wilcoxon(table[:, a] - table[:, b]).pvalue for a, b in ((0, 1), (0, 2), (1, 2))}
    found = wilcoxon_holm(table)
    first = min(raw, key=raw.get)
    assert found[first] == pytest.approx(min(1, 3 * raw[first]))


def test_skills_are_bounded_and_zero_without_learning():
    truth = np.array([0, 0, 0, 1])
    assert classification_skill(truth, np.zeros(4, int), 2) == 0
    assert classification_skill(truth, truth, 2) == 1
    assert classification_skill(truth, 1 - truth, 2) == -1
    values = np.arange(9.0)
    assert regression_skill(values, np.full(9, 4.0)) == 0
    assert regression_skill(values, 100 * values) == -1
    assert forecast_skill(0.5, 1.0) == 0.5
    assert forecast_skill(9.0, 1.0) == -1
    assert anomaly_skill(0.3, 0.1) == pytest.approx(0.2)
