"""RMSNorm: the closed-form gradient is autograd's."""

import torch
from torch.nn import functional as F

from caesura.nn.norm import RMSNorm


def test_value_and_gradients_are_those_of_the_elementary_form():
    norm = RMSNorm(7)
    torch.nn.init.normal_(norm.weight)
    rng = torch.Generator().manual_seed(0)
    x, g = torch.randn(2, 4, 5, 7, generator=rng)
    x[0, 0] = 0.0  # a row of zeros, as padding leaves
    results = []
    for form in (norm, lambda x: F.rms_norm(x, (7,), norm.weight, norm.eps)):
        leaf = x.clone().requires_grad_(True)
        norm.zero_grad()
        y = form(leaf)
        y[1:].backward(g[1:])
        results.append((y.detach(), leaf.grad, norm.weight.grad.clone()))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_under_autocast_the_statistics_stay_in_float32():
    norm = RMSNorm(8)
    x = torch.randn(3, 8) * 1e3
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    assert y.dtype is torch.bfloat16
    torch.testing.assert_close(y.float(), norm(x), atol=0, rtol=2**-8)
