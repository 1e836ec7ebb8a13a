"""From stored observations to padded batches of tokens, by one vectorised gather."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.scaling import ScaleTable
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.data.window import Windows
from caesura.types import Batch, Tokens


@dataclass(frozen=True)
class TokenStore:
    """A store as the model sees it: scaled values, times in rotary units, channel numbers.

    Times stay float64 until a window's own first time is subtracted.
    """

    values: NDArray[np.float32]
    observed: NDArray[np.bool_]
    times: NDArray[np.float64]
    channel: NDArray[np.int32] | None
    weight: NDArray[np.float32] | None
    offsets: NDArray[np.int64]
    condition: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each series."""
        return np.diff(self.offsets)


def tokenise_store(store: RaggedStore, schema: Schema) -> TokenStore:
    """Scale a store by a schema; a store the schema cannot read is a DataError."""
    channel = schema.channel_codes(store)
    table = ScaleTable(schema.scales)
    values = np.where(store.observed, table.scaled(store.values, channel), 0.0)
    return TokenStore(
        values=values.astype(np.float32),
        observed=store.observed,
        times=store.times / schema.time_unit,
        channel=channel if schema.position_axes > 1 else None,
        weight=None if store.error is None else table.weight(store.error, store.values, channel),
        offsets=store.offsets,
        condition=_condition(store, schema),
    )


def _condition(store: RaggedStore, schema: Schema) -> NDArray[np.float32] | None:
    if not schema.static_names or store.static is None:
        return None
    order = [store.static_names.index(name) for name in schema.static_names]
    center = np.array([one.center for one in schema.static_scales])
    scale = np.array([one.scale for one in schema.static_scales])
    scaled = (store.static[:, order] - center) / scale
    return np.asarray(np.nan_to_num(scaled, nan=0.0), dtype=np.float32)


def window_origins(tokens: TokenStore, windows: Windows) -> NDArray[np.float64]:
    """Return the time each window counts from: its first observation's.

    A window at the head of a series counts from the origin of the series, also where
    observations before its first one have been hidden.
    """
    at_head = windows.start == tokens.offsets[windows.series]
    return np.where(at_head, 0.0, tokens.times[windows.start])


def collate(tokens: TokenStore, windows: Windows, target: torch.Tensor | None = None) -> Batch:
    """Gather windows into one padded batch; `target` has a row for each series of the store."""
    longest = int(windows.lengths.max())
    place = np.arange(longest)
    valid = place < windows.lengths[:, None]
    rows = np.where(valid, windows.start[:, None] + place, windows.start[:, None])
    times = tokens.times[rows] - window_origins(tokens, windows)[:, None]
    axes: list[NDArray[Any]] = [times]
    if tokens.channel is not None:
        axes.append(tokens.channel[rows])
    real = valid[..., None]
    index = torch.from_numpy(windows.series)
    return Batch(
        inputs=Tokens(
            values=torch.from_numpy(tokens.values[rows] * real),
            observed=torch.from_numpy(tokens.observed[rows] & real),
            positions=torch.from_numpy(np.stack(axes, axis=-1).astype(np.float32)),
            valid=torch.from_numpy(valid),
            weight=None if tokens.weight is None else torch.from_numpy(tokens.weight[rows] * real),
        ),
        index=index,
        target=None if target is None else target[index],
        condition=None
        if tokens.condition is None
        else torch.from_numpy(tokens.condition[windows.series]),
    )
