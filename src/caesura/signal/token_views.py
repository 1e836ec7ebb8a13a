"""Augmentations of irregular observations: other values, or fewer of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from caesura.signal.noise import keyed_normal, keyed_uniform
from caesura.signal.view_config import ViewConfig, between, deviation
from caesura.types import Tokens


def without(tokens: Tokens, left_out: Bool[Tensor, "batch tokens"]) -> Tokens:
    """Return tokens less some, as if they had not been measured; a row keeps one at least."""
    valid = tokens.valid & ~left_out
    lost = ~valid.any(1, keepdim=True)
    valid = torch.where(lost, tokens.valid, valid)
    return replace(
        tokens,
        values=tokens.values * valid[..., None],
        observed=tokens.observed & valid[..., None],
        valid=valid,
    )


def _jittered_tokens(
    tokens: Tokens, index: Tensor, rng: torch.Generator, config: ViewConfig
) -> Tokens:
    size = tokens.values.shape[-1]
    spread = (config.jitter or 0.2) * deviation(tokens.values, tokens.observed, 1)
    noise = keyed_normal(rng, index, tokens.valid.shape[1] * size).view(tokens.values.shape)
    values = tokens.values + spread * noise.to(tokens.values)
    return replace(tokens, values=values * tokens.observed)


def _scaled_tokens(
    tokens: Tokens, index: Tensor, rng: torch.Generator, config: ViewConfig
) -> Tokens:
    factor = between(config.scale, keyed_uniform(rng, index, 1)).to(tokens.values)
    return replace(tokens, values=tokens.values * factor[..., None])


def _thinned(tokens: Tokens, index: Tensor, rng: torch.Generator, config: ViewConfig) -> Tokens:
    drawn = keyed_uniform(rng, index, tokens.valid.shape[1]).to(tokens.values.device)
    return without(tokens, drawn < config.drop)


def _fewer_channels(
    tokens: Tokens, index: Tensor, rng: torch.Generator, config: ViewConfig
) -> Tokens:
    """Leave whole channels out (the last position axis), where there are several."""
    if tokens.positions.shape[-1] < 2:
        return tokens
    channel = tokens.positions[..., -1].round().long().clamp(min=0)
    drawn = keyed_uniform(rng, index, int(channel.max()) + 1).to(tokens.values.device)
    return without(tokens, drawn.gather(1, channel) < config.drop)


def _time_masked_tokens(
    tokens: Tokens, index: Tensor, rng: torch.Generator, config: ViewConfig
) -> Tokens:
    """Leave those in a span of time out."""
    draws = keyed_uniform(rng, index, 2).to(tokens.values)
    time = tokens.positions[..., 0]
    first = time.masked_fill(~tokens.valid, torch.inf).amin(1, keepdim=True)
    last = time.masked_fill(~tokens.valid, -torch.inf).amax(1, keepdim=True)
    length = draws[:, :1] * config.mask * (last - first)
    begin = first + draws[:, 1:] * (last - first - length)
    return without(tokens, (time >= begin) & (time < begin + length))


TOKEN_VIEWS: dict[str, Callable[[Tokens, Tensor, torch.Generator, ViewConfig], Tokens]] = {
    "jitter": _jittered_tokens,
    "scale": _scaled_tokens,
    "drop": _thinned,
    "channel_drop": _fewer_channels,
    "time_mask": _time_masked_tokens,
}
