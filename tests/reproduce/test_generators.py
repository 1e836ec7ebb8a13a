"""Generators of series whose truth is known, and what is computed from it."""

import numpy as np
import pytest
import torch

from caesura.data.synthetic.pendulum import oracles, pendulum
from caesura.data.synthetic.smooth import hetvae_curves, romae_curves
from caesura.data.synthetic.spirals import spirals
from caesura.data.synthetic.waves import SHAPES, waves
from caesura.nn.rope import AxialRope
from caesura.reproduce.romae.speed import TabledRope
from caesura.reproduce.romae.spirals import _curve, _oracle


def hide(rng, count, steps):
    seen = rng.integers(3, 11, count)
    return rng.random((count, steps)).argsort(1).argsort(1) >= seen[:, None]


@pytest.mark.parametrize(("curves", "limit"), [(hetvae_curves(), 0.2045), (romae_curves(), 0.1904)])
def test_the_limit_of_smooth_curves_is_the_known_one(curves, limit):
    """Limits over 20,000 draws, computed independently of this code."""
    _, noisy = curves.draw(4_000, 1)
    hidden = hide(np.random.default_rng(2), *noisy.shape)
    squares = np.where(hidden, np.square(curves.best(noisy, ~hidden) - noisy), 0)
    assert (squares.sum(1) / hidden.sum(1)).mean() == pytest.approx(limit, abs=0.006)


def test_no_linear_predictor_is_better_than_the_limit():
    curves = hetvae_curves()
    _, noisy = curves.draw(3_000, 3)
    seen = np.zeros(noisy.shape, dtype=bool)
    near = [26, 33, 40]
    seen[:, near] = True
    best = curves.best(noisy, seen)[:, 30]
    fitted = noisy[:, near] @ np.linalg.lstsq(noisy[:, near], noisy[:, 30], rcond=None)[0]
    ours, theirs = (np.square(one - noisy[:, 30]).mean() for one in (best, fitted))
    assert theirs < ours < 1.02 * theirs  # theirs was fitted to these very series
    assert np.corrcoef(best, fitted)[0, 1] > 0.99


def test_spirals_are_drawn_by_two_parameters_and_recovered_from_them():
    drawn = spirals(300, 0)
    assert drawn.clean.shape == (300, 75, 2)
    assert drawn.clean.std() == pytest.approx(4.5, abs=0.3)  # known from the published set
    a = np.hypot(*(drawn.clean[:, 0] - np.where(drawn.clockwise, -5, 5)[:, None] * [1, 0]).T)
    assert 0.1 < drawn.clockwise.mean() < 0.9
    assert a[drawn.clockwise].mean() == pytest.approx(15, abs=0.5)
    hidden = np.random.default_rng(1).random((300, 75)).argsort(1).argsort(1) >= 30
    error = np.sqrt(np.square(_oracle(drawn, hidden) - drawn.clean)[hidden].mean())
    assert error == pytest.approx(0.0152, abs=0.002)
    exact = _curve(drawn, np.zeros(300), np.full(300, 0.3))
    assert np.abs(exact - drawn.clean).max() > 0.1


@pytest.mark.parametrize("shape", SHAPES)
def test_waves_are_periodic_and_bounded(shape):
    times = np.linspace(0, 1, 201)
    clean = waves(np.full((20, 1), 4.0), times, np.random.default_rng(0), shape)
    np.testing.assert_allclose(clean[:, :150], clean[:, 50:200], atol=2e-2)
    assert np.abs(clean).max() <= 1 + 1e-6
    spectrum = np.abs(np.fft.rfft(clean[:, :200], axis=1))[:, 1:]
    assert (spectrum.argmax(1) == 3).all()


def test_a_cycloid_solves_its_equation():
    phase = np.linspace(0.01, 2 * np.pi - 0.01, 500)
    height = SHAPES["cycloid"](phase)
    angle = np.where(phase < np.pi, np.arccos(-height), 2 * np.pi - np.arccos(-height))
    np.testing.assert_allclose(angle - np.sin(angle), phase, atol=1e-4)


def test_oracles_of_the_pendulum_know_more_than_their_frames():
    data = pendulum(60, 5)
    truth = data.targets
    np.testing.assert_allclose(np.square(truth).sum(-1), 1, atol=1e-5)
    filtered, smoothed = (np.square(one - truth).mean() for one in oracles(data))
    assert smoothed < 1e-3 < filtered < 0.02 < truth.var()
    assert (data.steps[:, 1:] > data.steps[:, :-1]).all()


def test_a_pendulums_image_shows_its_angle():
    data = pendulum(40, 6)
    y, x = np.mgrid[:24, :24] - 11.5
    clear = data.clarity > 0.95
    images = data.frames[clear] / 255
    across, down = (images * x).sum((1, 2)), (images * y).sum((1, 2))
    gap = np.angle(np.exp(1j * (np.arctan2(across, down) - data.angle[clear])))
    assert np.abs(gap).max() < 0.2


def test_a_table_of_angles_equals_the_angles_of_whole_numbers():
    rope = AxialRope(24, 2)
    table = TabledRope(rope, 15, 2)
    positions = torch.cartesian_prod(torch.arange(14), torch.arange(14)).float()[None]
    for one, two in zip(rope(positions), table(positions), strict=True):
        torch.testing.assert_close(one, two)
