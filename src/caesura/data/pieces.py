"""Cuts recordings into pieces of a fixed time, each a series, of its recording's group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from caesura.data.store import RaggedStore
from caesura.errors import DataError

_FULLEST = 0.5
"""Share of the fullest piece's observations that a piece must have."""


def pieces(store: RaggedStore, seconds: float) -> RaggedStore:
    """Return a store with a series for each stretch of `seconds` since a recording's start.

    Ids are those of the recordings, repeated. Pieces with under half of the observations that
    the fullest one has are left out (a rest at the end, a gap).
    """
    place = np.floor(store.times / seconds + 1e-9).astype(np.int64)
    key = store.series * (int(place.max()) + 1) + place
    first = np.flatnonzero(np.diff(key, prepend=-1))
    lengths = np.diff(np.append(first, len(key)))
    kept = lengths >= _FULLEST * lengths.max()
    if not kept.any():
        raise DataError(f"no piece of {seconds:g} s has observations")
    series = store.series[first]
    ticks = np.round(place[first] * seconds * store.ticks).astype(store.clock.dtype)
    whole = replace(
        store,
        offsets=np.append(first, len(key)).astype(np.int64),
        origins=store.origins[series] + ticks,
        ids=store.ids.take(pa.array(series)),
        groups=store.group_codes[series],
        static=None if store.static is None else store.static[series],
    )
    return whole.take(np.flatnonzero(kept))
