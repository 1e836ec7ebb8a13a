"""Batches of a fixed number of series, made by a function from their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from caesura.types import Batch

Gather = Callable[[NDArray[np.int64], np.random.Generator | None], Batch]
"""Series numbers to a batch; the generator is for augmentation, None in validation."""


class IndexedBatches:
    """A `training.loop.BatchSource` over data that are made or read when they are asked for.

    Images, spectrograms and generated series need no ragged store: all have one size. An
    epoch visits each training series once; its order, and what `gather` draws, depend on
    (seed, epoch) and (seed, step) alone.
    """

    def __init__(
        self,
        gather: Gather,
        train: NDArray[np.int64],
        validation: NDArray[np.int64],
        batch_size: int,
        seed: int,
    ) -> None:
        self.gather, self.train, self.held_out = gather, train, validation
        self.batch_size, self.seed = min(batch_size, len(train)), seed

    def steps_per_epoch(self, world_size: int) -> int:
        """Return the number of steps that visit every series once; a rest joins the next."""
        return max(1, len(self.train) // (self.batch_size * world_size))

    def training(self, step: int, rank: int, world_size: int) -> Sequence[Batch]:
        """Return this rank's batch."""
        epoch, place = divmod(step, self.steps_per_epoch(world_size))
        order = np.random.default_rng((self.seed, epoch)).permutation(self.train)
        first = (place * world_size + rank) * self.batch_size
        rng = np.random.default_rng((self.seed, step, rank, 1))
        return [self.gather(order[first : first + self.batch_size], rng)]

    def validation_steps(self, world_size: int) -> int:
        """Return the number of validation batches of the first rank."""
        return -(-len(self._blocks()) // world_size)

    def validation(self, rank: int, world_size: int) -> Iterable[Batch]:
        """Yield this rank's share of the held-out batches."""
        for block in self._blocks()[rank::world_size]:
            yield self.gather(block, None)

    def _blocks(self) -> list[NDArray[np.int64]]:
        count = max(1, -(-len(self.held_out) // self.batch_size))
        return np.array_split(self.held_out, count)
