"""Measures of synthetic windows, by planted faults whose order is known."""

from functools import partial

import numpy as np
import pytest
import torch

from caesura.errors import RecipeError
from caesura.metrics.generate import (
    autocorrelation_distance,
    copying_ratio,
    correlation_error,
    correlational_score,
    density_and_coverage,
    deviation_ratio,
    frechet_distance,
    marginal_distance,
    mean_discrepancy,
    transfer_error,
)
from caesura.tasks import critics, synthetic_scores
from caesura.tasks.context import context_features
from caesura.tasks.critics import (
    CRITICS,
    BlockConv,
    BlockGRU,
    Critic,
    discriminative_scores,
    predictive_scores,
)
from caesura.tasks.synthetic_scores import Scoring, score_synthetic


def windows(count=400, seed=0, modes=4):
    """Waves of several rates in two coupled channels."""
    rng = np.random.default_rng(seed)
    rate = rng.integers(1, modes + 1, count)[:, None]
    phase = rng.uniform(0, 2 * np.pi, (count, 1))
    wave = np.sin(2 * np.pi * rate * np.arange(24) / 24 + phase)
    other = 0.8 * wave + 0.6 * rng.standard_normal(wave.shape) * 0.3
    return np.stack([wave, other], 1) + 0.05 * rng.standard_normal((count, 2, 24))


REAL, TRAIN = windows(seed=0), windows(seed=1)


def noisy(size):
    return TRAIN + size * np.random.default_rng(2).standard_normal(TRAIN.shape)


def shuffled():
    """Channels of other windows: each channel right, their coupling gone."""
    order = np.random.default_rng(3).permutation(len(TRAIN))
    return np.stack([TRAIN[:, 0], TRAIN[order, 1]], 1)


def context(real, other):
    return frechet_distance(*context_features(real, real, other))


DISTANCES = {
    "marginal": marginal_distance,
    "autocorrelation": autocorrelation_distance,
    "discrepancy": mean_discrepancy,
    "context": context,
    "ridge": lambda real, other: transfer_error(other, real),
}


@pytest.mark.parametrize("name", DISTANCES)
def test_more_noise_is_further_away_and_equal_sets_are_nearest(name):
    measure = DISTANCES[name]
    found = [measure(REAL, one) for one in (TRAIN, noisy(0.3), noisy(1.0))]
    assert found[0] < found[1] < found[2]


def test_shuffled_channels_show_in_the_correlation_and_not_in_the_marginals():
    assert correlation_error(REAL, shuffled()) > 10 * correlation_error(REAL, TRAIN)
    assert correlational_score(REAL, shuffled()) > correlational_score(REAL, TRAIN)
    np.testing.assert_allclose(
        marginal_distance(REAL, shuffled()), marginal_distance(REAL, TRAIN), rtol=1e-9
    )
    assert correlation_error(REAL[:, :1], TRAIN[:, :1]) == 0.0


def test_a_missing_mode_lowers_coverage_and_not_density():
    density, coverage = density_and_coverage(REAL, TRAIN)
    fewer = windows(seed=1, modes=1)
    density_of_few, coverage_of_few = density_and_coverage(REAL, fewer)
    assert coverage > 0.8 > 0.5 > coverage_of_few
    assert density_of_few > 0.8 * density


def test_too_narrow_windows_show_in_the_deviation_ratio():
    assert deviation_ratio(REAL, 0.5 * TRAIN) == pytest.approx(0.5, abs=0.03)
    assert deviation_ratio(REAL, TRAIN) == pytest.approx(1.0, abs=0.05)
    assert deviation_ratio(np.zeros((4, 1, 8)), np.ones((4, 1, 8))) == 1.0


def test_copies_are_nearer_to_training_than_unseen_windows_are():
    unseen, query = windows(seed=5), windows(seed=6)
    fair = copying_ratio(query, TRAIN, unseen, REAL)
    copies = copying_ratio(TRAIN + 1e-3, TRAIN, unseen, REAL)
    half = copying_ratio(np.concatenate([TRAIN[:200], query[:200]]), TRAIN, unseen, REAL)
    assert copies < 0.1 < half < 0.9 * fair
    assert fair == pytest.approx(1.0, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CRITICS)
def test_critics_tell_noise_and_cannot_tell_equal_sets(name):
    known = CRITICS[name]
    critic = Critic(known.kind, min(known.hidden, 16) or 4, 150, 1e-2)
    clean, dirty = windows(600, 0), windows(600, 1)
    far = dirty + 0.8 * np.random.default_rng(2).standard_normal(dirty.shape)
    same, told = (discriminative_scores(clean, one, critic, 2) for one in (dirty, far))
    assert same.shape == (2,)
    assert same.mean() < 0.15 < 0.3 < told.mean()


