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
from caesura.data.scaling import made_wide
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
_LONGEST = 4096
"""Steps up to which irregular series are compared."""
_CELLS = 10**8
"""Steps of all channels and series beyond which irregular series are thinned."""


_MEASURED = ": measured"


class Sets(NamedTuple):
    """Windows (count, channels, time) in the order of time, the names of the channels, and the
    windows' labels where a label was named. Where gaps are compared, a second half of the channels
    is 1 where the first half was measured."""

    train: Floats
    unseen: Floats
    synthetic: Floats
    names: list[str]
    labels: Labels | None = None

    @property
    def gaps(self) -> bool:
        """Whether a second half of the channels says what was measured of the first."""
        return self.names[-1].endswith(_MEASURED)

    def measured(self, windows: Floats) -> NDArray[np.bool_]:
        """Return which numbers of windows (count, channels, time) are not bridges across gaps that
        are compared."""
        seen = np.ones(windows.shape, bool)
        if self.gaps:
            count = len(self.names) // 2
            seen[:, :count] = windows[:, count:] > 0
        return seen

    def target(self, name: str = "") -> int:
        """Return the channel that predictive scores are of: one by its name, or the last one."""
        values = self.names[: len(self.names) // 2] if self.gaps else self.names
        if not name:
            return len(values) - 1
        if name not in values:
            raise DataError(f"no channel {name!r} to predict; channels: {', '.join(values)}")
        return values.index(name)


class _Cut(NamedTuple):
    windows: Floats
    labels: Floats


def read_sets(real: Any, synthetic: Any, holdout: Any, config: DataConfig, label: str = "") -> Sets:
    """Read tables or arrays; without a hold-out, part of the real data is set apart.

    Windows are as long as the synthetic series, which must have one length. Irregular series are
    laid on the steps of the real ones, whole: what was measured when is compared too, and in
    regular ones where the synthetic ones have gaps; else gaps are bridged, and that is said.
    Channels that differ, or series that are too short, are a DataError. label: a column of all
    tables with one class a series.
    """
    if label:
        columns = config.columns.model_copy(update={"static": (label,), "classes": ()})
        config = config.model_copy(update={"columns": columns})
    known = _read(real, config)
    if known.irregular:
        config = config.model_copy(update={"rate": known.rate})
    made = _read(synthetic, config)
    other = None if holdout is None else _read(holdout, config)
    for name, one in (("synthetic", made), ("held-out", other)):
        if one is not None and one.names != known.names:
            ours, theirs = ", ".join(known.names), ", ".join(one.names)
            raise DataError(f"real data have {ours}; {name} ones {theirs}")
    if known.irregular:
        each = [known, made] + ([] if other is None else [other])
        longest = max(one.shape[1] for read in each for one in read.series)
        if longest > _LONGEST:
            raise DataError(
                f"series of up to {longest} steps of {1 / known.rate:.3g} s; {_LONGEST} at most: "
                "pass a lower --rate"
            )
        log.warning("irregular times are compared on steps of %.4g; --rate sets it", 1 / known.rate)
        known, made, *rest = (read.padded(longest) for read in each)
        other = rest[0] if rest else None
    lengths = {one.shape[1] for one in made.series}
    if len(lengths) != 1:
        raise DataError(
            f"synthetic series of {min(lengths)} to {max(lengths)} steps; give series of one length"
        )
    window = lengths.pop()
    _note_far_values(known)
    gaps = made.gaps > 0
    means = known.means()
    known, made = known.filled(gaps, means), made.filled(gaps, means)
    if other is not None:
        other = other.filled(gaps, means)
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
    """Series (channels, time), NaN where nothing was measured, their channels, a label each, 0
    where none was named, samples a second, and whether irregular times were laid on a grid."""

    series: list[Floats]
    names: list[str]
    labels: Floats
    rate: float
    irregular: bool

    @property
    def gaps(self) -> int:
        """How many samples were not measured."""
        return sum(int(np.isnan(one).sum()) for one in self.series)

    def padded(self, length: int) -> _Read:
        """Return series at one length, every n-th where they are too many: nothing is measured
        after their ends."""
        every = -(-len(self.series) * len(self.names) * length // _CELLS)
        whole = [
            np.pad(one, ((0, 0), (0, length - one.shape[1])), constant_values=np.nan)
            for one in self.series[::every]
        ]
        if every > 1:
            log.warning("%d of %d series are compared", len(whole), len(self.series))
        return self._replace(series=whole, labels=self.labels[::every])

    def means(self) -> Floats:
        """Return the mean of what was measured of each channel, 0 where nothing was."""
        sums = np.sum([np.nansum(one, 1) for one in self.series], 0)
        counts = np.sum([np.isfinite(one).sum(1) for one in self.series], 0)
        return np.asarray(sums / np.maximum(counts, 1))

    def filled(self, gaps: bool, means: Floats) -> _Read:
        """Return series with lines across what was not measured, `means` in channels of which
        nothing was; `gaps`: beside channels that say what was measured."""
        if not gaps:
            if self.gaps:
                log.warning("%d missing values are bridged by lines", self.gaps)
            return self._replace(series=[bridged_rows(one, means) for one in self.series])
        both = [np.concatenate([bridged_rows(one, means), np.isfinite(one)]) for one in self.series]
        names = self.names + [name + _MEASURED for name in self.names]
        return self._replace(series=both, names=names)


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
    if known.irregular:
        raise DataError(
            f"{len(known.series)} irregular series are too few to hold some out, {_MANY} at least; "
            "pass a --holdout"
        )
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


def _note_far_values(real: _Read) -> None:
    deviations, ranges = np.transpose([_widths(real, row) for row in range(len(real.names))])
    if wide := made_wide(real.names, deviations, ranges):
        log.warning(
            "deviations of many quartile ranges, made by few far values: %s. Critics, distances "
            "and the deviation ratio see little of what else is there. Drop what is no measurement "
            "from both tables",
            wide,
        )


def _widths(read: _Read, channel: int) -> tuple[float, float]:
    """Return the deviation and the quartile range of what was measured of a channel."""
    values = np.concatenate([one[channel][np.isfinite(one[channel])] for one in read.series])
    if not len(values):
        return 0.0, 0.0
    low, high = np.quantile(values, (0.25, 0.75))
    return float(values.std()), float(high - low)


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
    config = config.model_copy(update={"own_rate": True, "binned": True})
    config = resolve_tokens(config, is_table)
    store, _ = open_data(source, config, lenient=True)
    everything = np.arange(len(store))
    # a window of one sample: what is asked for here is the grid alone
    schema = fit_schema(store, everything, config)
    one_step = config.model_copy(update={"window": 1e-9})
    schema = fit_sampling(store, everything, schema, one_step, silent=True)
    grid = sample_store(store, schema)
    labels: NDArray[Any] = np.zeros(len(store))
    for name in config.columns.static:
        cells = store.static_column(name)
        if cells.null_count:
            raise DataError(f"{cells.null_count} series have no {name!r}")
        labels = np.array(cells.to_pylist())
    return _Read(
        [one.astype(np.float64) for one in grid.series()], schema.variables, labels,
        grid.rate_hz, grid.sparse,
    )  # fmt: skip
