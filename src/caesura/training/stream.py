"""Training batches of a corpus that is larger than memory, found again by a step's number.

An epoch visits the row groups in an order drawn from (seed, epoch), dealt out to the ranks; a
buffer holds as many as its size allows, and its series are shuffled into length buckets as
those of a table in memory are. How many batches a buffer gives follows from the lengths in
the index, so any step is found without reading what came before it. Every epoch has the
length of the first: where another order of row groups gives a batch more or less, the last
ones are left out or seen again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.collate import TokenStore, collate, tokenise_store
from caesura.data.schema import Schema
from caesura.data.stream import TRAIN, Corpus
from caesura.data.window import Windows, random_windows
from caesura.system import return_memory
from caesura.training.config import TrainingConfig
from caesura.training.loader import Order, SeriesBatches, cut_for, in_parts, part_budget, shuffled
from caesura.types import Batch

_BUFFER_ROWS = 2_000_000
"""Observations held at once, about 150 MB while they are opened."""


@dataclass(frozen=True)
class _Buffer:
    """Row groups that are in memory together, and the number of their first batch."""

    groups: NDArray[np.int64]
    first: int
    batches: int


@dataclass(frozen=True)
class _Loaded:
    key: tuple[int, int, int]
    tokens: TokenStore
    numbers: NDArray[np.int64]
    plan: list[Windows]


class StreamBatches:
    """Batches of a corpus (a `training.loop.BatchSource`); validation comes from its sample."""

    def __init__(
        self,
        corpus: Corpus,
        schema: Schema,
        config: TrainingConfig,
        seed: int,
        *,
        order: Order = "buckets",
        buffer_rows: int = _BUFFER_ROWS,
    ) -> None:
        self.corpus, self.schema, self.config, self.seed = corpus, schema, config, seed
        self.random_order, self.buffer_rows = order != "buckets", buffer_rows
        self.part_tokens = part_budget(config.batch_tokens, order)
        self.max_tokens = min(config.max_tokens, config.batch_tokens)
        validation = corpus.split.validation
        self.held_out = SeriesBatches(
            tokenise_store(corpus.sample, schema),
            validation,
            validation,
            batch_tokens=config.batch_tokens,
            max_tokens=config.max_tokens,
            seed=seed,
        )
        self._plans: dict[tuple[int, int], list[_Buffer]] = {}
        self._loaded: _Loaded | None = None

    def steps_per_epoch(self, world_size: int) -> int:
        """Return the most batches that one rank has; the others begin anew."""
        return max(self._batches(world_size), 1)

    def training(self, step: int, rank: int, world_size: int) -> Sequence[Batch]:
        """Return this rank's batch, in parts."""
        epoch, place = divmod(step, self.steps_per_epoch(world_size))
        buffers = self._buffers(epoch, rank, world_size)
        place %= buffers[-1].first + buffers[-1].batches
        number = int(np.searchsorted([b.first for b in buffers], place, side="right")) - 1
        loaded = self._load((epoch, rank, number), buffers[number])
        windows = loaded.plan[place - buffers[number].first]
        parts = in_parts(windows, self.part_tokens) if world_size == 1 else [windows]
        batches = [(part, collate(loaded.tokens, part)) for part in parts]
        return [
            replace(batch, index=torch.from_numpy(loaded.numbers[part.series]))
            for part, batch in batches
        ]

    def validation(self, rank: int, world_size: int) -> Iterable[Batch]:
        """Yield this rank's share of the held-out sample."""
        return self.held_out.validation(rank, world_size)

    def validation_steps(self, world_size: int) -> int:
        """Return the number of validation batches of the first rank."""
        return self.held_out.validation_steps(world_size)

    @cached_property
    def _rows(self) -> NDArray[np.int64]:
        """Observations of each row group."""
        total = np.concatenate([[0], np.cumsum(self.corpus.index.lengths, dtype=np.int64)])
        return np.diff(total[self.corpus.index.first])

    def _batches(self, world_size: int) -> int:
        """Return an epoch's batches a rank, which must not depend on the epoch."""
        if world_size == 1:
            return sum(b.batches for b in self._buffers(0, 0, 1))
        ranks = (self._buffers(0, rank, world_size) for rank in range(world_size))
        return max(sum(b.batches for b in buffers) for buffers in ranks)

    def _buffers(self, epoch: int, rank: int, world_size: int) -> list[_Buffer]:
        """Cut this rank's row groups of an epoch into buffers."""
        key = (epoch, rank)
        if key not in self._plans:
            if len(self._plans) > 2 * world_size:
                self._plans.clear()
            full = np.flatnonzero(self._rows)
            order = np.random.default_rng((self.seed, epoch, 1)).permutation(full)
            own = order[rank::world_size] if len(order) >= world_size else order
            before = np.cumsum(self._rows[own]) - self._rows[own]
            cuts = np.flatnonzero(np.diff(before // self.buffer_rows)) + 1
            buffers, first = [], 0
            for groups in np.split(own, cuts):
                batches = len(self._cuts(groups))
                buffers.append(_Buffer(groups, first, batches))
                first += batches
            self._plans[key] = buffers
        return self._plans[key]

    def _cuts(self, groups: NDArray[np.int64]) -> list[tuple[int, int]]:
        index = self.corpus.index
        parts = [slice(index.first[g], index.first[g + 1]) for g in groups]
        lengths = [index.lengths[part][index.roles[part] == TRAIN] for part in parts]
        return cut_for(
            np.concatenate(lengths), self.config.batch_tokens, self.max_tokens, self.random_order
        )

    def _load(self, key: tuple[int, int, int], buffer: _Buffer) -> _Loaded:
        if self._loaded is None or self._loaded.key != key:
            self._loaded = None  # before the next one is read, not beside it
            return_memory()
            store, numbers = self.corpus.load(buffer.groups.tolist())
            tokens = tokenise_store(store, self.schema)
            train = np.flatnonzero(self.corpus.index.roles[numbers] == TRAIN)
            rng = np.random.default_rng((self.seed, *key))
            windows = random_windows(tokens.offsets, train, self.max_tokens, rng)
            cuts = self._cuts(buffer.groups)
            plan = shuffled(windows, cuts, rng, self.random_order)
            self._loaded = _Loaded(key, tokens, numbers, plan)
        return self._loaded
