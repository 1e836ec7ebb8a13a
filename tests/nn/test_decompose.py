"""Trend, coarse and fine parts: their sum, and averages over gaps."""

import itertools

import pytest
import torch

from builders import generator
from caesura.nn.decompose import Decomposition, observed_averages, trend_kernels


def test_components_sum_to_what_was_observed_and_gaps_do_not_count():
    torch.manual_seed(0)
    split = Decomposition(trend_kernels(24), 4)
    values = torch.randn(2, 3, 26, generator=generator(0)).cumsum(-1)
    observed = torch.rand(values.shape, generator=generator(1)) > 0.3
    parts = split(values * observed, observed)
    torch.testing.assert_close(sum(parts) * observed, values * observed, atol=1e-5, rtol=1e-5)
    other = split(torch.where(observed, values, 0.0), observed)
    for one, two in zip(parts, other, strict=True):
        assert torch.equal(one, two)


def test_a_moving_average_over_gaps_is_of_what_is_there():
    values = torch.arange(12.0)[None, None]
    observed = torch.ones(1, 1, 12, dtype=torch.bool)
    observed[..., 5:7] = False
    found = observed_averages(values * observed, observed, [3])[0]
    assert found[0, 0, 1] == 1.0
    assert found[0, 0, 0] == 0.5  # the ends have two
    assert found[0, 0, 4] == pytest.approx(3.5)  # 3 and 4: 5 is not there
    lonely = torch.zeros(1, 1, 12, dtype=torch.bool)
    lonely[..., 0] = True
    assert observed_averages(values + 2, lonely, [3])[0, 0, 0, 9] == 2.0  # the mean of all there is


@pytest.mark.parametrize("kernels", [(3, 7, 13), (25, 129), (999,)])
def test_averages_are_those_of_each_sample_by_itself(kernels):
    values = 1e4 + torch.randn(2, 2, 40, generator=generator(0)).cumsum(-1)
    observed = torch.rand(values.shape, generator=generator(1)) > 0.6
    found = observed_averages(values, observed, kernels)
    for kernel, means in zip(kernels, found, strict=True):
        for row, channel, at in itertools.product(range(2), range(2), range(40)):
            one, there = values[row, channel], observed[row, channel]
            near = torch.zeros(40, dtype=torch.bool)
            near[max(at - kernel // 2, 0) : at + kernel // 2 + 1] = True
            there = there & near if (there & near).any() else there
            assert means[row, channel, at] == pytest.approx(float(one[there].mean()), rel=1e-6)


def test_trend_kernels_are_odd_and_within_the_window():
    assert trend_kernels(24) == (3, 7, 13)
    for window in (8, 24, 96, 4096):
        assert all(k % 2 and k <= max(window, 3) for k in trend_kernels(window))
