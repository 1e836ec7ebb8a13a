"""Draws of all that a table leaves open: covariates that vary in time rule what is made.

A channel that is known over a window (a temperature that was forecast, a dose that is planned) is
shown to the prior as measured samples are, of which whole channels were a fourth in training.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.grid import sample_store
from caesura.data.lattice import as_measured
from caesura.data.store import RaggedStore
from caesura.data.window import Windows
from caesura.errors import DataError, RecipeError
from caesura.tasks.generate import (
    SamplingSettings,
    check_memory,
    in_units,
    rows_at_a_time,
    sampling_of,
)
from caesura.tasks.impute import draw_windows
from caesura.tasks.needs import Trained, check_regular
from caesura.training.inference import row_slices

log = logging.getLogger("caesura")


@dataclass(frozen=True)
class Completed:
    """Windows (windows x draws, variables, window) and where they are from; a window's draws
    follow one another."""

    values: NDArray[np.float64]
    windows: Windows
    draws: int


def generate_given(
    run: Trained,
    store: RaggedStore,
    draws: int = 1,
    *,
    seed: int = 0,
    settings: SamplingSettings | None = None,
) -> Completed:
    """Complete each window of a store: what was measured stays, all else is drawn.

    Channels may lack altogether. A series shorter than a window is completed to one; of a longer
    one the steps after its last whole window are left out. In the table's units.
    """
    sampling = sampling_of(run)
    check_regular(run)
    if draws < 1:
        raise RecipeError(f"{draws} draws; ask for one at least")
    view = sample_store(store, run.schema, partial=True, extended=False)
    windows = _windows(view.lengths, sampling.window)
    check_memory(len(windows) * draws, sampling)
    series = view.series()
    whole = np.full((len(windows), len(sampling.means), sampling.window), np.nan)
    for row, (one, start) in enumerate(zip(windows.series, windows.start, strict=True)):
        part = series[one][:, start : start + sampling.window]
        whole[row, :, : part.shape[1]] = part
    empty = np.flatnonzero(np.isnan(whole).all((1, 2)))
    if len(empty):
        name = store.ids[int(windows.series[empty[0]])].as_py()
        raise DataError(f"series {name!r} has a window without any measured sample; leave it out")
    rng, found = torch.Generator().manual_seed(seed), []
    size = max(1, rows_at_a_time(run) // draws)
    for some in row_slices(len(whole), size):
        shown = _shown(view.condition, windows.series[some], draws)
        drawn = draw_windows(run, whole[some], draws, rng, shown, settings)
        made = in_units(drawn.values.reshape(-1, *whole.shape[1:]), sampling)
        known = as_measured(whole[some], sampling.value_steps).repeat(draws, 0)
        found.append(np.where(np.isnan(known), made, known))
    return Completed(np.concatenate(found), windows, draws)


def _windows(lengths: NDArray[np.int64], window: int) -> Windows:
    """Return the whole windows of series from their starts, one of each that is shorter."""
    count = np.maximum(lengths // window, 1)
    left = int(np.where(lengths > window, lengths % window, 0).sum())
    if left:
        log.warning("%d steps after the last whole window of %d are left out", left, window)
    which = np.repeat(np.arange(len(lengths)), count)
    start = np.concatenate([np.arange(n) for n in count]) * window
    return Windows(which, start, start + window)


def _shown(condition: Any, series: NDArray[np.int64], draws: int) -> Any:
    """Return the static columns of each draw, if the run knows any."""
    return None if condition is None else condition[series].repeat(draws, 0)
