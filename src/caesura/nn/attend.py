"""Scaled dot-product attention under one boolean mask, True where a key may be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from caesura.nn.dropout import drop

PLAIN_UP_TO = 512
"""Longest row for which two products and a softmax beat the fused kernel on a CPU, where
nothing was measured; a training measures its machine (`training.arithmetic`)."""
_plain_up_to = PLAIN_UP_TO


@contextmanager
def plain_attention_up_to(length: int) -> Iterator[None]:
    """Within the block, attend by plain products up to this length, by the fused kernel above."""
    global _plain_up_to
    before, _plain_up_to = _plain_up_to, length
    try:
        yield
    finally:
        _plain_up_to = before


def padding_mask(valid: Bool[Tensor, "batch keys"]) -> Bool[Tensor, "batch 1 1 keys"]:
    """Let every query see the real keys."""
    return valid[:, None, None, :]


def query_mask(
    valid: Bool[Tensor, "batch keys"], context: int
) -> Bool[Tensor, "batch 1 keys keys"]:
    """Let all see the first `context` real keys, and each later place itself besides.

    So a query's answer depends on the context alone, not on what else is asked.
    """
    keys = valid.shape[1]
    place = torch.arange(keys, device=valid.device)
    seen = (place < context) & valid
    itself = place[:, None] == place[None, :]
    return (seen[:, None, :] | itself[None])[:, None]


def causal_mask(
    valid: Bool[Tensor, "batch keys"], summary: bool = False
) -> Bool[Tensor, "batch 1 keys keys"]:
    """Let each see the real keys up to its own place.

    summary: the first token sees all and is seen by none besides: it would tell the past of
    the future.
    """
    place = torch.arange(valid.shape[1], device=valid.device)
    earlier = place[None, :] <= place[:, None]
    if summary:
        earlier = (earlier & (place[None, :] > 0)) | (place[:, None] == 0)
    return (earlier[None] & valid[:, None, :])[:, None]


def attend(
    q: Float[Tensor, "batch heads queries width"],
    k: Float[Tensor, "batch heads keys width"],
    v: Float[Tensor, "batch heads keys width"],
    mask: Bool[Tensor, "#batch 1 #queries keys"] | None,
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads queries width"]:
    """Return softmax(q k' / sqrt(width)) v over the keys that the mask allows, or all.

    A query that may see nothing gets the mean of all values, never NaN.
    """
    if q.device.type != "cpu" or k.shape[-2] > _plain_up_to:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
    if mask is not None:
        # a sum with a small tensor costs less than a masked fill, forward and backward
        bias = torch.zeros_like(mask, dtype=scores.dtype)
        scores = scores + bias.masked_fill(~mask, 0.5 * torch.finfo(scores.dtype).min)
    with torch.autocast(q.device.type, enabled=False):
        shares = scores.softmax(dim=-1)  # computes in float32, keeps the type of the scores
    return drop(shares, dropout) @ v
