"""p-RoPE: theta table, rotation against a literal transcription, invariances."""

import math

import pytest
import torch

from caesura.errors import RecipeError
from caesura.nn.rope import AxialRope, frequencies, rotate


@pytest.mark.parametrize(
    ("head", "axes", "kept", "free", "slowest"),
    [(60, 1, 22, 8, 1.58e-3), (60, 2, 11, 4, 2.15e-3), (60, 3, 7, 3, None), (72, 1, 27, 9, None),
     (72, 3, 9, 3, None)],
)  # fmt: skip
def test_theta_table_is_the_published_one(head, axes, kept, free, slowest):
    theta = frequencies(head // axes)
    assert int((theta > 0).sum()) == kept
    assert int((theta == 0).sum()) == free
    assert theta[0] == 1.0
    assert (theta[:kept].diff() < 0).all()
    assert (theta[kept:] == 0).all()
    if slowest:
        assert float(theta[kept - 1]) == pytest.approx(slowest, rel=5e-3)


def literal_rotation(vector, position, axes):
    """Rotate one head vector as the formula is written, plane by plane."""
    width = len(vector) // axes
    planes, out = width // 2, list(vector)
    kept = int(0.75 * width // 2)
    for axis in range(axes):
        for j in range(planes):
            theta = 10_000 ** (-2 * j / width) if j < kept else 0.0
            angle = position[axis] * theta
            one = axis * planes + j
            two = one + len(vector) // 2
            out[one] = vector[one] * math.cos(angle) - vector[two] * math.sin(angle)
            out[two] = vector[two] * math.cos(angle) + vector[one] * math.sin(angle)
    return out


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_rotation_equals_the_literal_formula(axes):
    x = torch.randn(1, 1, 3, 60)
    positions = 50 * torch.rand(1, 3, axes)
    ours = rotate(x, *AxialRope(60, axes)(positions))
    for token in range(3):
        wanted = literal_rotation(x[0, 0, token].tolist(), positions[0, token].tolist(), axes)
        torch.testing.assert_close(ours[0, 0, token], torch.tensor(wanted), atol=1e-5, rtol=1e-5)


def test_scores_depend_on_differences_of_positions_alone():
    rope = AxialRope(24, 2)
    q, k = torch.randn(1, 2, 5, 24), torch.randn(1, 2, 5, 24)
    positions = 100 * torch.rand(1, 5, 2)
    scores = [
        rotate(q, *rope(p)) @ rotate(k, *rope(p)).transpose(-2, -1)
        for p in (positions, positions + torch.tensor([1000.0, 3.0]))
    ]
    torch.testing.assert_close(*scores, atol=2e-3, rtol=1e-3)


def test_no_gradient_reaches_positions_or_angles():
    positions = torch.rand(1, 4, 1, requires_grad=True)
    assert not any(x.requires_grad for x in AxialRope(8, 1)(positions))


def test_angles_stay_exact_when_the_model_is_cast_to_bf16():
    positions = 5000 * torch.rand(1, 4, 1)
    cast = AxialRope(8, 1).to(torch.bfloat16)(positions)
    for ours, wanted in zip(cast, AxialRope(8, 1)(positions), strict=True):
        assert torch.equal(ours, wanted)


def test_four_axes_do_not_fit_a_head_of_60_and_the_error_names_a_width():
    with pytest.raises(RecipeError, match="divisible by 8: choose 64"):
        AxialRope(60, 4)
    AxialRope(64, 4)


def test_the_gradient_is_that_of_the_formula():
    cos, sin = (part.double() for part in AxialRope(12, 2)(5 * torch.rand(1, 3, 2)))
    x = torch.randn(1, 2, 3, 12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rotate(x, cos, sin), x)
