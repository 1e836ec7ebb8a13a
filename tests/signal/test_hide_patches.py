"""Masks of a grid: whole patches, exact counts, keyed by window."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from builders import generator
from caesura.signal.mask import hide_patches

ALL = torch.ones(4, 2, 1000, dtype=torch.bool)


@pytest.mark.parametrize("kind", ["random", "block", "mixed"])
def test_the_published_count_is_exact_and_shared_by_the_channels(kind):
    hidden = hide_patches(ALL, torch.arange(4), generator(0), 5, 0.8, kind)
    assert (hidden.sum(-1) == 800).all()
    assert torch.equal(hidden[:, 0], hidden[:, 1])
    patches = hidden[:, 0].view(4, 200, 5)
    assert (patches.all(-1) == patches.any(-1)).all()


def test_a_block_is_one_gap_and_random_is_many():
    def runs(hidden):
        return (hidden[:, 0].int().diff(dim=-1) == 1).sum(-1) + hidden[:, 0, 0]

    block = hide_patches(ALL, torch.arange(4), generator(0), 5, 0.3, "block")
    assert (runs(block) == 1).all()
    random = hide_patches(ALL, torch.arange(4), generator(0), 5, 0.3, "random")
    assert (runs(random) > 10).all()
    many = torch.ones(200, 1, 1000, dtype=torch.bool)
    mixed = runs(hide_patches(many, torch.arange(200), generator(1), 5, 0.3, "mixed"))
    assert 60 < int((mixed == 1).sum()) < 140


def test_channels_have_their_own_masks_where_they_are_not_shared():
    hidden = hide_patches(ALL, torch.arange(4), generator(0), 5, 0.8, shared=False)
    assert (hidden.sum(-1) == 800).all()
    assert not torch.equal(hidden[:, 0], hidden[:, 1])


def test_a_window_keeps_its_mask_in_any_company():
    index = torch.tensor([7, 3, 11, 5])
    together = hide_patches(ALL, index, generator(0), 5, 0.8, "mixed")
    alone = hide_patches(ALL[:1], index[1:2], generator(0), 5, 0.8, "mixed")
    assert torch.equal(together[1:2], alone)


@given(st.integers(1, 60), st.integers(1, 9), st.floats(0.05, 0.95), st.integers(0, 50))
def test_one_measured_patch_stays_and_only_measured_places_are_hidden(time, patch, ratio, seed):
    observed = torch.rand(3, 2, time, generator=generator(seed)) > 0.4
    hidden = hide_patches(observed, torch.arange(3), generator(seed), patch, ratio, "random")
    assert not (hidden & ~observed.any(1, keepdim=True)).any()
    left = observed.any(1) & ~hidden[:, 0]
    assert (left.any(-1) | ~observed.any(-1).any(-1)).all()
