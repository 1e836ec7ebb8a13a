"""What a representation must beat: plain statistics of each channel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.data.scaling import ScaleTable
from caesura.data.schema import Schema
from caesura.data.store import RaggedStore

STATISTICS = ("count", "mean", "last", "std", "min", "max", "first")


def channel_statistics(store: RaggedStore, schema: Schema) -> NDArray[np.float64]:
    """Return the `STATISTICS` (series, channels x values x 7), NaN where nothing was seen.

    Of scaled values, so that the control has the same bends as the model; counts are
    log1p(count). A linear model reads both better so, and a weak control would flatter.
    """
    channel = schema.channel_codes(store)
    scaled = ScaleTable(schema.scales).exactly(store.values, channel)
    blocks = []
    for code in range(len(schema.channels)):
        for element in range(len(schema.value_names)):
            rows = (channel == code) & store.observed[:, element]
            blocks.append(_statistics(store, rows, scaled[:, element]))
    features = np.concatenate(blocks, axis=1)
    static = store.static_numbers()
    if static is not None:
        features = np.concatenate([features, static], axis=1)
    return features


def _statistics(
    store: RaggedStore, rows: NDArray[np.bool_], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    result = np.full((len(store), len(STATISTICS)), np.nan)
    series, chosen = store.series[rows], values[rows]
    present, starts, counts = np.unique(series, return_index=True, return_counts=True)
    result[:, 0] = np.log1p(np.bincount(series, minlength=len(store)))
    if not len(present):
        return result
    mean = np.add.reduceat(chosen, starts) / counts
    square = np.add.reduceat(np.square(chosen - np.repeat(mean, counts)), starts) / counts
    result[present, 1] = mean
    result[present, 2] = chosen[starts + counts - 1]
    result[present, 3] = np.sqrt(square)
    result[present, 4] = np.minimum.reduceat(chosen, starts)
    result[present, 5] = np.maximum.reduceat(chosen, starts)
    result[present, 6] = chosen[starts]
    return result
