"""One vector a series: [CLS] and the mean over its observations, joined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.grid import sample_store
from caesura.data.store import RaggedStore
from caesura.data.view import View, view_store
from caesura.nn.heads import Pooling, max_of, mean_of, pooled
from caesura.tasks.needs import Trained, need
from caesura.training.batches import inference_batches
from caesura.training.inference import averaged, row_slices, stacked
from caesura.types import Batch, Features


def embed(
    run: Trained,
    store: RaggedStore,
    pooling: Pooling = "auto",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Return the embedding (series, dim) of each series, float32.

    A series longer than the token limit is cut into overlapping windows whose vectors are
    averaged by length. `on_progress(done, total)` counts windows' series.
    """
    encoder = need(run, "encoder")
    view = view_store(store, run.schema)
    return embed_view(encoder, view, run.recipe.training.max_tokens, pooling, on_progress)


def embed_windows(
    run: Trained,
    store: RaggedStore,
    pooling: Pooling = "auto",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
    """Embed each window of regular series: series number, start in seconds, vectors.

    Whole windows from each series' start; a rest at the end is left out. A run on irregular
    series has no windows: a DataError.
    """
    encoder, view = need(run, "encoder"), sample_store(store, run.schema)
    windows = view.tiles(np.arange(len(view)))
    numbers = np.arange(len(windows))
    vectors = stacked(
        encoder,
        (view.collate(windows.take(numbers[rows])) for rows in row_slices(len(windows))),
        lambda batch: pooled(encoder(batch.inputs), pooling),
        total=len(windows),
        on_progress=on_progress,
    )
    start = (windows.start - view.offsets[windows.series]) / view.rate_hz
    return windows.series, start, vectors


def embed_layers(
    run: Trained,
    store: RaggedStore,
    encoder: torch.nn.Module | None = None,
    *,
    maxima: bool = False,
    whole: bool = False,
) -> list[NDArray[np.float32]]:
    """Return the mean over places at each level or layer, first to last: (series, width) each.

    maxima: the maxima over places follow the means, in the same order, from the same pass.
    whole: the vectors of `embed` come last, from the same pass too.
    """
    chosen = encoder or need(run, "encoder")
    view = view_store(store, run.schema)
    reads = (mean_of, max_of) if maxima else (mean_of,)

    def read_all(features: Features) -> list[torch.Tensor]:
        vectors = [read(level) for read in reads for level in features.levels]
        return [*vectors, pooled(features, "auto")] if whole else vectors

    return _vectors(
        chosen,
        view,
        run.recipe.training.max_tokens,
        read_all,
        every_layer=True,
    )


def embed_view(
    encoder: torch.nn.Module,
    view: View,
    limit: int,
    pooling: Pooling = "auto",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Embed a store that is seen by a schema already."""
    return _vectors(
        encoder, view, limit, lambda features: [pooled(features, pooling)], on_progress=on_progress
    )[0]


def _vectors(
    encoder: torch.nn.Module,
    view: View,
    limit: int,
    read: Callable[[Features], list[torch.Tensor]],
    *,
    every_layer: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[NDArray[np.float32]]:
    """Return what `read` makes of the features, averaged over the windows of each series."""

    def vectors_of(batch: Batch) -> list[torch.Tensor]:
        return read(encoder(batch.inputs, every_layer=every_layer))

    batches = inference_batches(view, limit)
    means = averaged(encoder, batches, vectors_of, len(view), on_progress)
    return [mean.astype(np.float32) for mean in means]
