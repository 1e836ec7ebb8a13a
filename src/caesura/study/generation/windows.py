"""Real and synthetic tables as windows of one length: what trained apart from what did not."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.blocks import BLOCKS, interleaved_blocks, most_blocks, windows_within
from caesura.data.config import DataConfig
from caesura.data.scaling import made_wide
from caesura.errors import DataError
from caesura.study.generation.series import MEASURED, Series, read_series
from caesura.tasks.synthetic_labels import Labels

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]
_MANY = 40
"""Series from which on whole ones are held out, not blocks of time."""
_HELD = 4
"""Every fourth series is held out then."""
_HELD_WINDOWS = 50
"""Windows that are to be held out in all, if need be in fewer and longer blocks of time."""
_PIECES = 4
"""Pieces of a series from which on some of them are held out: one, two gaps, one that trains."""
_LONGEST = 4096
"""Steps up to which irregular series are compared."""


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
        return self.names[-1].endswith(MEASURED)

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
    """Windows (count, channels, time) and the label of each."""

    windows: Floats
    labels: Floats

    def begun(self) -> _Cut:
        """Return the windows with gaps that begin with a measurement, as a table's series do."""
        _, seen = np.split(self.windows, 2, axis=1)
        kept = seen[:, :, 0].any(1)
        return _Cut(self.windows[kept], self.labels[kept])


def read_sets(real: Any, synthetic: Any, holdout: Any, config: DataConfig, label: str = "") -> Sets:
    """Read tables or arrays; without a hold-out, part of the real data is set apart.

    Windows are as long as the synthetic series, which must have one length but for gaps. Irregular
    series are laid on the steps of the real ones. What was measured when is compared too, and in
    regular ones where the synthetic ones have gaps; else gaps are bridged, and that is said.
    Irregular series are compared whole, but real ones in windows where most are longer than any
    synthetic one. Channels that differ, or series that are too short, are a DataError. label: a
    column of all tables with one class a series.
    """
    if label:
        columns = config.columns.model_copy(update={"static": (label,), "classes": ()})
        config = config.model_copy(update={"columns": columns})
    known = _read("real", real, config)
    if known.irregular:
        config = config.model_copy(update={"rate": known.rate})
    made = _read("synthetic", synthetic, config, known.irregular)
    other = None if holdout is None else _read("held-out", holdout, config, known.irregular)
    for name, one in (("synthetic", made), ("held-out", other)):
        if one is not None and one.names != known.names:
            ours, theirs = ", ".join(known.names), ", ".join(one.names)
            raise DataError(f"real data have {ours}; {name} ones {theirs}")
    if known.irregular:
        known, made, other = _of_one_length(known, made, other)
    gaps, window = made.gaps > 0, int(made.lengths.max())
    if gaps:  # as the last samples may be
        made = made.padded(window)
    if (least := int(made.lengths.min())) < window:
        raise DataError(f"synthetic series of {least} to {window} steps; give series of one length")
    begun = gaps and all(np.isfinite(one[:, 0]).any() for one in made.values)
    _note_far_values(known)
    means = known.means()
    known, made = known.filled(gaps, means), made.filled(gaps, means)
    if other is not None:
        other = other.filled(gaps, means)
        train, unseen = (_cut(one, _whole(one), window) for one in (known, other))
    else:
        log.warning(
            "no --holdout: a part of the real data is set apart here, which the generator may have "
            "seen"
        )
        train, unseen = _apart(known, window)
    if begun:
        train, unseen = train.begun(), unseen.begun()
    labels = Labels(train.labels, unseen.labels, made.labels) if label else None
    return Sets(train.windows, unseen.windows, np.stack(made.values), made.names, labels)


def _read(name: str, source: Any, config: DataConfig, irregular: bool = False) -> Series:
    """Read one of the tables; an error says which, and where synthetic ones get labels from."""
    try:
        return read_series(source, config, irregular)
    except DataError as error:
        hint = ""
        if name == "synthetic" and config.columns.static:
            hint = ". Series have labels that are made with --condition or --conditions"
        raise DataError(f"{name} data: {error}{hint}") from error


