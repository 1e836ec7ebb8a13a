"""Which tokens to hide: exact counts a row at any padding, by sorts, without Python loops.

RoMAE hides ceil(ratio x tokens) of a row, uniformly (its sec. 3.1 and code). Here at least
one real token stays visible, and counts differ by row as lengths do.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from caesura.signal.noise import keyed_by, keyed_uniform
from caesura.types import Tokens

MaskKind = Literal["uniform", "block", "channel", "moment", "end"]
Ratio = float | Float[Tensor, " batch"]


def hidden_counts(
    valid: Bool[Tensor, "batch tokens"], ratio: Ratio, visible: int = 1
) -> Int64[Tensor, " batch"]:
    """Return how many tokens of each row to hide: ceil(ratio x real), `visible` left at least, and
    one of two is hidden."""
    real = valid.sum(1)
    # the small term keeps ceil(0.6 * 75) at 45 where floating point gives 45.000001
    wanted = (real * ratio - 1e-6).ceil().long()
    most = torch.maximum(real - visible, (real - 1).clamp(min=0, max=1))
    return torch.minimum(wanted, most)


def hide_smallest(
    score: Float[Tensor, "batch tokens"],
    valid: Bool[Tensor, "batch tokens"],
    ratio: Ratio,
    visible: int = 1,
) -> Bool[Tensor, "batch tokens"]:
    """Hide the real tokens with the smallest scores, the exact count of each row; `visible` stay
    at least.

    score: float32, at least 0. One sort of whole numbers, unique by the place in the row: the
    bits of a float that is not negative are ordered as it is.
    """
    place = torch.arange(score.shape[1], device=score.device)
    key = (score.float().contiguous().view(torch.int32).long() << 31) | place
    key = key.masked_fill_(~valid, torch.iinfo(torch.int64).max)
    last = hidden_counts(valid, ratio, visible)[:, None] - 1
    threshold = sorted_rows(key).gather(1, last.clamp(min=0))
    return (key <= threshold) & (last >= 0)


def sorted_rows(key: Int64[Tensor, "batch tokens"]) -> Int64[Tensor, "batch tokens"]:
    """Sort each row; on a CPU by numpy, which is 16 times as fast as torch at it."""
    if key.device.type != "cpu" or torch.compiler.is_compiling():
        return key.sort(dim=1).values
    return torch.from_numpy(np.sort(key.numpy(), axis=1))


def draw_mask(
    tokens: Tokens,
    index: Int64[Tensor, " batch"],
    rng: torch.Generator,
    ratio: Ratio,
    kind: MaskKind,
) -> Bool[Tensor, "batch tokens"]:
    """Return True on the tokens to hide, keyed by series (`signal.noise`).

    "uniform": any tokens. "block": those nearest in time to a random moment of the row, a
    gap. "channel": whole channels (the last position axis), the last one hidden in part.
    "moment": all tokens of random times, the last one in part, as where several channels are
    measured at once. "end": those latest in time, a forecast.
    """
    if kind == "moment":
        # one name a time: the bits of its float32, 0 and -0 made one
        times = (tokens.positions[..., 0] + 0.0).contiguous().view(torch.int32).long()
        return hide_smallest(keyed_by(rng, index, times), tokens.valid, ratio)
    if kind == "end":
        time = tokens.positions[..., 0]
        last = time.masked_fill(~tokens.valid, -torch.inf).amax(1, keepdim=True)
        return hide_smallest((last - time).clamp(min=0), tokens.valid, ratio)
    noise = keyed_uniform(rng, index, tokens.valid.shape[1]).to(tokens.values.device)
    if kind == "uniform":
        return hide_smallest(noise, tokens.valid, ratio)
    if kind == "block":
        time = tokens.positions[..., 0]
        first = time.masked_fill(~tokens.valid, torch.inf).amin(1, keepdim=True)
        last = time.masked_fill(~tokens.valid, -torch.inf).amax(1, keepdim=True)
        moment = first + noise[:, :1] * (last - first)
        return hide_smallest((time - moment).abs(), tokens.valid, ratio)
    channel = tokens.positions[..., -1].round().long().clamp(min=0)
    most = int(channel.max()) + 1
    order = keyed_uniform(rng, index, most).to(tokens.values.device)
    # channels in random order; within one, tokens in random order
    return hide_smallest(order.gather(1, channel) + noise * 2.0**-20, tokens.valid, ratio)


def keep_indices(
    kept: Bool[Tensor, "batch tokens"],
) -> tuple[Int64[Tensor, "batch most"], Bool[Tensor, "batch most"]]:
    """Return the places of the kept tokens of each row, in order, padded to the most kept."""
    if kept.device.type != "cpu":  # a sort keeps the queue of a GPU running, nonzero does not
        most = max(int(kept.sum(1).max()), 1)
        index = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
        return index, kept.gather(1, index)
    real = kept.numpy()
    counts = real.sum(1)
    valid = np.arange(max(int(counts.max(initial=0)), 1)) < counts[:, None]
    places = np.zeros(valid.shape, dtype=np.int64)
    places[valid] = np.flatnonzero(real) % max(real.shape[1], 1)  # both in row-major order
    return torch.from_numpy(places), torch.from_numpy(valid)


GridMaskKind = Literal["random", "block", "mixed"]


def hide_patches(
    observed: Bool[Tensor, "batch channels time"],
    index: Int64[Tensor, " batch"],
    rng: torch.Generator,
    patch: int,
    ratio: float,
    kind: GridMaskKind = "random",
    shared: bool = True,
) -> Bool[Tensor, "batch channels time"]:
    """Return True on the samples of a grid to hide: whole patches, an exact count a row.

    patch: samples; the last one of a row may be shorter. "random": any patches. "block": those
    nearest to a random place, a gap. "mixed": one or the other by row. shared: the same
    patches in all channels; else each channel has its own. Patches without an observed sample
    do not count, and two with some stay visible (of two, one): a single sample has no spread to
    normalise by, and a batch of windows that are all zeros has gradients beyond any number.
    """
    rows, channels, time = observed.shape
    if not shared:
        each = (index[:, None] * channels + torch.arange(channels, device=index.device)).flatten()
        alone = observed.reshape(rows * channels, 1, time)
        return hide_patches(alone, each, rng, patch, ratio, kind).view(rows, channels, time)
    short = -time % patch
    real = torch.nn.functional.pad(observed.any(1), (0, short)).view(rows, -1, patch).any(-1)
    count = real.shape[1]
    noise = keyed_uniform(rng, index, count + 2).to(observed.device)
    place = torch.arange(count, device=observed.device)
    nearness = (place - noise[:, count, None] * (count - 1)).abs()
    score = noise[:, :count]
    if kind == "block":
        score = nearness
    elif kind == "mixed":
        score = torch.where(noise[:, count + 1, None] < 0.5, nearness, score)
    hidden = hide_smallest(score, real, ratio, visible=2)
    whole = hidden.repeat_interleave(patch, dim=1)[:, None, :time]
    return whole.expand(-1, channels, -1) & observed.any(1, keepdim=True)
