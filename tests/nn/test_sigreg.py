"""SIGReg equals its formula, has its closed forms, and means the same at any number of samples."""

import math

import pytest
import torch

from builders import generator
from caesura.nn import sigreg as module
from caesura.nn.sigreg import random_slices, sigreg


def literal(z, directions):
    """T / N by the letter: 17 knots on [-5, 5], complex exponentials, the trapezoid rule."""
    t = torch.linspace(-5, 5, 17, dtype=z.dtype)
    u = z @ directions
    phi = torch.exp(1j * u[..., None] * t).mean(0)
    gap = (phi - torch.exp(-t.square() / 2)).abs().square() * torch.exp(-t.square() / 2)
    return torch.trapezoid(gap, t, dim=-1).mean()


def drawn(samples=40, dim=6, slices=50, seed=0):
    z = torch.randn(samples, dim, generator=generator(seed)) * 1.5 + 0.3
    return z, random_slices(dim, slices, generator(seed + 1), torch.device("cpu"))


def test_value_and_gradient_equal_the_formula():
    z, directions = drawn()
    ours, theirs = z.clone().requires_grad_(), z.double().requires_grad_()
    one, two = sigreg(ours, directions), literal(theirs, directions.double())
    torch.testing.assert_close(one.double(), two, atol=1e-6, rtol=1e-6)
    (3 * one).backward()
    (3 * two).backward()
    torch.testing.assert_close(ours.grad.double(), theirs.grad, atol=1e-7, rtol=1e-4)


def test_the_number_of_parts_changes_nothing(monkeypatch):
    z, directions = drawn()
    whole = sigreg(z, directions)
    monkeypatch.setattr(module, "_CHUNK", 7 * len(z))
    torch.testing.assert_close(sigreg(z, directions), whole, atol=1e-7, rtol=1e-6)


def test_normal_samples_have_the_expected_value_of_the_closed_form():
    """E[T] = sqrt(2 pi) (1 - 3^(-1/2)) = 1.059, at any N."""
    expected = math.sqrt(2 * math.pi) * (1 - 3**-0.5)
    for samples in (64, 512):
        found = []
        for seed in range(30):
            z = torch.randn(samples, 4, generator=generator(seed))
            directions = random_slices(4, 64, generator(100 + seed), z.device)
            found.append(samples * float(sigreg(z, directions)))
        error = torch.tensor(found).std() / math.sqrt(len(found))
        assert abs(sum(found) / len(found) - expected) < 4 * error + 0.01
        assert abs(expected - 1.059) < 1e-3


def test_a_collapse_has_the_value_of_the_closed_form():
    """T / N = sqrt(2 pi) (1 - sqrt(2) + 3^(-1/2)) = 0.409 where all vectors are 0."""
    _, directions = drawn()
    value = float(sigreg(torch.zeros(100, 6), directions))
    assert value == pytest.approx(math.sqrt(2 * math.pi) * (1 - 2**0.5 + 3**-0.5), abs=2e-3)


def test_twice_the_same_samples_weigh_the_same():
    z, directions = drawn()
    once, twice = sigreg(z, directions), sigreg(torch.cat([z, z]), directions)
    torch.testing.assert_close(once, twice, atol=1e-7, rtol=1e-6)


def test_directions_are_unit_vectors_of_their_generator():
    one = random_slices(5, 9, generator(3), torch.device("cpu"))
    torch.testing.assert_close(one.norm(dim=0), torch.ones(9))
    assert torch.equal(one, random_slices(5, 9, generator(3), torch.device("cpu")))