def _of_one_length(
    known: Series, made: Series, other: Series | None
) -> tuple[Series, Series, Series | None]:
    """Return irregular series padded to the longest of them, after real ones are cut as a training
    of windows cuts them, where the synthetic ones are such windows."""
    step, window = f"steps of {1 / known.rate:.5g}", int(made.lengths.max())
    log.warning("irregular times are compared on %s; --rate sets it", step)
    if np.median(known.lengths) > window:
        log.warning(
            "synthetic series have up to %d %s, and most real ones more: real ones are cut into "
            "windows of as many",
            window, step,
        )  # fmt: skip
        known = known.cut(window)
        other = None if other is None else other.cut(window)
        longest = window
    else:
        both = [known, made] if other is None else [known, made, other]
        longest = max(int(one.lengths.max()) for one in both)
    if longest > _LONGEST:
        raise DataError(
            f"series of up to {longest} {step}; {_LONGEST} at most: pass a lower --rate"
        )
    rest = None if other is None else other.padded(longest)
    return known.padded(longest), made.padded(longest), rest


Parts = list[list[tuple[int, int]]]
"""Of each series the bounds of the parts that are cut into windows."""


def _apart(known: Series, window: int) -> tuple[_Cut, _Cut]:
    """Cut every fourth of many series, else blocks of time, apart from the rest."""
    found, number = np.unique(known.whose, return_inverse=True)
    if len(found) >= _MANY or known.irregular:
        held = number % _HELD == _HELD - 1
        split = (~held, held) if len(found) >= _MANY else _pieces_apart(known)
        whole = _whole(known)
        parts = ([p if h else [] for p, h in zip(whole, some, strict=True)] for some in split)
        train, unseen = (_cut(known, part, window) for part in parts)
        return train, unseen
    each = -(-_HELD_WINDOWS // len(known.values))
    counts = [most_blocks(one.shape[1], window, each) for one in known.values]
    if min(counts) < BLOCKS:
        log.warning("held out: %d blocks of time, for want of length", min(counts))
    blocks = [
        interleaved_blocks(one.shape[1], window, count)
        for one, count in zip(known.values, counts, strict=True)
    ]
    return (
        _cut(known, [one.train for one in blocks], window),
        _cut(known, [one.held for one in blocks], window),
    )


def _pieces_apart(known: Series) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which pieces of few irregular series train and which are held out: blocks of time, a
    piece apart."""
    train, held = np.zeros((2, len(known.part)), bool)
    for one in np.unique(known.whose):
        mine = known.whose == one
        count = int(known.part[mine].max()) + 1
        if count < _PIECES:
            train |= mine
            continue
        blocks = interleaved_blocks(count, 1, most_blocks(count, 1))
        for mask, bounds in ((train, blocks.train), (held, blocks.held)):
            for first, last in bounds:
                mask |= mine & (first <= known.part) & (known.part < last)
    if not held.any():
        raise DataError(
            f"{len(np.unique(known.whose))} irregular series are too few to hold some out, {_MANY} "
            "at least; pass a --holdout"
        )
    return train, held


def _note_far_values(real: Series) -> None:
    deviations, ranges = np.transpose([_widths(real, row) for row in range(len(real.names))])
    if wide := made_wide(real.names, deviations, ranges):
        log.warning(
            "deviations of many quartile ranges, made by few far values: %s. Critics, distances "
            "and the deviation ratio see little of what else is there. Drop what is no measurement "
            "from both tables",
            wide,
        )


def _widths(read: Series, channel: int) -> tuple[float, float]:
    """Return the deviation and the quartile range of what was measured of a channel."""
    values = np.concatenate([one[channel][np.isfinite(one[channel])] for one in read.values])
    if not len(values):
        return 0.0, 0.0
    low, high = np.quantile(values, (0.25, 0.75))
    return float(values.std()), float(high - low)


def _whole(read: Series) -> Parts:
    return [[(0, one.shape[1])] for one in read.values]


def _cut(read: Series, parts: Parts, window: int) -> _Cut:
    """Return the windows within parts of each series, and their labels."""
    found = [
        (windows_within(one, own, window), label)
        for one, own, label in zip(read.values, parts, read.labels, strict=True)
        if any(last - first >= window for first, last in own)
    ]
    if not found:
        longest = max((one.shape[1] for one in read.values), default=0)
        raise DataError(
            f"synthetic series have {window} steps, and no real one as many (longest {longest})"
        )
    labels = np.concatenate([np.full(len(windows), label) for windows, label in found])
    return _Cut(np.concatenate([windows for windows, _ in found]), labels)
