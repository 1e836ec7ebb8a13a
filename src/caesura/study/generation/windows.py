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
from caesura.tasks.window_features import bridged_rows

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]
_MANY = 40
"""Series from which on whole ones are held out, not blocks of time."""
_HELD = 4
"""Every fourth series is held out then."""


class Sets(NamedTuple):
    """Windows (count, channels, time) in the order of time, and the names of the channels."""

    train: Floats
    unseen: Floats
    synthetic: Floats
    names: list[str]


def read_sets(real: Any, synthetic: Any, holdout: Any, config: DataConfig) -> Sets:
    """Read tables or arrays; without a hold-out, part of the real data is set apart.

    Windows are as long as the synthetic series, which must have one length. Gaps are bridged, and
    that is said. Channels that differ, or series that are too short, are a DataError.
    """
    made, names = _series(synthetic, config)
    lengths = {one.shape[1] for one in made}
    if len(lengths) != 1:
        raise DataError(
            f"synthetic series of {min(lengths)} to {max(lengths)} steps; give series of one length"
        )
    window = lengths.pop()
    known, own = _series(real, config)
    if own != names:
        raise DataError(f"real data have {', '.join(own)}; synthetic ones {', '.join(names)}")
    if holdout is not None:
        other, theirs = _series(holdout, config)
        if theirs != names:
            raise DataError(f"held-out data have {', '.join(theirs)}; real ones {', '.join(own)}")
        return Sets(_windows(known, window), _windows(other, window), np.stack(made), names)
    log.warning(
        "no --holdout: a part of the real data is set apart here, which the generator may have seen"
    )
    if len(known) >= _MANY:
        held = np.arange(len(known)) % _HELD == _HELD - 1
        parts = ([one for one, h in zip(known, held, strict=True) if h == want] for want in (0, 1))
        train, unseen = (_windows(part, window) for part in parts)
        return Sets(train, unseen, np.stack(made), names)
    counts = [most_blocks(one.shape[1], window) for one in known]
    if min(counts) < BLOCKS:
        log.warning("held out: %d blocks of time, for want of length", min(counts))
    blocks = [
        interleaved_blocks(one.shape[1], window, count)
        for one, count in zip(known, counts, strict=True)
    ]
    pairs = list(zip(known, blocks, strict=True))
    return Sets(
        np.concatenate([windows_within(one, cut.train, window) for one, cut in pairs]),
        np.concatenate([windows_within(one, cut.held, window) for one, cut in pairs]),
        np.stack(made),
        names,
    )


def _series(source: Any, config: DataConfig) -> tuple[list[Floats], list[str]]:
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
    return [bridged_rows(one) for one in raw], schema.variables


def _windows(series: list[Floats], window: int) -> Floats:
    whole = [one for one in series if one.shape[1] >= window]
    if not whole:
        longest = max((one.shape[1] for one in series), default=0)
        raise DataError(
            f"synthetic series have {window} steps, and no real one as many (longest {longest})"
        )
    return np.concatenate([windows_within(one, [(0, one.shape[1])], window) for one in whole])
