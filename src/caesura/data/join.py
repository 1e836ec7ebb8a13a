"""Joins stores, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.statics import Name, Names, renumbered
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
        texts=_texts(stores),
        channel=np.concatenate(channel),
        offsets=np.append(np.concatenate(offsets), bounds[-1]),
        origins=_both(stores, "origins"),
        ids=pa.concat_arrays([store.ids for store in stores]),
        source_ids=_sources(stores),
        channels=names,
        error=None if first.error is None else _both(stores, "error"),
        groups=None if first.groups is None else _both(stores, "groups"),
        **_statics(stores),
    )


def _texts(stores: Sequence[RaggedStore]) -> pa.Array | None:
    """Return the times of all stores as text, where these are not of one form."""
    if all(store.texts is None for store in stores) and len({s.time_form for s in stores}) == 1:
        return None
    rows = (np.arange(len(store.clock)) for store in stores)
    each = [store.measured(own).cast(pa.string()) for store, own in zip(stores, rows, strict=True)]
    return pa.concat_arrays(each)


def _sources(stores: Sequence[RaggedStore]) -> pa.Array | None:
    """Return the ids of all sources, if some of their series have no value."""
    if all(store.source_ids is None for store in stores):
        return None
    return pa.concat_arrays([store.all_ids for store in stores])


def _statics(stores: Sequence[RaggedStore]) -> dict[str, Any]:
    """Return the static columns of all stores, classes told apart by name."""
    if stores[0].static is None:
        return {}
    every = zip(*(store.static_classes for store in stores), strict=True)
    known = tuple(tuple(sorted(set[Name]().union(*each))) for each in every)
    static = np.concatenate([_renumbered(store, known) for store in stores])
    return {"static": static, "static_classes": known}


def _renumbered(store: RaggedStore, known: tuple[Names, ...]) -> NDArray[np.float64]:
    columns = () if store.static is None else store.static.T
    each = zip(columns, store.static_classes, known, store.static_names, strict=True)
    renumber = (
        renumbered(values, own, names, column) if names else values
        for values, own, names, column in each
    )
    return np.stack(list(renumber), axis=1)


def _both(stores: Sequence[RaggedStore], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(store, name) for store in stores])
