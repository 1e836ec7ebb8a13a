"""Joins stores, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.store import RaggedStore
from caesura.errors import DataError


def joined(stores: Sequence[RaggedStore]) -> RaggedStore:
    """Return the series of all stores in their order; channels are told apart by name."""
    if not stores:
        raise DataError("no series in these rows")
    if len(stores) == 1:
        return stores[0]
    first = stores[0]
    names = tuple(sorted({name for store in stores for name in store.channels}))
    number = {name: n for n, name in enumerate(names)}
    channel = [
        np.array([number[name] for name in store.channels], dtype=np.int32)[store.channel]
        for store in stores
    ]
    bounds = np.cumsum([0, *(len(store.clock) for store in stores)])
    offsets = [store.offsets[:-1] + begin for store, begin in zip(stores, bounds, strict=False)]
    return replace(
        first,
        values=_both(stores, "values"),
        observed=_both(stores, "observed"),
        clock=_both(stores, "clock"),
        channel=np.concatenate(channel),
        offsets=np.append(np.concatenate(offsets), bounds[-1]),
        origins=_both(stores, "origins"),
        ids=pa.concat_arrays([store.ids for store in stores]),
        channels=names,
        error=None if first.error is None else _both(stores, "error"),
        groups=None if first.groups is None else _both(stores, "groups"),
        static=None if first.static is None else _both(stores, "static"),
    )


def _both(stores: Sequence[RaggedStore], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(store, name) for store in stores])
