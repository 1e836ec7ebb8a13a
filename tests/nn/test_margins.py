"""What is drawn gets the distribution of the real values, and only where it had another."""

import torch

from caesura.nn.margins import Margins


def everything(x):
    return torch.ones_like(x, dtype=torch.bool)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def bent(drawn, real, observed=None):
    margins = Margins(real.shape[1])
    margins.measure(drawn, real, everything(real) if observed is None else observed)
    return margins


def test_nothing_changes_before_they_are_measured():
    x = 10 * normal(4, 2, 5)
    torch.testing.assert_close(Margins(2)(x), x)


def test_normal_noise_becomes_uniform():
    drawn = normal(400, 1, 24)
    real = torch.rand(400, 1, 24, generator=torch.Generator().manual_seed(1))
    made = bent(drawn, real)(normal(400, 1, 24, seed=2))
    levels = torch.tensor([0.02, 0.1, 0.33, 0.5, 0.77, 0.98])
    torch.testing.assert_close(made.quantile(levels), levels, atol=0.015, rtol=0)


def test_a_value_that_comes_often_is_met_as_often():
    real = normal(400, 1, 24).clamp(min=0.3, max=1.2)  # two edges that hold 62 % and 11 %
    drawn = 0.8 * normal(400, 1, 24, seed=1)
    made = bent(drawn, real)(drawn)
    for value in (real.min(), real.max()):
        share = (real == value).float().mean()
        assert abs((made == value).float().mean() - share) < 0.01
    torch.testing.assert_close(made.mean(), real.mean(), atol=0.01, rtol=0)


def test_values_of_a_few_levels_come_as_often_as_those():
    rng = torch.Generator().manual_seed(0)
    real = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), 6000, True, generator=rng).float()
    real = real.view(300, 1, 20)
    made = bent(normal(300, 1, 20), real)(normal(300, 1, 20, seed=3))
    for level, share in enumerate((0.6, 0.3, 0.1)):
        assert abs((made == level).float().mean() - share) < 0.02


def test_a_channel_that_is_near_stays_as_it_is():
    real = torch.cat([normal(300, 1, 24), normal(300, 1, 24).exp()], 1)
    drawn = normal(300, 2, 24, seed=1) * real.std((0, 2))[:, None]
    made = bent(drawn, real)(drawn)
    torch.testing.assert_close(made[:, 0], drawn[:, 0])
    assert float((made[:, 1] - drawn[:, 1]).abs().mean()) > 0.1


def test_the_order_of_values_is_kept_and_what_lies_beyond_goes_straight_on():
    margins = bent(normal(300, 1, 24), normal(300, 1, 24).exp())
    x = torch.linspace(-9, 9, 2001).view(1, 1, -1)
    assert bool((margins(x).diff(dim=-1) >= 0).all())
    torch.testing.assert_close(margins(x)[..., -100:].diff(), x[..., -100:].diff())


def test_what_was_not_measured_counts_nothing():
    real, drawn = normal(300, 1, 24).exp(), normal(300, 1, 24, seed=1)
    hidden = torch.rand(real.shape, generator=torch.Generator().manual_seed(2)) < 0.3
    one = bent(drawn, real, ~hidden)
    other = bent(drawn, real.masked_fill(hidden, 1e6), ~hidden)
    torch.testing.assert_close(one.real, other.real)
    few = bent(drawn, real, everything(real) & (torch.arange(300) < 4)[:, None, None])
    torch.testing.assert_close(few(drawn), drawn)  # 96 samples


def test_a_constant_channel_comes_out_constant():
    real = torch.full((100, 1, 24), 0.25)
    made = bent(0.1 * normal(100, 1, 24), real)(normal(50, 1, 24, seed=1).clamp(-0.2, 0.2))
    torch.testing.assert_close(made, torch.full_like(made, 0.25))
