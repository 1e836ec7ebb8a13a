"""Batches of like length within a token budget, found again from a step's number alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.collate import TokenStore, collate
from caesura.data.window import Windows, covering_windows, cut_by_tokens, random_windows
from caesura.types import Batch

_VALIDATION_TOKENS = 131_072
"""Observations that validate at most: more would cost time and not change the choice."""
_LONG, _LONG_TOKENS = 8, 32_768
"""Windows of a series from which on it counts as long, and observations that validate then."""
INFERENCE_TOKENS = 2048
"""Tokens of a batch without gradients: more are not faster on a CPU, and take more memory."""
_MOST_PADDED = 4
"""Padded size of a random batch, as a multiple of its tokens, beyond which it is cut in parts:
packing spares a Transformer its padding, but not what comes before and after it."""
_JITTER = 0.03
"""Share by which a length is perturbed before sorting, so that neighbours change by epoch."""


Order = Literal["buckets", "random", "whole"]


class SeriesBatches:
    """Training and validation batches of a token store (a `training.loop.BatchSource`).

    An epoch visits each training series once (one random window of a long one). Its order
    depends on (seed, epoch) alone.
    order: "buckets", series of like length in a batch, a biased sample with which masked
    autoencoding ends higher; "random", any series, which the encoder packs; "whole", the same
    and never cut in parts, for an objective with batch statistics.
    """

    def __init__(
        self,
        tokens: TokenStore,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        *,
        batch_tokens: int,
        max_tokens: int,
        seed: int,
        target: torch.Tensor | None = None,
        order: Order = "buckets",
    ) -> None:
        self.part_tokens = part_budget(batch_tokens, order)
        random_order = order != "buckets"
        self.tokens, self.train, self.target = tokens, train, target
        self.max_tokens = min(max_tokens, batch_tokens)
        self.seed, self.random_order = seed, random_order
        self.cuts = cut_for(tokens.lengths[train], batch_tokens, self.max_tokens, random_order)
        held_out = validation_windows(tokens, validation, self.max_tokens)
        held_out = held_out.take(np.argsort(held_out.lengths, kind="stable"))
        runs = cut_by_tokens(held_out.lengths, min(batch_tokens, INFERENCE_TOKENS))
        self.held_out = [held_out.take(np.arange(first, last)) for first, last in runs]
        self._epoch, self._plan = -1, list[Windows]()

    def steps_per_epoch(self, world_size: int) -> int:
        """Return the number of steps that visit every batch once."""
        return max(1, -(-len(self.cuts) // world_size))

    def training(self, step: int, rank: int, world_size: int) -> Sequence[Batch]:
        """Return this rank's batch, in parts; the last step of an epoch wraps around."""
        epoch, place = divmod(step, self.steps_per_epoch(world_size))
        if epoch != self._epoch:
            self._epoch, self._plan = epoch, self._plan_epoch(epoch)
        windows = self._plan[(place * world_size + rank) % len(self._plan)]
        parts = in_parts(windows, self.part_tokens) if world_size == 1 else [windows]
        return [collate(self.tokens, part, self.target) for part in parts]

    def validation_steps(self, world_size: int) -> int:
        """Return the number of validation batches of the first rank."""
        return -(-len(self.held_out) // world_size)

    def validation(self, rank: int, world_size: int) -> Iterable[Batch]:
        """Yield this rank's share of the held-out batches, long series cut into windows."""
        for windows in self.held_out[rank::world_size]:
            yield collate(self.tokens, windows, self.target)

    def _plan_epoch(self, epoch: int) -> list[Windows]:
        rng = np.random.default_rng((self.seed, epoch))
        windows = random_windows(self.tokens.offsets, self.train, self.max_tokens, rng)
        return shuffled(windows, self.cuts, rng, self.random_order)


def part_budget(batch_tokens: int, order: Order) -> int:
    """Return the padded size beyond which a batch is cut in parts; 0 for never."""
    return _MOST_PADDED * batch_tokens if order == "random" else 0


def in_parts(windows: Windows, part_tokens: int) -> list[Windows]:
    """Cut a random batch with a few long series into parts whose padded sizes keep to a budget.

    The loop weighs parts by their counts, so the gradient is that of the whole batch. 0 leaves
    it whole. Twice as many parts as needed were slower by a fifth (docs/log.md).
    """
    if not part_tokens or len(windows) * int(windows.lengths.max()) <= part_tokens:
        return [windows]
    by_length = windows.take(np.argsort(windows.lengths, kind="stable"))
    cuts = cut_by_tokens(by_length.lengths, part_tokens)
    return [by_length.take(np.arange(first, last)) for first, last in cuts]


def cut_for(
    lengths: NDArray[np.integer[Any]], batch_tokens: int, max_tokens: int, random_order: bool
) -> list[tuple[int, int]]:
    """Cut an epoch of series of these lengths into batches; depends on nothing but them."""
    ascending = np.minimum(np.sort(lengths), max_tokens)
    if random_order and len(ascending):  # packed tokens: a batch costs what is real in it
        ascending = np.full_like(ascending, max(1, round(float(ascending.mean()))))
    return cut_by_tokens(ascending, batch_tokens)


def shuffled(
    windows: Windows, cuts: list[tuple[int, int]], rng: np.random.Generator, random_order: bool
) -> list[Windows]:
    """Share windows out over batches: neighbours in length, or any, the batches in any order."""
    spread = rng.random(len(windows))
    keys = spread if random_order else windows.lengths * (1 + _JITTER * spread)
    windows = windows.take(np.argsort(keys, kind="stable"))
    batches = [windows.take(np.arange(first, last)) for first, last in cuts]
    return [batches[i] for i in rng.permutation(len(batches))]


def validation_windows(tokens: TokenStore, series: NDArray[np.int64], max_tokens: int) -> Windows:
    """Return what validates: the first series that fit into a budget, one at least.

    Of series of many windows, whose neighbours say much the same, a sample of windows, evenly
    spread over all of them.
    """
    if tokens.lengths[series].max(initial=0) <= _LONG * max_tokens:
        within = np.cumsum(tokens.lengths[series]) <= _VALIDATION_TOKENS
        return covering_windows(tokens.offsets, series[: max(1, int(within.sum()))], max_tokens)
    windows = covering_windows(tokens.offsets, series, max_tokens)
    count = max(1, min(len(windows), _LONG_TOKENS // max_tokens))
    return windows.take(np.linspace(0, len(windows) - 1, count).round().astype(np.int64))


def sequential_batches(
    tokens: TokenStore, series: NDArray[np.int64], *, batch_tokens: int, max_tokens: int
) -> Iterable[tuple[Windows, Batch]]:
    """Yield windows that cover the series, shortest first, with their batches."""
    windows = covering_windows(tokens.offsets, series, min(max_tokens, batch_tokens))
    windows = windows.take(np.argsort(windows.lengths, kind="stable"))
    for first, last in cut_by_tokens(windows.lengths, batch_tokens):
        chosen = windows.take(np.arange(first, last))
        yield chosen, collate(tokens, chosen)
