"""The series of one table on one grid, as they are or in pieces, with what was not measured."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.grid import sample_store
from caesura.data.pieces import stretches
from caesura.data.sampling import fit_sampling
from caesura.data.schema import Schema, fit_schema
from caesura.data.store import RaggedStore
from caesura.errors import DataError
from caesura.tasks.pretrain import resolve_tokens
from caesura.tasks.window_features import bridged_rows

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]
_CELLS = 10**8
"""Steps of all channels and series beyond which irregular series are thinned."""
MEASURED = ": measured"
"""Ends the name of a channel that says where another was measured."""


@dataclass(frozen=True)
class Series:
    """Series (channels, time), NaN where nothing was measured, and their channels.

    labels: one of each series, 0 where none was named. rate: samples a second. irregular: whether
    irregular times were laid on a grid. whose, part: which series of the table each is a piece of,
    and which one of it. store, schema: what they were laid out from.
    """

    values: list[Floats]
    names: list[str]
    labels: NDArray[Any]
    rate: float
    irregular: bool
    whose: NDArray[np.int64]
    part: NDArray[np.int64]
    store: RaggedStore
    schema: Schema

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of samples of each."""
        return np.array([one.shape[1] for one in self.values])

    @property
    def gaps(self) -> int:
        """How many samples were not measured."""
        return sum(int(np.isnan(one).sum()) for one in self.values)

    def cut(self, steps: int) -> Series:
        """Return whole windows of so many steps from the start of each series, and shorter series
        as they are; each counts from its own first measurement, as a synthetic one does.

        Windows with less than two measurements, of which no generator learns, are left out.
        """
        store, whose = stretches(self.store, steps / self.rate, 0.5 / steps)
        since = store.since(self.store.origins[whose], store.origins) * self.rate
        part = np.floor(since + 0.5).astype(np.int64) // steps
        seen = np.add.reduceat(store.observed.sum(1), store.offsets[:-1])
        whole = (part == 0) | ((part + 1) * steps <= self.lengths[whose])
        kept = np.flatnonzero((seen > 1) & whole)
        return _laid(store.take(kept), self.schema, self.labels, whose[kept], part[kept])

    def padded(self, length: int) -> Series:
        """Return series at one length, every n-th where they are too many: nothing is measured
        after their ends, and what is beyond the length is left out."""
        every = -(-len(self.values) * len(self.names) * length // _CELLS)
        whole = [
            np.pad(one, ((0, 0), (0, length - one.shape[1])), constant_values=np.nan)
            for one in (some[:, :length] for some in self.values[::every])
        ]
        if every > 1:
            log.warning("%d of %d series are compared", len(whole), len(self.values))
        some = {name: getattr(self, name)[::every] for name in ("labels", "whose", "part")}
        return replace(self, values=whole, **some)

    def means(self) -> Floats:
        """Return the mean of what was measured of each channel, 0 where nothing was."""
        sums = np.sum([np.nansum(one, 1) for one in self.values], 0)
        counts = np.sum([np.isfinite(one).sum(1) for one in self.values], 0)
        return np.asarray(sums / np.maximum(counts, 1))

    def filled(self, gaps: bool, means: Floats) -> Series:
        """Return series with lines across what was not measured, `means` in channels of which
        nothing was; `gaps`: beside channels that say what was measured."""
        if not gaps:
            if self.gaps:
                log.warning("%d missing values are bridged by lines", self.gaps)
            return replace(self, values=[bridged_rows(one, means) for one in self.values])
        both = [np.concatenate([bridged_rows(one, means), np.isfinite(one)]) for one in self.values]
        names = self.names + [name + MEASURED for name in self.names]
        return replace(self, values=both, names=names)


def read_series(source: Any, config: DataConfig, irregular: bool = False) -> Series:
    """Read a table or an array; its static column, where one is named, is the label.

    irregular: lay its times on steps as irregular ones even where they would do for regular.
    """
    is_table = not isinstance(source, np.ndarray | list | tuple)
    config = config.model_copy(update={"own_rate": True, "binned": True})
    config = resolve_tokens(config, is_table)
    store, _ = open_data(source, config, lenient=True)
    everything = np.arange(len(store))
    # a window of one sample: what is asked for here is the grid alone
    schema = fit_schema(store, everything, config)
    one_step = config.model_copy(update={"window": 1e-9})
    schema = fit_sampling(store, everything, schema, one_step, silent=True)
    if irregular and schema.sampling is not None:
        sampling = schema.sampling.model_copy(update={"binned": True})
        schema = schema.model_copy(update={"sampling": sampling})
    labels: NDArray[Any] = np.zeros(len(store))
    for name in config.columns.static:
        cells = store.static_column(name)
        if cells.null_count:
            raise DataError(f"{cells.null_count} series have no {name!r}")
        labels = np.array(cells.to_pylist())
    return _laid(store, schema, labels, everything, np.zeros_like(everything))


def _laid(
    store: RaggedStore,
    schema: Schema,
    labels: NDArray[Any],
    whose: NDArray[np.int64],
    part: NDArray[np.int64],
) -> Series:
    grid = sample_store(store, schema)
    values: list[Floats] = [one.astype(np.float64) for one in grid.series()]
    return Series(
        values, schema.variables, labels[whose], grid.rate_hz, grid.sparse, whose, part, store,
        schema,
    )  # fmt: skip
