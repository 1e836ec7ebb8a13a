"""Principal components of the channels of regular series, for encoders that read few of many."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.data.grid import sample_store
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore
from caesura.errors import RecipeError
from caesura.recipes.schema import Recipe

log = logging.getLogger("caesura")

_SAMPLES = 100_000
"""Steps of time that the components are measured on, spread over the training series."""


class Components(NamedTuple):
    """Share of variance, falling, and directions (channels, channels) of normalised channels."""

    share: NDArray[np.float64]
    directions: NDArray[np.float64]


def channel_components(store: RaggedStore, schema: Schema, train: NDArray[np.int64]) -> Components:
    """Return the principal components of the training series, each channel by its deviation.

    A pair of channels is compared where both were observed.
    """
    view, sampling = sample_store(store, schema, silent=True), schema.sampling
    if sampling is None:
        raise TypeError("components are of series on a grid")
    columns = np.concatenate([np.arange(*view.offsets[one : one + 2]) for one in train])
    columns = columns[:: max(1, len(columns) // _SAMPLES)]
    values = view.units.model(view.signal.values[:, columns])
    seen = view.signal.observed[:, columns].astype(np.float64)
    means = view.units.model(np.array(sampling.means)[:, None])
    values = (values - means) / (np.array(sampling.deviations)[:, None] / view.units.spread) * seen
    covariance = values @ values.T / np.maximum(seen @ seen.T, 1)
    power, directions = np.linalg.eigh(covariance)
    power = power[::-1].clip(min=0)
    return Components(power / max(power.sum(), 1e-12), directions[:, ::-1].copy())


def ranked(recipe: Recipe, schema: Schema, store: RaggedStore, train: NDArray[np.int64]) -> Recipe:
    """Return the recipe with the rank that explains the share of variance that its encoder asks
    for; as it was, where it asks for none or names a rank. More directions than channels are a
    RecipeError."""
    encoder: Any = recipe.encoder
    explained, channels = getattr(encoder, "explained", 0.0), len(schema.variables)
    if getattr(encoder, "rank", 0) > channels:
        raise RecipeError(f"encoder.rank={encoder.rank} of {channels} channels; give fewer")
    if not explained or encoder.rank:
        return recipe
    share = channel_components(store, schema, train).share
    rank = int(np.searchsorted(share.cumsum(), explained - 1e-9) + 1)
    rank = min(rank, len(share))
    log.info("%d of %d directions explain %.3g of the variance", rank, len(share), explained)
    changed = encoder.model_copy(update={"rank": rank})
    return recipe.model_copy(update={"encoder": changed})


def begin_basis(
    encoder: nn.Module,
    decoder: Any,
    schema: Schema,
    store: RaggedStore,
    train: NDArray[np.int64],
) -> None:
    """Set the directions of an encoder and the beginning of its decoder's, if they have any."""
    basis: Any = getattr(encoder, "basis", None)
    if basis is None:
        return
    found = channel_components(store, schema, train).directions
    rank = basis.directions.shape[1]
    with torch.no_grad():
        for own in (basis, decoder.basis):
            own.directions.copy_(torch.from_numpy(found[:, :rank].copy()))
