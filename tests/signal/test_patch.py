"""Patches: the published order, a round trip, and axes that cannot be cut."""

import pytest
import torch

from caesura.errors import RecipeError
from caesura.recipes import romae
from caesura.signal.patch import patchify, unpatchify


def test_order_is_time_then_rows_then_columns_channels_last():
    values = torch.arange(2 * 4 * 6 * 3.0).reshape(1, 2, 4, 6, 3)
    tokens = patchify(values, (1, 2, 3))
    assert tokens.values.shape == (1, 2 * 2 * 2, 18)
    number = 0
    for t in range(2):
        for h in range(2):
            for w in range(2):
                block = values[0, t : t + 1, 2 * h : 2 * h + 2, 3 * w : 3 * w + 3]
                assert torch.equal(tokens.values[0, number], block.flatten())
                assert tokens.positions[0, number].tolist() == [t, h, w]
                number += 1


@pytest.mark.parametrize(
    ("shape", "sizes"), [((12,), (3,)), ((4, 6), (2, 3)), ((2, 4, 6), (1, 2, 2))]
)
def test_cutting_is_undone(shape, sizes):
    values = torch.randn(3, *shape, 2)
    assert torch.equal(unpatchify(patchify(values, sizes).values, shape, sizes), values)


def test_an_irregular_axis_keeps_its_coordinates_and_needs_size_one():
    values, times = torch.randn(2, 5, 24, 24, 1), torch.rand(2, 5).cumsum(1)
    tokens = patchify(values, (1, 24, 24), positions={0: times})
    torch.testing.assert_close(tokens.positions[..., 0], times)
    with pytest.raises(RecipeError, match="axis 0 .*patch size 5; an irregular axis needs patch"):
        patchify(values, (5, 24, 24), positions={0: times})


def test_gaps_inside_a_patch_are_zero_and_not_observed():
    values = torch.ones(1, 4, 1)
    observed = torch.tensor([True, False, True, True]).reshape(1, 4, 1)
    tokens = patchify(values, (2,), observed=observed)
    assert tokens.values.tolist() == [[[1.0, 0.0], [1.0, 1.0]]]
    assert tokens.observed.tolist() == [[[True, False], [True, True]]]


def test_a_size_that_does_not_divide_names_choices():
    message = "patch=16 does not divide axis 0 of length 100; choose patch=20 or length=96"
    with pytest.raises(RecipeError, match=message):
        patchify(torch.zeros(1, 100, 1), (16,))
    with pytest.raises(RecipeError, match="1 patch sizes for 2 axes"):
        patchify(torch.zeros(1, 4, 4, 1), (2,))


def test_images_train_on_three_axes():
    """An image series in, a loss out: 3 axes at head width 60, patches as the paper's."""
    tokens = patchify(torch.randn(2, 4, 8, 8, 1), (1, 4, 4))
    encoder = romae.encoder("tiny-shallow", position_axes=3, values_per_token=16, depth=1)
    from caesura.types import Batch

    objective = romae.objective(encoder, normalise_targets=True)
    loss = objective(Batch(tokens, torch.arange(2)), torch.Generator().manual_seed(0))
    assert loss.total.isfinite()
    assert int(loss.count) == 2 * 12 * 16
