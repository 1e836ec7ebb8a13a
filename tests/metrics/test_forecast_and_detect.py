"""Forecast and detection scores against closed forms and literal transcriptions."""

import numpy as np
import pytest

from caesura.metrics.detect import (
    Null,
    affiliation_f1,
    all_detection_scores,
    events,
    independent_count,
    p_values,
    point_adjusted,
    point_f1,
    range_f1,
    soft_labels,
    threshold_of,
    vus_pr,
)
from caesura.metrics.forecast import (
    mae,
    mase,
    mse,
    quantile_loss,
    seasonal_error,
    seasonal_naive,
    weighted_quantile_loss,
)


def marked(size, *spans):
    labels = np.zeros(size, dtype=bool)
    for start, stop in spans:
        labels[start:stop] = True
    return labels


def test_errors_leave_gaps_out_and_scale_by_the_season():
    truth, said = np.array([1.0, np.nan, 3.0]), np.array([2.0, 5.0, 1.0])
    assert (mse(truth, said), mae(truth, said)) == (2.5, 1.5)
    past = np.array([0.0, 10, 1, 11, 2, 12])
    assert seasonal_error(past, 2) == 1
    assert mase(truth, said, 0.5) == 3
    with pytest.raises(ValueError, match="not longer than the season 6"):
        seasonal_error(past, 6)
    np.testing.assert_array_equal(seasonal_naive(past, 5, 2), [2, 12, 2, 12, 2])


def test_the_quantile_loss_is_least_at_the_quantile():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(20_000)
    grid = np.linspace(-2, 2, 81)
    for level, expected in ((0.1, -1.28), (0.5, 0.0), (0.9, 1.28)):
        losses = [quantile_loss(truth, np.full_like(truth, q), level) for q in grid]
        assert grid[int(np.argmin(losses))] == pytest.approx(expected, abs=0.08)
    assert quantile_loss(truth, truth + 1, 0.5) == pytest.approx(1)
    three = np.stack([truth + 1] * 3)
    found = weighted_quantile_loss(truth, three, (0.5, 0.5, 0.5))
    assert found == pytest.approx(1 / np.abs(truth).mean())


def literal_vus_pr(labels, scores, widths):
    """Every threshold in turn, as the definition has it."""
    areas = []
    for width in widths:
        soft = soft_labels(labels, events(labels), width)
        spans = events(soft > 0)
        area, before = 0.0, 0.0
        for threshold in sorted(set(scores), reverse=True):
            said = scores >= threshold
            hits = (soft * said).sum()
            share = np.mean([said[a:b].any() for a, b in spans])
            recall = min(hits / ((labels.sum() + soft.sum()) / 2), 1) * share
            area += (recall - before) * hits / said.sum()
            before = recall
        areas.append(area)
    return np.mean(areas)


def test_vus_pr_equals_its_definition():
    rng = np.random.default_rng(1)
    labels = marked(200, (30, 40), (120, 150))
    for scores in (rng.random(200), labels + 0.5 * rng.random(200), np.round(rng.random(200), 1)):
        ours = vus_pr(labels, scores, most=20, steps=3)
        assert ours == pytest.approx(literal_vus_pr(labels, scores, (0, 10, 20)))


def test_perfect_scores_are_best_and_noise_is_near_the_share_of_anomalies():
    labels = marked(5000, (1000, 1100), (3000, 3100))
    rng = np.random.default_rng(2)
    assert vus_pr(labels, labels.astype(float), most=0, steps=1) == pytest.approx(1)
    assert vus_pr(labels, labels + 0.01 * rng.random(5000)) > 0.85
    noise = vus_pr(labels, rng.random(5000))
    assert 0.03 < noise < 0.12
    with pytest.raises(ValueError, match="no anomaly"):
        vus_pr(np.zeros(9, bool), rng.random(9))


def test_point_adjustment_flatters_noise():
    """Uniform noise, events of 100, the top 1 % flagged: F1 .016 becomes about .73."""
    rng = np.random.default_rng(3)
    labels = marked(100_000, *[(k, k + 100) for k in range(0, 100_000, 1000)])
    scores = rng.random(100_000)
    flagged = scores > np.quantile(scores, 0.99)
    assert point_f1(labels, flagged) < 0.03
    assert point_f1(labels, point_adjusted(labels, flagged)) == pytest.approx(0.735, abs=0.1)


