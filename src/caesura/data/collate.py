"""From stored observations to padded batches of tokens, by one vectorised gather.

Nothing is scaled or copied before it is asked for: a store may lie on disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.scaling import ScaleTable
from caesura.data.schema import Schema
from caesura.data.statics import class_numbers, renumbered, shown
from caesura.data.store import RaggedStore
from caesura.data.window import Windows
from caesura.errors import DataError
from caesura.types import Batch, Tokens

_WITHIN = 1e-3
"""Deviation within series, in those of channels, below which float32 leaves less than 1 in 10,000
of it."""


@dataclass(frozen=True)
class TokenStore:
    """A store as a model sees it: scaled values, times in rotary units, the model's channels.

    numbers: the model's number of each channel of the store. ticks_per_unit: steps of the
    clock in one rotary unit. several: whether the channel is a position axis. wide: whether values
    are float64, as float32 would lose what varies within series.
    """

    store: RaggedStore
    table: ScaleTable
    numbers: NDArray[np.int32]
    ticks_per_unit: float
    several: bool
    condition: NDArray[np.float32] | None
    wide: bool = False

    def __len__(self) -> int:
        return len(self.store)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Bounds of the series in the store's rows."""
        return self.store.offsets

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each series."""
        return self.store.lengths

    def channel(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """Return the model's channel numbers of some rows."""
        codes: NDArray[np.int32] = self.numbers[self.store.channel[rows]]
        return codes

    def units_since(self, rows: NDArray[np.int64], origins: NDArray[Any]) -> NDArray[np.float64]:
        """Return times of some rows since given clock times, in rotary units."""
        since: NDArray[Any] = self.store.clock[rows] - origins  # integers before any float
        return np.asarray(since / self.ticks_per_unit, dtype=np.float64)


def tokenise_store(store: RaggedStore, schema: Schema) -> TokenStore:
    """See a store by a schema; a store the schema cannot read is a DataError."""
    return TokenStore(
        store=store,
        table=ScaleTable(schema.scales),
        numbers=schema.channel_numbers(store),
        ticks_per_unit=schema.time_unit * store.ticks,
        several=schema.position_axes > 1,
        condition=conditions(store, schema),
        wide=store.values.dtype == np.float64 and schema.within_deviation < _WITHIN,
    )


def conditions(store: RaggedStore, schema: Schema) -> NDArray[np.float32] | None:
    """Return what static columns are to a model, (series, `schema.conditions`); None if none.

    A class that the model does not know is a DataError.
    """
    if not schema.static_names or store.static is None:
        return None
    blocks = []
    for name, scale, known in schema.statics:
        place = store.static_names.index(name)
        values, own = store.static[:, place], store.static_classes[place]
        if own and not known:
            raise DataError(f"column {name!r} holds {shown(own)}; the model knows it as numbers")
        if known:
            blocks.append(class_numbers(renumbered(values, own, known, name), len(known)))
        else:
            blocks.append((values[:, None] - scale.center) / scale.scale)
    return np.nan_to_num(np.concatenate(blocks, axis=1), nan=0.0).astype(np.float32)


def window_origins(tokens: TokenStore, windows: Windows) -> NDArray[Any]:
    """Return the clock time each window counts from: its first observation's.

    A window at the head of a series counts from the origin of the series, also where
    observations before its first one have been hidden.
    """
    at_head = windows.start == tokens.offsets[windows.series]
    origins = tokens.store.origins[windows.series]
    return np.where(at_head, origins, tokens.store.clock[windows.start])


def window_shifts(tokens: TokenStore, windows: Windows) -> NDArray[np.float64]:
    """Return the time from each series' origin to its window's, in rotary units."""
    since: NDArray[Any] = window_origins(tokens, windows) - tokens.store.origins[windows.series]
    return np.asarray(since / tokens.ticks_per_unit, dtype=np.float64)


def collate(tokens: TokenStore, windows: Windows, target: torch.Tensor | None = None) -> Batch:
    """Gather windows into one padded batch; `target` has a row for each series of the store."""
    place = np.arange(int(windows.lengths.max()))
    valid = place < windows.lengths[:, None]
    # padding repeats a window's last row, so that every index is a real one
    rows = windows.start[:, None] + np.minimum(place, windows.lengths[:, None] - 1)
    store, channel, real = tokens.store, tokens.channel(rows), valid[..., None]
    scaled = tokens.table.exactly if tokens.wide else tokens.table.scaled
    observed = store.observed[rows] & real
    positions = np.empty((*rows.shape, 2 if tokens.several else 1), dtype=np.float32)
    positions[..., 0] = tokens.units_since(rows, window_origins(tokens, windows)[:, None])
    if tokens.several:
        positions[..., 1] = channel
    weight = None
    if store.error is not None:
        trust = tokens.table.weight(store.error[rows], store.values[rows], channel)
        weight = torch.from_numpy(trust * real)
    index = torch.from_numpy(windows.series)
    return Batch(
        inputs=Tokens(
            values=torch.from_numpy(scaled(store.values[rows], channel) * observed),
            observed=torch.from_numpy(observed),
            positions=torch.from_numpy(positions),
            valid=torch.from_numpy(valid),
            weight=weight,
        ),
        index=index,
        target=None if target is None else target[index],
        condition=None
        if tokens.condition is None
        else torch.from_numpy(tokens.condition[windows.series]),
    )
