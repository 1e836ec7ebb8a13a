"""Cuts N-D arrays into patches: regular axes by any size, irregular axes one step at a time.

RoMAE, arXiv 2505.20535, sec. 3.2 and proposition 4.1: along an axis of uneven steps a patch of
several steps would have no one position, so its size must be 1.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from caesura.errors import RecipeError
from caesura.types import Grid, Tokens


def patchify(
    values: Tensor,
    sizes: Sequence[int],
    *,
    positions: Mapping[int, Tensor] | None = None,
    observed: Tensor | None = None,
) -> Tokens:
    """Cut (batch, axis 1, ..., axis A, channels) into Tokens of prod(sizes) x channels values.

    Tokens are in row-major order of the axes, elements inside a patch too, channels last.
    sizes: steps a patch takes along each axis; it must divide the axis (RecipeError).
    positions: for each irregular axis, by its number from 0, the coordinates (batch, steps);
    its size must be 1 (RecipeError). A regular axis counts patches: 0, 1, ...
    observed: where the array was measured, its shape; by default everywhere.
    """
    irregular = dict(positions or {})
    lengths = values.shape[1:-1]
    if len(sizes) != len(lengths):
        raise RecipeError(f"{len(sizes)} patch sizes for {len(lengths)} axes; give one an axis")
    for axis, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
        if axis in irregular and size != 1:
            raise RecipeError(
                f"axis {axis} has coordinates of its own and patch size {size}; "
                "an irregular axis needs patch size 1"
            )
        if length % size:
            raise RecipeError(
                f"patch={size} does not divide axis {axis} of length {length}; "
                f"choose patch={_nearest_divisor(length, size)} or length={length // size * size}"
            )
    real = torch.ones_like(values, dtype=torch.bool) if observed is None else observed
    cut = _cut(values * real, sizes)
    places = _places(values, sizes, irregular)
    return Tokens(
        values=cut,
        observed=_cut(real, sizes),
        positions=places,
        valid=torch.ones(cut.shape[:2], dtype=torch.bool, device=values.device),
    )


def patch_grid(grid: Grid, size: int) -> Tokens:
    """Cut a grid into tokens of `size` samples of all channels, at positions 0, 1, ...

    Elements are in order of time, channels last. Neighbours do not overlap: an overlap would
    show half of a hidden patch. A shorter rest at the end is filled with unobserved samples;
    a patch is valid where one of its samples is.
    """
    short = -grid.values.shape[-1] % size
    values, observed = (
        torch.nn.functional.pad(x, (0, short)).mT for x in (grid.values, grid.observed)
    )
    rows, time, channels = values.shape
    count = time // size

    def cut(x: Tensor) -> Tensor:
        return x.reshape(rows, count, size * channels)

    valid = torch.ones(rows, count, dtype=torch.bool, device=values.device)
    if grid.valid is not None:
        inside = torch.nn.functional.pad(grid.valid, (0, short))
        valid = inside.view(rows, count, size).any(-1)
    weight = grid.weight
    return Tokens(
        values=cut(values),
        observed=cut(observed),
        positions=torch.arange(count, device=values.device)
        .float()[None, :, None]
        .expand(rows, -1, 1),
        valid=valid,
        weight=None if weight is None else cut(torch.nn.functional.pad(weight, (0, short)).mT),
    )


def unpatchify(patches: Tensor, lengths: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """Undo `patchify`: (batch, patches, size) to (batch, axis 1, ..., axis A, channels)."""
    axes = len(sizes)
    counts = [length // size for length, size in zip(lengths, sizes, strict=True)]
    grid = patches.reshape(patches.shape[0], *counts, *sizes, -1)
    woven = [0, *itertools.chain(*((1 + a, 1 + axes + a) for a in range(axes))), 1 + 2 * axes]
    return grid.permute(woven).reshape(patches.shape[0], *lengths, -1)


def _cut(values: Tensor, sizes: Sequence[int]) -> Tensor:
    lengths, axes = values.shape[1:-1], len(sizes)
    split: list[int] = []
    for length, size in zip(lengths, sizes, strict=True):
        split += [length // size, size]
    grid = values.reshape(values.shape[0], *split, values.shape[-1])
    outer = [1 + 2 * a for a in range(axes)]
    inner = [2 + 2 * a for a in range(axes)]
    order = [0, *outer, *inner, 1 + 2 * axes]
    count = 1
    for length, size in zip(lengths, sizes, strict=True):
        count *= length // size
    return grid.permute(order).reshape(values.shape[0], count, -1)


def _places(values: Tensor, sizes: Sequence[int], irregular: Mapping[int, Tensor]) -> Tensor:
    """Return (batch, patches, axes) coordinates in row-major order."""
    batch, axes = values.shape[0], len(sizes)
    counts = [n // size for n, size in zip(values.shape[1:-1], sizes, strict=True)]
    columns = []
    for axis, count in enumerate(counts):
        own = irregular.get(axis)
        if own is None:
            own = torch.arange(count, device=values.device).expand(batch, -1)
        shape = [batch, *(count if a == axis else 1 for a in range(axes))]
        columns.append(own.to(torch.float32).reshape(shape).expand(batch, *counts).flatten(1))
    return torch.stack(columns, dim=-1)


def _nearest_divisor(length: int, size: int) -> int:
    divisors = [d for d in range(1, length + 1) if length % d == 0]
    return min(divisors, key=lambda d: (abs(d - size), d))


def sample_tokens(inputs: Grid | Tokens) -> Tokens:
    """Return a token for each sample of a grid, of all channels; the identity on tokens."""
    if isinstance(inputs, Tokens):
        return inputs
    steps = torch.arange(inputs.values.shape[-1], device=inputs.values.device)
    valid = inputs.observed.any(1) if inputs.valid is None else inputs.valid
    return Tokens(
        values=inputs.values.mT,
        observed=inputs.observed.mT,
        positions=steps.float()[None, :, None].expand(len(valid), -1, 1),
        valid=valid,
        weight=None if inputs.weight is None else inputs.weight.mT,
    )
