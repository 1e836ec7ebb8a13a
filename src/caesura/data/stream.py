"""A corpus larger than memory: Parquet read one row group at a time, found again by number.

One pass over the data makes an index (how long each series is, where each row group begins)
and a sample of each role. Both are kept in the cache folder. From the index alone every batch
of a training is known by its number, so a resume reads one buffer and nothing before it.

Rows of a series must follow one another (`data.groups`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.cache import cached_path, load_store, save_store
from caesura.data.config import DataConfig
from caesura.data.groups import SeriesGroups
from caesura.data.join import joined
from caesura.data.keys import keys_of
from caesura.data.parquet_files import is_parquet
from caesura.data.rows import ParquetRows
from caesura.data.spelling import places, plain
from caesura.data.split import Split
from caesura.data.store import DoorReport, RaggedStore
from caesura.errors import DataError, NothingMeasuredError, StorageError
from caesura.files import write_atomically
from caesura.system import available_bytes

log = logging.getLogger("caesura")
TRAIN, VALIDATION, CALIBRATION = 0, 1, 2
_SAMPLE = {TRAIN: 1_000_000, VALIDATION: 400_000, CALIBRATION: 400_000}
"""Observations of each role that are held in memory: to fit the schema, validate, calibrate."""
_BYTES_A_ROW = 40
"""Memory of one observation while a table is opened, about."""


@dataclass(frozen=True)
class Index:
    """What one pass found. lengths, roles: of each series. first: series' numbers at which the
    row groups begin, one more than groups. heads: rows of each group whose series began before.
    """

    lengths: NDArray[np.int32]
    roles: NDArray[np.int8]
    first: NDArray[np.int64]
    heads: NDArray[np.int64]


class Corpus:
    """Series of a Parquet file or folder, by row group."""

    def __init__(self, path: Path, config: DataConfig, seed: int) -> None:
        self.path, self.config, self.seed = path, config, seed
        self.groups = SeriesGroups(path, config)
        self.index, self.sample = self._indexed()

    def __len__(self) -> int:
        return len(self.index.lengths)

    @property
    def train_series(self) -> int:
        """Return the number of series that train."""
        return int((self.index.roles == TRAIN).sum())

    @property
    def split(self) -> Split:
        """Return the roles of the sample's series; `groups` of the sample hold them."""
        roles = self.sample.group_codes
        return Split(*(np.flatnonzero(roles == role) for role in (TRAIN, VALIDATION, CALIBRATION)))

    def load(self, groups: Sequence[int]) -> tuple[RaggedStore, NDArray[np.int64]]:
        """Read row groups: their series, as one store, and the number of each in the corpus."""
        heads = self.index.heads
        stores = [
            store for group in groups if (store := self.groups.read(group, heads)) is not None
        ]
        numbers = [np.arange(self.index.first[g], self.index.first[g + 1]) for g in groups]
        return joined(stores), np.concatenate(numbers)

    def _indexed(self) -> tuple[Index, RaggedStore]:
        key = f"{self.seed} {self.config.validation} {self.config.calibration}"
        kept = cached_path(self.path, self.config.columns, self.config.tokens == "observation", key)
        index_file = None if kept is None else kept.with_suffix(".index.npz")
        if kept is not None and index_file is not None and index_file.is_file():
            sample = load_store(kept)
            try:
                with np.load(index_file, allow_pickle=False) as found:
                    index = Index(**{name: found[name] for name in Index.__dataclass_fields__})
                if sample is not None and _matches(index, len(self.groups)):
                    _tell(sample[1])
                    return index, sample[0]
            except (OSError, EOFError, ValueError, KeyError, BadZipFile):
                log.warning("%s is damaged; the index is made anew", index_file)
        index, store, report = self._scan()
        _tell(report)
        if kept is not None and index_file is not None:
            save_store(kept, store, report)
            arrays = {name: getattr(index, name) for name in Index.__dataclass_fields__}
            try:
                write_atomically(index_file, lambda path: np.savez(path, **arrays))
            except StorageError as error:
                log.warning("the index is not kept for the next time: %s", error)
        return index, store

    def _scan(self) -> tuple[Index, RaggedStore, DoorReport]:
        """Pass over all rows once."""
        quota = {role: max(64, rows // len(self.groups)) for role, rows in _SAMPLE.items()}
        heads = self.groups.heads
        lengths, roles, first = [], [], [0]
        parts: list[RaggedStore] = []
        seen: list[NDArray[np.uint64]] = []
        report = DoorReport()
        for number in range(len(heads)):
            store, _, mended = self.groups.read_all(number)
            report.merge(mended)
            count = 0 if store is None else len(store)
            if store is not None:
                seen.append(keys_of(store.ids))
                own = self._roles(number, store, first[-1])
                lengths.append(store.lengths.astype(np.int32))
                roles.append(own)
                parts += _share(store, own, quota)
            first.append(first[-1] + count)
        if not seen:
            raise NothingMeasuredError(
                f"no row of {self.path} has a finite time and value; check --time, --value and "
                "--missing"
            )
        report.say_unmatched()
        hashes = np.concatenate(seen)
        if len(np.unique(hashes)) < len(hashes):
            raise DataError(
                f"the rows of some series of {self.path} do not follow one another; write the "
                "table in order with `caesura data sort`, or set data.stream=off to sort in memory"
            )
        index = Index(np.concatenate(lengths), np.concatenate(roles), np.array(first), heads)
        report.rows, report.series = self.groups.rows.num_rows, len(index.lengths)
        return index, joined(parts), report

    def _roles(self, number: int, store: RaggedStore, first: int) -> NDArray[np.int8]:
        """Draw a role for each series, the same for all of a group, from the seed alone."""
        name = self.config.columns.group
        if name:
            keys = keys_of(self._groups_of(number, store, name))
        else:
            keys = np.arange(first, first + len(store), dtype=np.uint64)
        drawn = _uniform(keys, self.seed)
        roles = np.full(len(store), TRAIN, dtype=np.int8)
        held = self.config.validation + self.config.calibration
        roles[drawn < held] = CALIBRATION
        roles[drawn < self.config.validation] = VALIDATION
        return roles

    def _groups_of(self, number: int, store: RaggedStore, name: str) -> pa.Array:
        table = self.groups.rows.read_group(number, [self.config.columns.id, name])
        return plain(table[name]).take(places(store.ids, table[self.config.columns.id]))


def _tell(report: DoorReport) -> None:
    for notice in report.notices:
        log.warning(notice)


def should_stream(source: Any, config: DataConfig) -> bool:
    """Say whether a source is to be streamed: if told so, or if it would fill half the memory."""
    if config.stream == "off":
        return False
    if not is_parquet(source):
        if config.stream == "on":
            raise DataError("data.stream=on needs a Parquet file or folder of them")
        return False
    if config.stream == "on":
        return True
    needed = ParquetRows(Path(source)).num_rows * _BYTES_A_ROW * len(config.columns.value)
    return bool(needed > 0.5 * available_bytes())


def _share(
    store: RaggedStore, roles: NDArray[np.int8], quota: dict[int, int]
) -> Iterator[RaggedStore]:
    """Yield the first series of each role that fit into the quota of a row group."""
    for role, rows in quota.items():
        own = np.flatnonzero(roles == role)
        fits = own[np.cumsum(store.lengths[own]) <= rows]
        chosen = fits if len(fits) else own[:1]
        if len(chosen):
            part = store.take(chosen)
            yield replace(part, groups=np.full(len(part), role, dtype=np.int64))


def _uniform(keys: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each key (the finaliser of SplitMix64)."""
    x = keys + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x632BE59BD9B4E019) % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return (x ^ (x >> np.uint64(31))) / 2.0**64


def _matches(index: Index, groups: int) -> bool:
    return len(index.first) == groups + 1 and len(index.roles) == int(index.first[-1])
