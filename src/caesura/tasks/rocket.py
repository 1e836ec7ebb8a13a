"""MiniRocket (Dempster et al. 2021, arXiv 2012.08791) by aeon, where it is installed.

A strong classifier that learns no representation: what pre-training must beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError

Panel = Sequence[NDArray[np.floating[Any]]]
"""Series (channels, time), of any length, NaN where nothing was measured."""


def has_rocket() -> bool:
    """Say whether aeon is there."""
    return find_spec("aeon") is not None


def rocket_predictions(
    train: Panel, labels: Sequence[Any] | NDArray[Any], test: Panel, seed: int
) -> NDArray[Any]:
    """Classify by MiniRocket features and a ridge, on series filled linearly to one length."""
    try:
        from aeon.transformations.collection.convolution_based import MiniRocket
    except ImportError as error:
        raise DataError(
            "MiniRocket needs the aeon extra (`pip install caesura[aeon]`, in an environment of "
            "its own: it caps numpy and pandas), or leave its cells out with --cells"
        ) from error
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    length = max(9, *(series.shape[1] for series in train))  # MiniRocket takes no less
    features = MiniRocket(random_state=seed, n_jobs=1)
    filled = same_length(train, length)
    seen = features.fit_transform(filled)
    model = make_pipeline(
        StandardScaler(with_mean=False), RidgeClassifierCV(np.logspace(-3, 3, 10))
    )
    model.fit(seen, labels)
    return np.asarray(model.predict(features.transform(same_length(test, length))))


def same_length(panel: Panel, length: int) -> NDArray[np.float32]:
    """Return (series, channels, length): gaps by a line, each series stretched to the length."""
    whole = np.empty((len(panel), panel[0].shape[0], length), np.float32)
    for row, series in enumerate(panel):
        at = np.linspace(0, series.shape[1] - 1, length)
        for channel, values in enumerate(series):
            seen = np.flatnonzero(np.isfinite(values))
            whole[row, channel] = np.interp(at, seen, values[seen]) if len(seen) else 0.0
    return whole
