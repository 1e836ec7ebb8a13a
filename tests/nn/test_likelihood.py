"""Losses of a normal, against torch's own distribution and the definition of the score."""

import torch

from builders import generator
from caesura.nn.likelihood import crps, deviation, gaussian


def test_gaussian_is_the_log_likelihood_up_to_its_constant():
    rng = generator(0)
    mean, raw, goal = torch.randn(3, 40, generator=rng).unbind(0)
    normal = torch.distributions.Normal(mean, deviation(raw))
    expected = -normal.log_prob(goal) - 0.5 * torch.log(torch.tensor(2 * torch.pi))
    torch.testing.assert_close(gaussian(mean, raw, goal), expected)


def test_crps_is_the_integral_of_squared_differences_of_distributions():
    mean, raw = torch.tensor([0.3]), torch.tensor([0.2])
    normal = torch.distributions.Normal(mean.double(), deviation(raw).double())
    x = torch.linspace(-15, 15, 300_001, dtype=torch.float64)
    for goal in (-1.0, 0.3, 2.5):
        step = (x >= goal).double()
        expected = torch.trapezoid((normal.cdf(x) - step).square(), x)
        found = crps(mean, raw, torch.tensor([goal]))
        torch.testing.assert_close(found.double()[0], expected, atol=1e-4, rtol=1e-3)
