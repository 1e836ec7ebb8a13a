"""Scales the values of each channel, and back; statistics come from training rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from caesura.data.config import DataConfig
from caesura.data.store import RaggedStore

_SKEWED = 2.0


class ValueScale(BaseModel):
    """Scaling of one channel's value: (log1p(x) if log else x), minus centre, over scale."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    center: float = 0.0
    scale: float = 1.0
    log: bool = False
    constant: bool = False
    error_floor: float = 0.0


def fit_scale(
    store: RaggedStore, channel: int, element: int, config: DataConfig
) -> ValueScale:
    rows = (store.channel == channel) & store.observed[:, element]
    values = store.values[rows, element].astype(np.float64)
    log = config.scaling == "auto" and _skewed(values)
    fitted = ValueScale() if config.scaling == "off" else standard(values, log)
    if store.error is None or not len(values):
        return fitted
    errors = store.error[rows, 0]
    positive = errors[errors > 0]
    floor = float(np.median(positive)) if len(positive) else 0.0
    return fitted.model_copy(update={"error_floor": floor})


def _skewed(values: NDArray[np.float64]) -> bool:
    if len(values) < 20 or values.min() < 0 or values.std() == 0:
        return False
    return float((((values - values.mean()) / values.std()) ** 3).mean()) > _SKEWED


def standard(values: NDArray[np.float64], log: bool) -> ValueScale:
    if not len(values):
        return ValueScale()
    values = np.log1p(values) if log else values
    spread = float(values.std())
    constant = spread <= 1e-8 * max(1.0, float(np.abs(values).max()))
    return ValueScale(
        center=float(values.mean()), scale=1.0 if constant else spread, log=log, constant=constant
    )


class ScaleTable:
    """The scales of all channels as arrays, for whole columns of observations at once."""

    def __init__(self, scales: tuple[tuple[ValueScale, ...], ...]) -> None:
        def column(name: str) -> NDArray[np.float64]:
            return np.array([[getattr(one, name) for one in row] for row in scales], np.float64)

        self.center, self.scale = column("center"), column("scale")
        self.log, self.error_floor = column("log") > 0, column("error_floor")

    def scaled(
        self, values: NDArray[np.floating], channel: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Scale (observations, size) raw values; a value below -1 is held there for a log."""
        raw = values.astype(np.float64)
        raw = np.where(self.log[channel], np.log1p(np.maximum(raw, -1 + 1e-6)), raw)
        return ((raw - self.center[channel]) / self.scale[channel]).astype(np.float32)

    def raw(
        self, scaled: NDArray[np.floating], channel: NDArray[np.int32]
    ) -> NDArray[np.float64]:
        """Return scaled values, shape (observations, size), in the table's units."""
        plain = scaled.astype(np.float64) * self.scale[channel] + self.center[channel]
        return np.where(self.log[channel], np.expm1(np.minimum(plain, 80.0)), plain)

    def weight(
        self, error: NDArray[np.floating], channel: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Return the trust in values with these errors: floor^2 / (floor^2 + error^2).

        The floor is the channel's median error: the weight is 1 for an exact value, 1/2 at
        the median, and falls as the inverse variance beyond. Ours; the paper uses none.
        """
        floor = np.square(self.error_floor[channel])
        total = floor + np.square(error.astype(np.float64))
        return np.where(total > 0, floor / np.maximum(total, 1e-300), 1.0).astype(np.float32)
