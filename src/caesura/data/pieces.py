"""Cuts series into pieces of a fixed time, each a series of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.store import RaggedStore
from caesura.errors import DataError

_FULLEST = 0.5
"""Share of the fullest piece's observations that a piece must have."""


def pieces(store: RaggedStore, seconds: float) -> RaggedStore:
    """Return a store with a series for each stretch of `seconds` since a recording's start.

    Ids are those of the recordings, repeated. Pieces with under half of the observations that
    the fullest one has are left out (a rest at the end, a gap).
    """
    first, place = _beginnings(store, store.times / seconds)
    lengths = np.diff(np.append(first, len(place)))
    kept = lengths >= _FULLEST * lengths.max()
    if not kept.any():
        raise DataError(f"no piece of {seconds:g} s has observations")
    series = store.series[first]
    ticks = np.round(place[first] * seconds * store.ticks).astype(store.clock.dtype)
    whole = replace(
        store,
        offsets=np.append(first, len(place)).astype(np.int64),
        origins=store.origins[series] + ticks,
        ids=store.ids.take(pa.array(series)),
        groups=store.group_codes[series],
        static=None if store.static is None else store.static[series],
    )
    return whole.take(np.flatnonzero(kept))


def stretches(
    store: RaggedStore, span: float, phase: float = 0.0
) -> tuple[RaggedStore, NDArray[np.int64]]:
    """Return a store with a series for each stretch of `span`, in the table's unit of time, that
    has observations, and the number of the series that each was cut from.

    Nothing is left out. The first stretch of a series begins `phase` spans before it; each counts
    its times from its own first observation.
    """
    first, _ = _beginnings(store, store.times / span + phase)
    owner = store.series[first]
    return _cut(store, first, owner, store.clock[first])


def runs(store: RaggedStore, length: int) -> tuple[RaggedStore, NDArray[np.int64]]:
    """Return a store with a series for each run of at most `length` observations, of about equal
    lengths within a series, and the number of the series that each was cut from.

    The first run of a series counts its times as the series does, each other one from its own first
    observation.
    """
    counts = -(-store.lengths // length)
    bounds = zip(store.offsets[:-1], store.offsets[1:], counts, strict=True)
    cuts = [
        np.linspace(begin, end, count + 1)[:-1].astype(np.int64) for begin, end, count in bounds
    ]
    first = np.concatenate(cuts)
    owner = np.repeat(np.arange(len(store)), counts)
    at_head = first == store.offsets[owner]
    return _cut(store, first, owner, np.where(at_head, store.origins[owner], store.clock[first]))


def _cut(
    store: RaggedStore, first: NDArray[np.int64], owner: NDArray[np.int64], origins: NDArray[Any]
) -> tuple[RaggedStore, NDArray[np.int64]]:
    """Return a store whose series begin at some rows, with what is known of their owners."""
    cut = replace(
        store,
        offsets=np.append(first, len(store.clock)).astype(np.int64),
        origins=origins,
        ids=store.ids.take(pa.array(owner)),
        groups=store.group_codes[owner],
        static=None if store.static is None else store.static[owner],
    )
    return cut, owner


def _beginnings(
    store: RaggedStore, place: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first row of each piece, and the whole number of the place of each row."""
    whole = np.floor(place + 1e-9).astype(np.int64)
    key = store.series * (int(whole.max()) + 1) + whole
    return np.flatnonzero(np.diff(key, prepend=-1)), whole
