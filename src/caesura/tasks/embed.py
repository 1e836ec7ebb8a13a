"""One vector a series: [CLS] and the mean over its observations, joined."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.collate import TokenStore, tokenise_store
from caesura.data.store import RaggedStore
from caesura.nn.heads import Pooling, pooled
from caesura.tasks.needs import Trained, inference, need
from caesura.training.loader import INFERENCE_TOKENS, sequential_batches
from caesura.types import Features, Level


def embed(
    run: Trained,
    store: RaggedStore,
    pooling: Pooling = "cls+mean",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float32]:
    """Return the embedding (series, dim) of each series, float32.

    A series longer than the token limit is cut into overlapping windows whose vectors are
    averaged by length. `on_progress(done, total)` counts windows' series.
    """
    encoder = need(run, "encoder")
    tokens = tokenise_store(store, run.schema)
    limit = run.recipe.training.max_tokens
    return _pooled_layers(encoder, tokens, limit, pooling, False, on_progress)[-1]


def embed_layers(
    run: Trained, store: RaggedStore, encoder: torch.nn.Module | None = None
) -> list[NDArray[np.float32]]:
    """Return the mean over observations at each layer, first to last: (series, width) each."""
    chosen = encoder or need(run, "encoder")
    tokens = tokenise_store(store, run.schema)
    limit = run.recipe.training.max_tokens
    return _pooled_layers(chosen, tokens, limit, "mean", True, lambda done, total: None)


def embed_tokens(
    encoder: torch.nn.Module, tokens: TokenStore, limit: int, pooling: Pooling = "cls+mean"
) -> NDArray[np.float32]:
    """Embed an already tokenised store."""
    return _pooled_layers(encoder, tokens, limit, pooling, False, lambda done, total: None)[-1]


def _pooled_layers(
    encoder: torch.nn.Module,
    tokens: TokenStore,
    limit: int,
    pooling: Pooling,
    every_layer: bool,
    on_progress: Callable[[int, int], None],
) -> list[NDArray[np.float32]]:
    series = np.arange(len(tokens))
    sums: list[NDArray[np.float64]] = []
    weights = np.zeros(len(tokens))
    done = 0
    device = next(encoder.parameters()).device
    with inference(encoder):
        for windows, batch in sequential_batches(
            tokens, series, batch_tokens=INFERENCE_TOKENS, max_tokens=limit
        ):
            features: Features = encoder(batch.inputs.to(device), every_layer=every_layer)
            layers = [_vector(level, features, pooling) for level in features.levels]
            if not sums:
                sums = [np.zeros((len(tokens), layer.shape[1])) for layer in layers]
            for total, layer in zip(sums, layers, strict=True):
                np.add.at(total, windows.series, layer * windows.lengths[:, None])
            np.add.at(weights, windows.series, windows.lengths)
            done += len(windows)
            on_progress(min(done, len(tokens)), len(tokens))
    return [(total / weights[:, None]).astype(np.float32) for total in sums]


def _vector(level: Level, features: Features, pooling: Pooling) -> NDArray[np.float32]:
    vector = pooled(Features((level,), features.summary), pooling)
    return vector.float().cpu().numpy()
