"""Batches of either view of a store: for a training, and in order for using a model."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.collate import TokenStore
from caesura.data.config import DataConfig
from caesura.data.grid import GridStore
from caesura.data.view import View
from caesura.data.window import Windows
from caesura.training.config import TrainingConfig
from caesura.training.indexed import IndexedBatches
from caesura.training.loader import (
    INFERENCE_TOKENS,
    Order,
    SeriesBatches,
    sequential_batches,
)
from caesura.training.loop import BatchSource
from caesura.types import Batch

_INFERENCE_SAMPLES = 65_536
"""Samples of a batch of windows without gradients."""
_MOST_VALIDATED = 1024
"""Windows that validate at most: more would cost time and not change the choice."""


def pretraining_batches(
    view: View,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    data: DataConfig,
    settings: TrainingConfig,
    seed: int,
    order: Order,
) -> BatchSource:
    """Return the batches of a pre-training; of a grid, the windows worth learning from."""
    if isinstance(view, TokenStore):
        return _series_batches(view, (train, validation), settings, seed, order)
    tiles, other = view.tiles(train, data.overlap), view.tiles(validation)
    by_time = bool(len(np.intersect1d(train, validation)))  # few recordings
    if not by_time and not (len(tiles) and len(other)):  # all long series have one role
        everything = np.union1d(train, validation)
        tiles, other = view.tiles(everything, data.overlap), view.tiles(everything)
        by_time = True
    if by_time:
        tiles, other = _earlier(view, tiles, data.validation), _latest(view, other, data.validation)
    chosen = view.worth_learning(tiles, data.quality, data.constant)
    held_out = view.worth_learning(other, data.quality, data.constant)
    return window_batches(view, chosen, held_out, settings.batch_tokens, seed)


def labelled_batches(
    view: View,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    target: torch.Tensor,
    settings: TrainingConfig,
    seed: int,
) -> BatchSource:
    """Return the batches of a fine-tuning; `target` has a row for each series of the view."""
    if isinstance(view, TokenStore):
        order: Order = "random" if settings.batches == "random" else "buckets"
        return _series_batches(view, (train, validation), settings, seed, order, target)
    chosen, held_out = view.covering(train), view.covering(validation)
    return window_batches(view, chosen, held_out, settings.batch_tokens, seed, target)


def _earlier(view: GridStore, windows: Windows, share: float) -> Windows:
    """Return the windows that end before the last `share` of their series."""
    return windows.take(np.flatnonzero(windows.stop <= _bound(view, windows, share)))


def _latest(view: GridStore, windows: Windows, share: float) -> Windows:
    """Return the windows within the last `share` of their series, the last one at least."""
    inside = windows.start >= _bound(view, windows, share)
    last = np.append(np.diff(windows.series) != 0, True)
    return windows.take(np.flatnonzero(inside | last))


def _bound(view: GridStore, windows: Windows, share: float) -> NDArray[np.int64]:
    """Return where the last `share` of a window's series begins, or its last window."""
    stop = view.offsets[windows.series + 1]
    length = view.lengths[windows.series]
    held = np.maximum((share * length).astype(np.int64), view.window + length % view.window)
    return np.asarray(stop - held)


def _series_batches(
    tokens: TokenStore,
    roles: tuple[NDArray[np.int64], NDArray[np.int64]],
    settings: TrainingConfig,
    seed: int,
    order: Order,
    target: torch.Tensor | None = None,
) -> SeriesBatches:
    return SeriesBatches(
        tokens,
        *roles,
        batch_tokens=settings.batch_tokens,
        max_tokens=settings.max_tokens,
        seed=seed,
        target=target,
        order=order,
    )


def window_batches(
    view: GridStore,
    train: Windows,
    held_out: Windows,
    batch_samples: int,
    seed: int,
    target: torch.Tensor | None = None,
) -> IndexedBatches:
    """Return batches of any training windows; at most 1,024 held-out ones, evenly chosen."""
    few = np.linspace(0, len(held_out) - 1, min(len(held_out), _MOST_VALIDATED)).astype(np.int64)
    both = (train, held_out.take(few))
    windows = Windows(
        *(np.concatenate([getattr(w, name) for w in both]) for name in ("series", "start", "stop"))
    )
    return IndexedBatches(
        lambda numbers, _: view.collate(windows.take(numbers), target),
        np.arange(len(train)),
        len(train) + np.arange(len(few)),
        max(1, batch_samples // view.window),
        seed,
    )


def inference_batches(view: View, max_tokens: int) -> Iterable[tuple[Windows, Batch]]:
    """Yield windows that cover all series of a view, with their batches."""
    everything = np.arange(len(view))
    if isinstance(view, TokenStore):
        yield from sequential_batches(
            view, everything, batch_tokens=INFERENCE_TOKENS, max_tokens=max_tokens
        )
        return
    windows = view.covering(everything)
    windows = windows.take(np.argsort(windows.lengths, kind="stable"))
    size = max(1, _INFERENCE_SAMPLES // view.window)
    for first in range(0, len(windows), size):
        chosen = windows.take(np.arange(first, min(first + size, len(windows))))
        yield chosen, view.collate(chosen)
