"""Noise is as large as rests of windows that were held out, whatever their season."""

import pytest
import torch

from caesura.nn.residual import Residual
from caesura.tasks.residual import Decoded, wider_rests


def windows(seed, *sizes, spread=1.0):
    rest = torch.randn(200, len(sizes), 24, generator=torch.Generator().manual_seed(seed))
    rest = rest * torch.tensor(sizes)[:, None] * spread
    said = torch.ones_like(rest)
    seen = torch.rand(rest.shape, generator=torch.Generator().manual_seed(9)) > 0.3
    return Decoded(said + rest, said, torch.full_like(rest, spread), seen)


def test_noise_is_as_large_as_rests_of_held_out_windows():
    trained = windows(0, 1.0, 0.1, 2.0)
    held = windows(1, 1.5, 0.15, 3.0)
    assert wider_rests(held, trained) == pytest.approx(1.5, rel=0.03)
    noise = Residual(3, 4)
    noise.measure((trained.real - trained.said) * trained.observed, trained.observed)
    before = noise.draw(500, 24, torch.Generator().manual_seed(2))
    noise.widen(1.5)
    after = noise.draw(500, 24, torch.Generator().manual_seed(2))
    torch.testing.assert_close(after, 1.5 * before)


def test_rests_count_by_their_predicted_deviations():
    assert wider_rests(windows(1, 1.0, spread=7.0), windows(0, 1.0)) == pytest.approx(1, rel=0.03)


def test_a_channel_of_another_season_does_not_count():
    assert wider_rests(windows(1, 1.2, 9.0, 0.5), windows(0, 1, 1, 1)) == pytest.approx(1.2, 0.03)


@pytest.mark.parametrize("held", [(0.5, 0.5), (0.0, 0.0)])
def test_noise_never_becomes_smaller(held):
    assert wider_rests(windows(1, *held), windows(0, 1.0, 1.0)) == 1.0


def test_a_channel_without_rests_does_not_count():
    assert wider_rests(windows(1, 2.0, 1.0), windows(0, 1.0, 0.0)) == pytest.approx(2.0, 0.03)
