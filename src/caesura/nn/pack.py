"""Packed tokens: a batch of unequal rows without its padding, for a CPU.

Random batches of unequal series are two thirds padding (20 to 250 observations). Products and
norms run on the real tokens alone, one after the other; attention runs on groups of rows of
like length. Equal to the padded layout up to the order of sums. A GPU needs another kernel
for this, so the layout is used on a CPU only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from caesura.nn.layout import Angles, mix_heads

_FULL_ENOUGH = 0.85
"""Share of real tokens from which padding costs less than gathering them."""
_STEP, _ROUND = 32, 64
"""Rows are attended together whose lengths fall into the same multiple of the first; the number
of tokens is a multiple of the second. A product of a new shape costs a CPU's library about a
millisecond and 200 KiB to prepare, so shapes should come again."""


def worth_packing(valid: Bool[Tensor, "rows tokens"]) -> bool:
    """Say whether packed tokens would be faster than padded rows here."""
    if valid.device.type != "cpu" or torch.compiler.is_compiling() or len(valid) < 2:
        return False
    return int(valid.sum()) < _FULL_ENOUGH * valid.numel()


class Packed:
    """The real tokens of all rows as (tokens, width), row after row."""

    def __init__(
        self, valid: Bool[Tensor, "rows tokens"], angles: Angles, context: int | None = None
    ) -> None:
        real = valid.numpy()
        lengths = real.sum(1)
        self.shape, self.rows = valid.shape, len(valid)
        self.tokens = int(lengths.sum())
        # stand-ins for tokens up to a round number: their outputs go nowhere
        spare = -self.tokens % _ROUND
        self.places = torch.from_numpy(np.pad(np.flatnonzero(real.ravel()), (0, spare)))
        self._row = torch.from_numpy(np.pad(np.repeat(np.arange(len(real)), lengths), (0, spare)))
        gathered, blocks, inverse = _group(lengths)
        self._inverse = torch.from_numpy(np.pad(inverse, (0, spare)))
        self._index = torch.from_numpy(gathered)
        self._padding = torch.cat([~block.flatten() for block in blocks])
        self._shapes = [tuple(block.shape) for block in blocks]
        self._sizes = [block.numel() for block in blocks]
        whole = [angle.flatten(0, 2)[self.places][self._index] for angle in angles]
        self._angles = [
            tuple(part.view(rows, 1, most, -1) for part in parts)
            for (rows, most), *parts in zip(
                self._shapes, *(torch.split(w, self._sizes) for w in whole), strict=True
            )
        ]
        self._masks = [block[:, None, None] for block in blocks]
        if context is not None:
            early = (torch.arange(valid.shape[1]) < context).expand(valid.shape).flatten()
            seen = torch.split(early[self.places][self._index], self._sizes)
            self._masks = [
                (block & part.view(block.shape))[:, None, None]
                | torch.eye(block.shape[1], dtype=torch.bool)
                for block, part in zip(blocks, seen, strict=True)
            ]

    def pack(self, x: Float[Tensor, "rows tokens width"]) -> Float[Tensor, "real width"]:
        """Return the real tokens of padded rows, and the stand-ins."""
        return x.flatten(0, 1)[self.places]

    def unpack(self, x: Float[Tensor, "real width"]) -> Float[Tensor, "rows tokens width"]:
        """Return padded rows, zero on padding."""
        places, real = self.places[: self.tokens], x[: self.tokens]
        rows = x.new_zeros(self.shape.numel(), x.shape[1]).index_copy(0, places, real)
        return rows.view(*self.shape, -1)

    def mix(self, qkv: Tensor, heads: int, dropout: float) -> Tensor:
        """Attend within each row, group by group."""
        spread: Tensor = _Lay.apply(  # type: ignore[no-untyped-call]
            qkv, self._index, self._inverse, self.tokens
        )
        parts = torch.split(spread, self._sizes)
        mixed = [
            mix_heads(part.view(*shape, -1), heads, angles, mask, dropout).flatten(0, 1)
            for part, shape, angles, mask in zip(
                parts, self._shapes, self._angles, self._masks, strict=True
            )
        ]
        gathered: Tensor = _Collect.apply(  # type: ignore[no-untyped-call]
            torch.cat(mixed), self._inverse, self._index, self._padding
        )
        return gathered

    def spread(self, per_row: Float[Tensor, " rows"]) -> Tensor:
        """Return (tokens, 1)."""
        return per_row[self._row][:, None]


def _group(
    lengths: NDArray[Any],
) -> tuple[NDArray[np.int64], list[Tensor], NDArray[np.int64]]:
    """Lay rows of like length out as blocks.

    Returns the packed token behind each place of all blocks (a row's first one where the
    place is padding), which places of each block are real (rows, longest), and the place of
    each packed token.
    """
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    cuts = np.flatnonzero(np.diff(-(-lengths[order] // _STEP))) + 1
    tokens, masks = [], []
    inverse = np.empty(int(lengths.sum()), dtype=np.int64)
    done = 0
    for rows in np.split(order, cuts):
        place = np.arange(-(-int(lengths[rows].max()) // _STEP) * _STEP)
        real = place < lengths[rows][:, None]
        token = starts[rows][:, None] + np.where(real, place, 0)
        inverse[token[real]] = done + np.flatnonzero(real)
        tokens.append(token.ravel())
        masks.append(torch.from_numpy(real))
        done += real.size
    return np.concatenate(tokens), masks, inverse


class _Lay(torch.autograd.Function):
    """Packed tokens to blocks. Places of padding pass no gradient back: none reaches a loss."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, inverse: Tensor, tokens: int) -> Tensor:
        ctx.save_for_backward(inverse)
        ctx.tokens = tokens
        return x.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (inverse,) = ctx.saved_tensors
        to_tokens = grads[0].index_select(0, inverse)
        to_tokens[ctx.tokens :] = 0.0  # the stand-ins
        return to_tokens, None, None, None


class _Collect(torch.autograd.Function):
    """Blocks to packed tokens, and back with zeros on padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, inverse: Tensor, index: Tensor, padding: Tensor) -> Tensor:
        ctx.save_for_backward(index, padding)
        return x.index_select(0, inverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        index, padding = ctx.saved_tensors
        return grads[0].index_select(0, index).masked_fill_(padding[:, None], 0.0), None, None, None
