"""Arrays and lists of series, the shapes of aeon and sktime, become a ragged store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.missing import is_marker
from caesura.data.narrow import BEYOND, LARGEST, narrowed
from caesura.data.statics import read_static
from caesura.data.store import NO_VALUES, DoorReport, RaggedStore
from caesura.errors import DataError, NothingMeasuredError


def panel_to_store(
    panel: Any,
    per_observation: bool,
    rate: float = 0.0,
    missing: Sequence[float] = (),
    exact: bool = False,
) -> tuple[RaggedStore, DoorReport]:
    """Turn (series, channels, time), (series, time) or a list of (channels, time_i) into a store.

    NaN, and what is masked, means not observed. A frame in a list has a row a time and a column a
    channel. Times are the steps 0, 1, ..., or seconds where there is a rate;
    ids are the row numbers. missing: markers of what was not measured (`data.missing`). A series
    without a value is in `RaggedStore.source_ids` alone. exact: values keep all digits.
    """
    blocks = blocks_of(panel)
    size = blocks[0].shape[0]
    report = DoorReport(rows=sum(block.shape[1] for block in blocks), series=len(blocks))
    steps = np.concatenate([np.arange(block.shape[1]) for block in blocks])
    series = np.repeat(np.arange(len(blocks)), [block.shape[1] for block in blocks])
    values = np.concatenate([block.T for block in blocks])
    values = _without_markers(panel, blocks, values, missing, report)
    infinite = np.isinf(values)
    if infinite.any():
        report.add("{} infinite values left out", int(infinite.sum()))
        values = np.where(infinite, np.nan, values)
    beyond = np.abs(values) > LARGEST
    if beyond.any():
        report.add(BEYOND, int(beyond.sum()))
        values = np.where(beyond, np.nan, values)
    channel = np.zeros(len(series), dtype=np.int32)
    if per_observation and size > 1:
        channel = np.tile(np.arange(size, dtype=np.int32), len(series))
        series, steps = np.repeat(series, size), np.repeat(steps, size)
        values = values.reshape(-1, 1)
    observed = np.isfinite(values)
    kept = observed.any(axis=1)
    counts = np.bincount(series[kept], minlength=len(blocks))
    measured = np.flatnonzero(counts)
    if not len(measured):
        raise NothingMeasuredError(f"none of {len(blocks)} series has a finite value")
    if len(measured) < len(blocks):
        lacking = np.flatnonzero(counts == 0)
        shown = ", ".join(map(str, lacking[:3]))
        report.add(NO_VALUES, len(lacking), first=f", first: {shown}")
        report.series = len(measured)
    offsets = np.concatenate([[0], np.cumsum(counts[measured])]).astype(np.int64)
    times = steps[kept] / (rate or 1.0)
    origins = times[offsets[:-1]]
    names = tuple(f"v{i}" for i in range(size))
    melted = per_observation and size > 1
    values, observed, channel = np.where(observed, values, 0.0)[kept], observed[kept], channel[kept]
    store = RaggedStore(
        values=narrowed(values, observed, offsets, channel, exact=exact),
        observed=observed,
        clock=times,
        channel=channel,
        offsets=offsets,
        origins=origins,
        ids=pa.array(measured),
        source_ids=pa.array(np.arange(len(blocks))) if len(measured) < len(blocks) else None,
        channels=names if melted else ("",),
        value_names=("value",) if melted else names,
    )
    return store, report


def blocks_of(panel: Any) -> Sequence[NDArray[np.float64]]:
    """Return one (channels, time) float64 array a series."""
    panel = unmasked(panel)
    if isinstance(panel, np.ndarray) and panel.dtype != object:
        if panel.ndim == 2:
            panel = panel[:, None, :]
        if panel.ndim != 3:
            raise DataError(
                f"array of shape {panel.shape}; give (series, channels, time) or (series, time)"
            )
    blocks = [np.atleast_2d(_as_float(one)) for one in panel]
    if not blocks:
        raise DataError("no series; give at least one")
    sizes = {block.shape[0] for block in blocks}
    if len(sizes) > 1 or any(block.ndim != 2 for block in blocks):
        raise DataError(
            f"series with {sorted(sizes)} channels; each must be (channels, time) with the same "
            "number of channels (NaN where one is not observed)"
        )
    return blocks


def _without_markers(
    panel: Any,
    blocks: Sequence[NDArray[np.float64]],
    values: NDArray[np.float64],
    missing: Sequence[float],
    report: DoorReport,
) -> NDArray[np.float64]:
    """Return rows (time, channels) of all series with NaN for markers, each series in its type."""
    if not missing:
        return values
    kinds = [np.dtype(getattr(one, "dtype", np.float64)) for one in panel]
    bounds = np.cumsum([0, *(block.shape[1] for block in blocks)])
    marked = np.zeros(values.shape, dtype=np.bool_)
    report.markers = dict.fromkeys(missing, 0)
    for kind, first, last in zip(kinds, bounds, bounds[1:], strict=False):
        for marker in missing:
            equal = is_marker(values[first:last], (marker,), kind)
            report.markers[marker] += int(equal.sum())
            marked[first:last] |= equal
    if marked.any():
        report.add("{} values equal to a missing marker were left out", int(marked.sum()))
    return np.where(marked, np.nan, values)


def unmasked(values: Any) -> Any:
    """Return numbers with NaN where a masked array has none, also those of a list of such arrays;
    anything else as it is. `np.asarray` would return what lies under the mask."""
    if isinstance(values, np.ma.MaskedArray):
        kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
        try:
            return np.ma.filled(values.astype(kind), np.nan)
        except (TypeError, ValueError) as error:
            raise DataError(f"a masked array cannot be read as numbers: {error}") from error
    held = isinstance(values, list | tuple) or (
        isinstance(values, np.ndarray) and values.dtype == object
    )
    if held and any(isinstance(one, np.ndarray | list | tuple) for one in values):
        return [unmasked(one) for one in values]
    return values


def _as_float(one: Any) -> NDArray[np.float64]:
    try:
        found = np.asarray(unmasked(one), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"a series cannot be read as numbers: {error}") from error
    return found.T if is_frame(one) else found


def is_frame(one: Any) -> bool:
    """Say whether a series is a frame of pandas, polars or Arrow, whose rows are times."""
    library = type(one).__module__.partition(".")[0]
    return library in ("pandas", "polars", "pyarrow") and len(getattr(one, "shape", ())) == 2


def conditioned(store: RaggedStore, source: Any, y: Any) -> RaggedStore:
    """Return the store of arrays with a static column "y": a number of each series where y are
    floats, else a class. Another source, or another number of values, is a DataError."""
    if not isinstance(source, np.ndarray | list | tuple):
        raise DataError(
            "y goes with arrays; name a table's own columns, e.g. columns={'classes': ['label']}"
        )
    values, count = np.ma.asanyarray(y), len(store.all_ids)
    if values.shape != (count,):
        raise DataError(f"{count} series and y of shape {values.shape}; give one each")
    values = values[store.ids.to_numpy()]  # without those that have no value
    table = pa.table({"y": values.tolist()})  # None where it is masked
    found, classes = read_static(table, "y", named=values.dtype.kind != "f")
    return replace(store, static=found[:, None], static_names=("y",), static_classes=(classes,))