def test_ranges_and_affiliation_know_near_misses():
    labels = marked(300, (100, 120), (200, 220))
    assert range_f1(labels, labels) == pytest.approx(1)
    assert affiliation_f1(labels, labels) == pytest.approx(1)
    near, far = marked(300, (122, 124), (222, 224)), marked(300, (2, 4), (290, 292))
    assert range_f1(labels, near) == 0
    assert affiliation_f1(labels, near) > affiliation_f1(labels, far)
    assert range_f1(labels, marked(300, (100, 110))) == pytest.approx(2 * 0.25 / 1.25)
    assert affiliation_f1(labels, np.zeros(300, bool)) == 0


def test_p_values_of_normal_points_are_uniform():
    rng = np.random.default_rng(4)
    found = p_values(rng.standard_normal(4000), rng.standard_normal(4000))
    for level in (0.01, 0.1, 0.5):
        assert (found <= level).mean() == pytest.approx(level, abs=0.02)
    assert p_values(np.arange(9.0), np.array([100.0]))[0] == pytest.approx(0.1)


def test_the_threshold_is_one_of_the_training():
    training = np.arange(100.0)
    assert threshold_of(training, 0.1) == pytest.approx(89.1)
    labels = marked(100, (50, 60))
    one = all_detection_scores(labels, labels * 50.0, training)
    two = all_detection_scores(labels, labels * 500.0, training)
    assert one["range F1"] == 0  # below the threshold of the training
    assert two["range F1"] == 1
    assert one["VUS-PR"] == two["VUS-PR"]


def clustered(rng, count, length):
    """Scores that last `length` steps each."""
    return np.repeat(rng.standard_normal(count), length)


def test_p_values_keep_what_they_promise_of_scores_in_clusters():
    rng = np.random.default_rng(0)
    flagged = []
    for _ in range(200):
        null = Null.of([clustered(rng, 40, 10) for _ in range(5)])
        new = rng.standard_normal(400)
        flagged.append((null.p_values(new) <= 0.05).mean())
    assert 0.01 < np.mean(flagged) < 0.05
    # 2,000 scores are some 200 independent ones
    assert 1 / 300 < null.least < 1 / 120


def test_a_fold_that_differs_from_the_others_raises_p_values():
    rng = np.random.default_rng(0)
    same = [rng.standard_normal(400) for _ in range(5)]
    other = [*same[:4], same[4] + 2]
    alike, drifted = Null.of(same), Null.of(other)
    at = np.array([1.5, 2.0, 2.5])
    assert (drifted.p_values(at) > 2 * alike.p_values(at)).all()
    highest = np.max([(one[:, None] >= at).mean(0) for one in same], axis=0)
    np.testing.assert_allclose(alike.p_values(at), highest, atol=1 / 300)


def test_p_values_fall_with_the_score_and_a_threshold_keeps_to_them():
    rng = np.random.default_rng(1)
    null = Null.of([rng.exponential(size=300) for _ in range(4)])
    scores = np.sort(rng.exponential(size=500) * 2)
    p = null.p_values(scores)
    assert (np.diff(p) <= 0).all()
    for level in (0.3, 0.05, 1e-9):
        bound = max(level, null.least)
        np.testing.assert_array_equal(scores > null.threshold(level), p <= bound)
    assert np.isnan(null.p_values(np.array([np.nan]))).all()
    nothing = Null.of([])
    assert nothing.p_values(np.array([1e9])) == 1
    assert nothing.threshold(0.5) == np.inf


def test_dependent_scores_count_as_few():
    rng = np.random.default_rng(2)
    alone, lasting = rng.standard_normal(4000), clustered(rng, 200, 20)
    assert independent_count(alone, np.quantile(alone, 0.95)) > 2500
    assert 100 < independent_count(lasting, np.quantile(lasting, 0.95)) < 400
    assert independent_count(np.zeros(10), 0.0) == 1
