"""What a frozen encoder says of windows of regular series, as rows for a linear model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.data.grid import FURTHEST
from caesura.nn.heads import mean_of
from caesura.training.inference import row_slices, stacked
from caesura.types import Features, Grid, Level

_LEAST = 1e-6
"""Of the model's units, what is added to deviations before their logarithm."""
_MOST_FLAT = 4096
"""Numbers of a window's features up to which all places are kept."""

Floats = NDArray[np.floating]


def grid_of(windows: Floats, rate_hz: float | None) -> Grid:
    """Return raw windows (rows, channels, samples) as a Grid; NaN is unobserved."""
    furthest = np.abs(windows).max(initial=0.0, where=np.isfinite(windows))
    kind = windows.dtype if furthest > FURTHEST else np.float32
    values = torch.from_numpy(np.ascontiguousarray(windows, dtype=kind))
    observed = values.isfinite()
    return Grid(torch.where(observed, values, 0.0), observed, rate_hz=rate_hz)


def grids(windows: Floats, rate_hz: float | None) -> Iterator[Grid]:
    """Yield raw windows in batches."""
    return (grid_of(windows[rows], rate_hz) for rows in row_slices(len(windows)))


def level_features(
    encoder: nn.Module, windows: Floats, rate_hz: float | None = None
) -> NDArray[np.float32]:
    """Return the last level at every place, (rows, places, width)."""

    def read(grid: Grid) -> torch.Tensor:
        features: Features = encoder(grid)
        return features.levels[-1].features

    return stacked(encoder, grids(windows, rate_hz), read)


def pooled_features(
    encoder: nn.Module, windows: Floats, rate_hz: float | None = None
) -> NDArray[np.float32]:
    """Return the means of all levels and the windows' own mean and log deviation.

    Encoders normalise each window; where level and size tell something, all arms of a
    comparison are told them alike. (rows, widths + 2 channels)
    """

    def read(grid: Grid) -> torch.Tensor:
        features: Features = encoder(grid)
        return torch.cat([mean_of(level) for level in features.levels], -1)

    means = stacked(encoder, grids(windows, rate_hz), read)
    return np.concatenate([means, window_statistics(windows)], axis=1)


def sequence_features(
    encoder: nn.Module, windows: Floats, rate_hz: float | None = None
) -> NDArray[np.float32]:
    """Return all places of the last level in a row, or mean and last ones of each level.

    The second where the first would have more than 4,096 numbers.
    """

    def read(grid: Grid) -> torch.Tensor:
        features: Features = encoder(grid)
        last = features.levels[-1].features
        if last[0].numel() <= _MOST_FLAT:
            return last.flatten(1)
        return torch.cat([p for level in features.levels for p in _ends(level)], -1)

    return stacked(encoder, grids(windows, rate_hz), read)


def _ends(level: Level) -> tuple[torch.Tensor, torch.Tensor]:
    return mean_of(level), level.features[:, -1]


def window_statistics(windows: Floats) -> NDArray[np.float32]:
    """Return mean and log deviation of each channel, (rows, 2 channels); 0 where all is NaN."""
    seen = np.isfinite(windows)
    count = np.maximum(seen.sum(-1), 1)
    filled = np.where(seen, windows, 0.0)
    mean = filled.sum(-1) / count
    square = (np.square(filled - mean[..., None]) * seen).sum(-1) / count
    return np.concatenate([mean, np.log(np.sqrt(square) + _LEAST)], axis=1).astype(np.float32)


def windows_of(values: Floats, length: int, hop: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return windows (rows, channels, length) of one series and their starts.

    The last one ends with the series, also where the hop does not fit.
    """
    time = values.shape[-1]
    if time < length:
        return np.zeros((0, values.shape[0], length), values.dtype), np.zeros(0, np.int64)
    starts = np.arange(0, time - length + 1, hop)
    if starts[-1] != time - length:
        starts = np.append(starts, time - length)
    view = np.lib.stride_tricks.sliding_window_view(values, length, axis=-1)
    return np.ascontiguousarray(view[:, starts].transpose(1, 0, 2)), starts


def held_windows(windows: Floats, series: Floats, starts: NDArray[np.int64]) -> Floats:
    """Return bridged windows (rows, channels, length) in which a gap at the end holds a value.

    series: (channels, time) that they were cut from at `starts`, NaN in gaps. The value is the last
    one measured, also before the window; 0 where there is none.
    """
    measured = np.isfinite(series)
    if measured.all():
        return windows
    length = windows.shape[-1]
    place = np.maximum.accumulate(np.where(measured, np.arange(series.shape[1]), -1), axis=-1)
    known = np.take_along_axis(series, np.maximum(place, 0), axis=-1)
    held, seen = (
        np.lib.stride_tricks.sliding_window_view(one, length, axis=-1)[:, starts].transpose(1, 0, 2)
        for one in (np.where(place >= 0, known, 0.0), measured)
    )
    last = np.where(seen.any(-1), length - 1 - seen[..., ::-1].argmax(-1), -1)
    return np.where(np.arange(length) > last[..., None], held, windows)


def bridged_rows(values: Floats, absent: Floats | float = 0.0) -> Floats:
    """Return (channels, time) with NaN filled on lines between neighbours.

    absent: what a channel holds where all of it is NaN, one value or one a channel.
    """
    out = np.array(values, dtype=np.float64)
    for row, empty in zip(out, np.broadcast_to(absent, len(out)), strict=True):
        seen = np.isfinite(row)
        if not seen.all():
            place = np.arange(len(row))
            row[:] = np.interp(place, place[seen], row[seen]) if seen.any() else empty
    return out
