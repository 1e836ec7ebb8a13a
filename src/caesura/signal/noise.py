"""Random numbers keyed by (generator, series), the same in any batch and on any rank.

A generator's stream depends on what else is drawn from it: the company a series keeps in
its batch would change its mask. Here the generator gives one key a call, and the number of
each element is a hash of (key, series index, element), by the finaliser of SplitMix64
(Steele, Lea, Flood 2014), computed in wrapping int64 arithmetic.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def _signed(value: int) -> int:
    """Return the int64 with the bits of an unsigned 64-bit constant."""
    return value - 2**64 if value >= 2**63 else value


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64 (torch's own is arithmetic)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX_1
    x = (x ^ _shift(x, 27)) * _MIX_2
    return x ^ _shift(x, 31)


def keyed_uniform(
    rng: torch.Generator, index: Int64[Tensor, " batch"], count: int
) -> Float[Tensor, "batch count"]:
    """Return uniform float32 numbers in [0, 1), `count` for each series number in `index`.

    Element j of a row depends on the generator's state, the series and j alone: a longer
    row begins with the shorter one. Advances `rng` by one draw.
    """
    elements = torch.arange(1, count + 1, device=index.device, dtype=torch.int64)
    return keyed_by(rng, index, elements[None, :])


def keyed_by(
    rng: torch.Generator, index: Int64[Tensor, " batch"], names: Int64[Tensor, "#batch count"]
) -> Float[Tensor, "batch count"]:
    """Return a uniform number for each name: elements of a row with one name share theirs.

    Advances `rng` by one draw.
    """
    key = torch.randint(-(2**63), 2**63 - 1, (1,), generator=rng, dtype=torch.int64)
    rows = _mix(key.to(index.device) + (index + 1) * _GOLDEN)
    bits = _mix(rows[:, None] + names * _GOLDEN)
    return _shift(bits, 40).to(torch.float32) * 2.0**-24  # 24 bits: all that float32 holds


def keyed_normal(
    rng: torch.Generator, index: Int64[Tensor, " batch"], count: int
) -> Float[Tensor, "batch count"]:
    """Return standard normal float32 numbers, `count` for each series number in `index`.

    By Box and Muller (1958), two uniform numbers each; keyed like `keyed_uniform`. Advances
    `rng` by two draws.
    """
    radius = (-2 * torch.log1p(-keyed_uniform(rng, index, count))).sqrt()
    return radius * torch.cos(2 * torch.pi * keyed_uniform(rng, index, count))