def test_repetitions_in_one_model_are_those_of_models_alone():
    """Copies do not see one another, trained or not."""
    torch.manual_seed(0)
    model = BlockGRU(3, 2, 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    x = torch.randn(5, 3, 2, 8)
    for _ in range(5):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    before = model(x)
    x[:, 1] += 1.0
    after = model(x)
    assert torch.equal(before[..., 0], after[..., 0])
    assert torch.equal(before[..., 2], after[..., 2])
    assert not torch.equal(before[..., 1], after[..., 1])


@pytest.mark.parametrize("kind", [BlockGRU, BlockConv])
def test_each_copy_scores_its_own_windows(kind):
    """A copy says the same of a window wherever it stands among the rows, whatever others read."""
    torch.manual_seed(0)
    model = kind(3, 2, 4)
    pool = model.pool(torch.randn(10, 2, 5))
    rows = torch.randint(10, (8, 3))
    said = model.scores(pool, rows)
    assert said.shape == (8, 3)
    moved = rows.roll(1, 0)
    moved[:, 1] = (rows[:, 1].roll(1) + 1) % 10
    other = model.scores(pool, moved)
    assert torch.allclose(other[:, [0, 2]], said.roll(1, 0)[:, [0, 2]], atol=1e-6)
    assert not torch.allclose(other[:, 1], said.roll(1, 0)[:, 1])
    alike = rows[:, :1].expand(-1, 3)
    if kind is BlockGRU:
        windows = pool[:, rows[:, 0]].mT[:, None].expand(-1, 3, -1, -1)
        assert torch.allclose(model(windows)[-1], model.scores(pool, alike), atol=1e-6)


@pytest.mark.slow
def test_a_target_that_can_be_told_is_told():
    rng = np.random.default_rng(0)
    drive = rng.standard_normal((300, 3, 6))
    later = np.concatenate([np.zeros((300, 1, 1)), drive[:, :1, :-1]], 2)
    told = np.concatenate([drive, later], 1)
    blind = np.concatenate([drive, rng.standard_normal((300, 1, 6))], 1)
    good = predictive_scores(told, told, repeats=1, steps=1000)
    bad = predictive_scores(blind, blind, repeats=1, steps=1000)
    assert good.mean() < 0.8 * bad.mean()
    assert np.isfinite(predictive_scores(told[:, :1], told[:, :1], repeats=1, steps=5)).all()


def test_scores_come_with_their_floor_and_say_when_they_mean_nothing(monkeypatch):
    monkeypatch.setattr(synthetic_scores, "predictive_scores", partial(predictive_scores, steps=5))
    monkeypatch.setitem(CRITICS, "quick", Critic("conv", 4, 60, 1e-2))
    shift = np.linspace(0, 40, len(REAL))[:, None, None]  # real windows that drift apart
    scoring = Scoring(repeats=1, critics=("quick",))
    found = {m.name: m for m in score_synthetic(REAL, REAL + shift, TRAIN, scoring)}
    critic = found["discriminative score, quick"]
    assert not critic.informative
    assert critic.row()["note"].startswith("not informative")
    assert found["copying ratio"].floor.shape == (1,)
    legacy = Scoring(repeats=1, critics=(), protocol="timegan")
    names = [m.name for m in score_synthetic(REAL[:60], TRAIN[:60], TRAIN[60:120], legacy)]
    assert "predictive score" in names
    assert "copying ratio" not in names


def test_one_channel_has_no_measures_of_pairs():
    scoring = Scoring(repeats=1, critics=())
    several, one = (
        {m.name for m in score_synthetic(TRAIN[:, :n], REAL[:, :n], REAL[:, :n], scoring)}
        for n in (2, 1)
    )
    assert several - one == {"correlation error a pair", "correlational score"}


def test_repetitions_that_do_not_fit_together_follow_one_another(monkeypatch):
    """Room for one is a model for each, and the first is that of one repetition asked for."""
    critic = Critic("gru", 3, 20, 1e-2)
    clean = windows(80, 0)
    far = windows(80, 1) + 0.5 * np.random.default_rng(2).standard_normal(clean.shape)
    alone = discriminative_scores(clean, far, critic, 1)
    made, score = [], critics._scores

    def seen(both, critic, hidden, copies, seed):
        made.append((copies, seed))
        return score(both, critic, hidden, copies, seed)

    monkeypatch.setattr(critics, "_scores", seen)
    monkeypatch.setattr(critics, "_MOST_BYTES", 1)
    apart = discriminative_scores(clean, far, critic, 3)
    assert made == [(1, 0), (1, 1), (1, 2)]
    assert apart.shape == (3,)
    assert apart[0] == alone[0]


def test_unknown_ways_to_score_are_said():
    for wrong, match in (({"critics": ("judge",)}, "unknown critic 'judge'; known: timegan"),
                         ({"protocol": "mine"}, "unknown protocol 'mine'; known: caesura, timegan"),
                         ({"repeats": 0}, "one at least")):  # fmt: skip
        with pytest.raises(RecipeError, match=match):
            Scoring(**wrong)
