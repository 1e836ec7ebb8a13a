"""The generators draw from the law of the dense covariance, without its cost."""

import time

import numpy as np
import pytest

from caesura.data.synthetic.kernels import Kernel, bank, composite, kernel_synth, lmc, low_rank


def empirical(kernel, draws=6000, seed=0):
    rng = np.random.default_rng(seed)
    x = np.stack([kernel.draw(rng) for _ in range(draws)])
    return x.T @ x / draws


@pytest.mark.parametrize("number", [0, 8, 18, 19, 21, 22, 24, 25, 26, 27, 28, 30])
def test_each_kind_of_the_bank_has_its_covariance(number):
    kernel = bank(24)[number]
    dense = kernel.dense()
    error = np.abs(empirical(kernel) - dense).max() / np.abs(dense).max()
    assert error < 0.08  # 6,000 draws: a variance is known to 2 %


def test_sums_and_products_have_the_covariances_of_sums_and_products():
    kernels = bank(20)
    linear, periodic, square, white = kernels[26], kernels[3], kernels[19], kernels[29]
    joined = (linear * periodic + white) * linear + square * white
    dense = (linear.dense() * periodic.dense() + white.dense()) * linear.dense()
    dense = dense + square.dense() * white.dense()
    np.testing.assert_allclose(joined.dense(), dense, atol=1e-9)
    assert np.abs(empirical(joined) - dense).max() / np.abs(dense).max() < 0.08


def test_a_low_rank_factor_gives_the_covariance_back():
    for number in (5, 20, 21, 22):
        covariance = bank(200)[number].smooth[0]
        factor = low_rank(covariance)
        lag = np.abs(np.arange(200)[:, None] - np.arange(200))
        np.testing.assert_allclose(factor @ factor.T, covariance[lag], atol=2e-3)
        assert factor.shape[1] < 200


def test_a_composite_is_a_covariance():
    rng = np.random.default_rng(0)
    kernels = bank(30)
    for _ in range(50):
        dense = composite(kernels, rng).dense()
        values = np.linalg.eigvalsh(dense)
        assert values.min() > -1e-7 * values.max()


def test_series_depend_on_seed_and_number_alone():
    whole = kernel_synth(6, 50, seed=3)
    np.testing.assert_array_equal(kernel_synth(2, 50, seed=3, first=4), whole[4:])
    assert not np.allclose(kernel_synth(1, 50, seed=4)[0], whole[0])
    np.testing.assert_allclose(whole.std(1), 1, atol=1e-3)
    several = lmc(3, 50, 4, seed=3)
    np.testing.assert_array_equal(lmc(1, 50, 4, seed=3, first=2), several[2:])
    assert several.shape == (3, 4, 50)
    assert np.isfinite(several).all()


def test_long_series_take_no_cube_of_their_length():
    """10,000 points: a dense factor would take 800 MB and a minute."""
    begun = time.perf_counter()
    rng = np.random.default_rng(1)
    kernels = bank(10_000)
    for _ in range(3):
        assert isinstance(composite(kernels, rng), Kernel)
    kernel_synth(2, 10_000, seed=0)
    assert time.perf_counter() - begun < 20
