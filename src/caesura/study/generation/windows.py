"""Real and synthetic tables as windows of one length: what trained apart from what did not."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.blocks import BLOCKS, interleaved_blocks, most_blocks, windows_within
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.grid import fit_sampling, sample_store
from caesura.data.schema import fit_schema
from caesura.errors import DataError
from caesura.tasks.pretrain import resolve_tokens
from caesura.tasks.synthetic_labels import Labels
from caesura.tasks.window_features import bridged_rows

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]
_MANY = 40
"""Series from which on whole ones are held out, not blocks of time."""
_HELD = 4
"""Every fourth series is held out then."""


class Sets(NamedTuple):
    """Windows (count, channels, time) in the order of time, the names of the channels, and the
    windows' labels where a label was named."""

    train: Floats
    unseen: Floats
    synthetic: Floats
    names: list[str]
    labels: Labels | None = None


class _Cut(NamedTuple):
    windows: Floats
    labels: Floats


def read_sets(real: Any, synthetic: Any, holdout: Any, config: DataConfig, label: str = "") -> Sets:
    """Read tables or arrays; without a hold-out, part of the real data is set apart.

    Windows are as long as the synthetic series, which must have one length. Gaps are bridged, and
    that is said. Channels that differ, or series that are too short, are a DataError. label: a
    column of all tables with one number a series.
    """
    if label:
        columns = config.columns.model_copy(update={"static": (label,)})
        config = config.model_copy(update={"columns": columns})
    made = _read(synthetic, config)
    lengths = {one.shape[1] for one in made.series}
    if len(lengths) != 1:
        raise DataError(
            f"synthetic series of {min(lengths)} to {max(lengths)} steps; give series of one length"
        )
    window = lengths.pop()
    known = _read(real, config)
    if known.names != made.names:
        ours, theirs = ", ".join(known.names), ", ".join(made.names)
        raise DataError(f"real data have {ours}; synthetic ones {theirs}")
    if holdout is not None:
        other = _read(holdout, config)
        if other.names != made.names:
            ours, theirs = ", ".join(other.names), ", ".join(made.names)
            raise DataError(f"held-out data have {ours}; real ones {theirs}")
        train, unseen = _cut(known, _whole(known), window), _cut(other, _whole(other), window)
    else:
        log.warning(
            "no --holdout: a part of the real data is set apart here, which the generator may have "
            "seen"
        )
        train, unseen = _apart(known, window)
    labels = Labels(train.labels, unseen.labels, made.labels) if label else None
    return Sets(train.windows, unseen.windows, np.stack(made.series), made.names, labels)


class _Read(NamedTuple):
    """Series (channels, time), their channels, and a label each, 0 where none was named."""

    series: list[Floats]
    names: list[str]
    labels: Floats


Parts = list[list[tuple[int, int]]]
"""Of each series the bounds of the parts that are cut into windows."""


def _apart(known: _Read, window: int) -> tuple[_Cut, _Cut]:
    """Cut every fourth of many series, else blocks of time, apart from the rest."""
    if len(known.series) >= _MANY:
        held = np.arange(len(known.series)) % _HELD == _HELD - 1
        whole = _whole(known)
        parts = ([p if h == want else [] for p, h in zip(whole, held, strict=True)]
                 for want in (False, True))  # fmt: skip
        train, unseen = (_cut(known, part, window) for part in parts)
        return train, unseen
    counts = [most_blocks(one.shape[1], window) for one in known.series]
    if min(counts) < BLOCKS:
        log.warning("held out: %d blocks of time, for want of length", min(counts))
    blocks = [
        interleaved_blocks(one.shape[1], window, count)
        for one, count in zip(known.series, counts, strict=True)
    ]
    return (
        _cut(known, [one.train for one in blocks], window),
        _cut(known, [one.held for one in blocks], window),
    )


def _whole(read: _Read) -> Parts:
    return [[(0, one.shape[1])] for one in read.series]


def _cut(read: _Read, parts: Parts, window: int) -> _Cut:
    """Return the windows within parts of each series, and their labels."""
    found = [
        (windows_within(one, own, window), label)
        for one, own, label in zip(read.series, parts, read.labels, strict=True)
        if any(last - first >= window for first, last in own)
    ]
    if not found:
        longest = max((one.shape[1] for one in read.series), default=0)
        raise DataError(
            f"synthetic series have {window} steps, and no real one as many (longest {longest})"
        )
    labels = np.concatenate([np.full(len(windows), label) for windows, label in found])
    return _Cut(np.concatenate([windows for windows, _ in found]), labels)


def _read(source: Any, config: DataConfig) -> _Read:
    is_table = not isinstance(source, np.ndarray | list | tuple)
    config = resolve_tokens(config.model_copy(update={"own_rate": True}), is_table)
    store, _ = open_data(source, config, lenient=True)
    everything = np.arange(len(store))
    # a window of one sample: what is asked for here is the grid alone
    schema = fit_schema(store, everything, config)
    schema = fit_sampling(store, everything, schema, config.model_copy(update={"window": 1e-9}))
    raw = sample_store(store, schema).series()
    gaps = sum(int(np.isnan(one).sum()) for one in raw)
    if gaps:
        log.warning("%d missing values are bridged by lines before they are compared", gaps)
    labels = np.zeros(len(store)) if store.static is None else store.static[:, 0]
    if config.columns.static and not np.isfinite(labels).all():
        name = config.columns.static[0]
        raise DataError(f"{int((~np.isfinite(labels)).sum())} series have no {name!r}")
    return _Read([bridged_rows(one) for one in raw], schema.variables, labels)
