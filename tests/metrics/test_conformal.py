"""Intervals cover new cases at their level, by variable, whatever the noise."""

import json

import numpy as np
import pytest

from caesura.metrics.bootstrap import bootstrap
from caesura.metrics.classify import auroc, main_score
from caesura.metrics.conformal import Conformal, Normaliser


def cases(seed, count=6000):
    """Residuals whose size grows with the distance, and differs by variable."""
    rng = np.random.default_rng(seed)
    variable = rng.integers(0, 3, count)
    distance = rng.exponential(2.0, count)
    distance[rng.random(count) < 0.05] = np.inf
    near = np.where(np.isfinite(distance), distance, 8.0)
    residual = np.abs(rng.standard_normal(count)) * (1 + variable) * (1 + near)
    return residual, variable, distance


def fitted():
    residual, variable, distance = cases(0)
    return Conformal.fit(Normaliser.fit(residual, variable, distance, 4), *cases(1))


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.99])
def test_coverage_holds_for_each_variable(level):
    residual, variable, distance = cases(2)
    covered = residual <= fitted().half_width(variable, distance, level)
    for code in range(3):
        assert covered[variable == code].mean() == pytest.approx(level, abs=0.03)


def test_intervals_widen_with_distance_and_level():
    conformal = fitted()
    v = np.zeros(3, dtype=np.int64)
    widths = conformal.half_width(v, np.array([0.01, 3.0, 9.0]), 0.9)
    assert (np.diff(widths) > 0).all()
    one = conformal.half_width(v[:1], np.array([1.0]), 0.5)
    assert one < conformal.half_width(v[:1], np.array([1.0]), 0.95)


def test_what_was_not_calibrated_is_not_trusted():
    conformal = fitted()
    trusted = conformal.trusted(np.array([0, 0, 3]), np.array([1.0, 1e6, 1.0]))
    assert trusted.tolist() == [True, False, False]


def test_json_makes_a_round_trip():
    conformal = fitted()
    again = Conformal.from_json(json.loads(json.dumps(conformal.to_json())))
    residual, variable, distance = cases(3)
    np.testing.assert_allclose(
        conformal.half_width(variable, distance, 0.9), again.half_width(variable, distance, 0.9)
    )


def test_auroc_equals_its_definition_and_sklearns():
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(0)
    truth, score = rng.integers(0, 2, 200), rng.integers(0, 20, 200).astype(float)
    assert auroc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    assert np.isnan(auroc(np.ones(3), score[:3]))
    three = rng.dirichlet(np.ones(3), 200)
    labels = np.concatenate([[0, 1, 2], rng.integers(0, 3, 197)])
    wanted = roc_auc_score(labels, three, multi_class="ovr", average="macro")
    assert main_score("classification", labels, three) == pytest.approx(wanted)


def test_bootstrap_resamples_whole_groups():
    groups = np.repeat(np.arange(10), 20)
    values = np.repeat(np.random.default_rng(0).standard_normal(10), 20)
    grouped = bootstrap(lambda c: float(values[c].mean()), groups)
    single = bootstrap(lambda c: float(values[c].mean()), np.arange(200))
    assert grouped.upper - grouped.lower > 2 * (single.upper - single.lower)
    assert grouped.lower < grouped.value < grouped.upper
