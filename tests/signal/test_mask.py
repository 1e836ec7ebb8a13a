"""Masks: exact counts at any padding, keyed by series."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import generator, make_tokens
from caesura.signal.mask import draw_mask, hidden_counts, keep_indices
from caesura.signal.noise import keyed_uniform

KINDS = ["uniform", "block", "channel", "moment", "end"]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(0, 9),
    st.floats(0.05, 0.95),
    st.sampled_from(KINDS),
)
@settings(max_examples=60)
def test_counts_are_exact_at_any_padding(lengths, extra, ratio, kind):
    tokens = make_tokens(tuple(lengths), extra=extra)
    hidden = draw_mask(tokens, torch.arange(len(lengths)), generator(1), ratio, kind)
    wanted = [min(-int(-(n * ratio - 1e-6) // 1), n - 1) for n in lengths]
    assert hidden.sum(1).tolist() == wanted
    assert not (hidden & ~tokens.valid).any()


def test_published_count_of_the_spirals():
    valid = torch.ones(1, 75, dtype=torch.bool)
    assert hidden_counts(valid, 0.6).item() == 45


@pytest.mark.parametrize("kind", KINDS)
def test_company_order_and_padding_do_not_change_a_series_mask(kind):
    lengths = (9, 6, 3)
    tokens = make_tokens(lengths)
    index = torch.tensor([4, 8, 15])
    alone = draw_mask(tokens, index, generator(3), 0.5, kind)
    turned = make_tokens(lengths, extra=5)
    swapped = type(turned)(*(x[[2, 0, 1]] for x in (
        turned.values, turned.observed, turned.positions, turned.valid)))  # fmt: skip
    other = draw_mask(swapped, index[[2, 0, 1]], generator(3), 0.5, kind)
    assert torch.equal(other[:, :9], alone[[2, 0, 1]])


def test_another_step_draws_another_mask():
    tokens = make_tokens((40,))
    first, second = (
        draw_mask(tokens, torch.tensor([0]), generator(seed), 0.5, "uniform") for seed in (0, 1)
    )
    assert not torch.equal(first, second)


def test_every_token_is_hidden_equally_often():
    tokens = make_tokens((10,) * 4000)
    hidden = draw_mask(tokens, torch.arange(4000), generator(0), 0.5, "uniform")
    assert (hidden.float().mean(0) - 0.5).abs().max() < 0.04


def test_a_block_is_a_gap_in_time():
    tokens = make_tokens((20,), axes=1)
    hidden = draw_mask(tokens, torch.tensor([1]), generator(0), 0.4, "block")[0]
    time = tokens.positions[0, :, 0]
    inside = (time > time[hidden].min()) & (time < time[hidden].max())
    assert hidden[inside].all()


def test_channel_masking_hides_whole_channels_but_one():
    tokens = make_tokens((30,), axes=2)
    hidden = draw_mask(tokens, torch.tensor([1]), generator(0), 0.5, "channel")[0]
    channel = tokens.positions[0, :, 1].long()
    partly = [c for c in range(3) if 0 < hidden[channel == c].float().mean() < 1]
    assert len(partly) <= 1


def test_the_end_is_what_comes_last():
    tokens = make_tokens((20, 9), axes=1)
    hidden = draw_mask(tokens, torch.tensor([1, 2]), generator(0), 0.4, "end")
    for row, length in enumerate((20, 9)):
        time = tokens.positions[row, :length, 0]
        assert time[hidden[row, :length]].min() > time[~hidden[row, :length]].max()


def test_all_tokens_of_a_moment_are_hidden_together():
    tokens = make_tokens((40,), axes=2)
    tokens.positions[..., 0] = tokens.positions[..., 0].floor()  # ten moments of several tokens
    hidden = draw_mask(tokens, torch.tensor([1]), generator(0), 0.5, "moment")[0]
    time = tokens.positions[0, :, 0]
    partly = [t for t in time.unique() if 0 < hidden[time == t].float().mean() < 1]
    assert len(partly) <= 1
    assert len(time[hidden].unique()) > 2


def test_each_row_may_have_a_ratio_of_its_own():
    tokens = make_tokens((50, 50, 50))
    ratios = torch.tensor([0.2, 0.5, 0.9])
    hidden = draw_mask(tokens, torch.arange(3), generator(0), ratios, "uniform")
    assert hidden.sum(1).tolist() == [10, 25, 45]


def test_kept_indices_keep_the_order():
    index, valid = keep_indices(torch.tensor([[True, False, True], [False, True, False]]))
    assert index[0].tolist() == [0, 2]
    assert valid.tolist() == [[True, True], [True, False]]
    assert index[1, 0] == 1


def test_keyed_noise_is_uniform_and_prefix_stable():
    noise = keyed_uniform(generator(0), torch.arange(200), 50)
    assert abs(float(noise.mean()) - 0.5) < 0.01
    assert abs(float(noise.var()) - 1 / 12) < 0.005
    longer = keyed_uniform(generator(0), torch.arange(200), 80)
    assert torch.equal(longer[:, :50], noise)
    assert abs(float(torch.corrcoef(noise[:, :2].T)[0, 1])) < 0.2
