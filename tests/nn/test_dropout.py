"""Dropout: its share, its mean, its generator."""

import pytest
import torch

from caesura.nn.dropout import drop


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_share_is_dropped_and_the_mean_stays(share, dtype):
    torch.manual_seed(0)
    found = drop(torch.ones(333, 3001, dtype=dtype), share)
    assert found.dtype == dtype
    assert (found == 0).double().mean().item() == pytest.approx(share, abs=0.002)
    assert found.double().mean().item() == pytest.approx(1.0, rel=0.01)
    assert len(found.unique()) == 2
    rows, columns = ((found == 0).double().mean(axis) for axis in (1, 0))
    for part, by in ((rows, 3001), (columns, 333)):  # nothing is dropped by its place
        assert part.std().item() == pytest.approx((share * (1 - share) / by) ** 0.5, rel=0.15)


def test_gradients_go_where_values_do():
    torch.manual_seed(0)
    x = torch.ones(7, 5, requires_grad=True)
    found = drop(x, 0.4)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())
    assert (found == 0).any()


def test_it_follows_the_seed_and_rests_in_evaluation():
    x = torch.randn(50)
    torch.manual_seed(3)
    first, second = drop(x, 0.5), drop(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(drop(x, 0.5), first)
    assert not torch.equal(first, second)
    assert drop(x, 0.5, training=False) is x
    assert drop(x, 0.0) is x
    assert drop(torch.ones(1000), 0.999999).isfinite().all()
    assert drop(torch.ones(0), 0.5).shape == (0,)
