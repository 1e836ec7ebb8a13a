"""Attention: two routes agree, masks mean what they say."""

import torch

from caesura.nn.attend import attend, padding_mask, plain_attention_up_to, query_mask


def test_plain_and_fused_attention_agree():
    q, k, v = torch.randn(3, 2, 3, 9, 8).unbind(0)
    mask = padding_mask(torch.arange(9) < torch.tensor([9, 4])[:, None])
    plain = attend(q, k, v, mask)
    with plain_attention_up_to(0):
        fused = attend(q, k, v, mask)
    torch.testing.assert_close(plain, fused, atol=1e-6, rtol=1e-5)


def test_a_query_that_may_see_nothing_is_finite():
    q = torch.randn(1, 1, 3, 4)
    out = attend(q, q, q, torch.zeros(1, 1, 1, 3, dtype=torch.bool))
    assert out.isfinite().all()


def test_queries_see_the_context_and_themselves_only():
    valid = torch.tensor([[True, True, False, True, True]])
    mask = query_mask(valid, context=3)[0, 0]
    assert mask[3].tolist() == [True, True, False, True, False]
    assert mask[4].tolist() == [True, True, False, False, True]
    assert mask[0].tolist() == [True, True, False, False, False]
