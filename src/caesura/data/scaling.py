"""Scales the values of each channel, and back; statistics come from training rows.

A squared error is ruled by the tails, so a heavy-tailed channel is bent first: by a
logarithm where it has no negative value, else by the inverse hyperbolic sine, which is
linear near 0 and logarithmic beyond (the "asinh magnitudes" of astronomy).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from caesura.data.config import DataConfig
from caesura.data.store import RaggedStore
from caesura.data.units import ROUNDING

_SKEWED, _HEAVY = 2.0, 10.0
"""Skewness and kurtosis (3 for a normal) beyond which "auto" bends a channel."""
_WIDENED = 2.5
"""Quartile ranges (0.74 for a normal) beyond which few far values make a deviation."""
_SMALL = 0.01
"""Quantile of the positive values below which a logarithm is linear: 1 of counts, as log(1 + x)
has it, and in any unit."""
_NAMED = 5
"""Variables that a note names at most."""


class ValueScale(BaseModel):
    """Scaling of one channel's value: (bend(x) - center) / scale.

    bend: "none"; "log": log(1 + x / knee); "asinh": asinh(x / knee). error_floor: median error of
    the scaled values, where errors are given. constant: the value never changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bend: Literal["none", "log", "asinh"] = "none"
    knee: float = 1.0
    center: float = 0.0
    scale: float = 1.0
    constant: bool = False
    error_floor: float = 0.0


def fit_scale(store: RaggedStore, channel: int, element: int, config: DataConfig) -> ValueScale:
    """Fit the scaling of one channel and value on all series of a store."""
    rows = (store.channel == channel) & store.observed[:, element]
    values = store.values[rows, element].astype(np.float64)
    if config.scaling == "off":
        fitted = ValueScale()
    else:
        fitted = standard(values, bend=config.scaling == "auto")
    if store.error is None or not len(values):
        return fitted
    table = ScaleTable(((fitted,),))
    zeros = np.zeros(len(values), dtype=np.int32)
    errors = table.scaled_error(store.error[rows], store.values[rows][:, [element]], zeros)
    positive = errors[errors > 0]
    floor = float(np.median(positive)) if len(positive) else 0.0
    return fitted.model_copy(update={"error_floor": floor})


def standard(values: NDArray[np.float64], *, bend: bool) -> ValueScale:
    """Return centre and deviation of values, after a bend where `bend` and the tails ask it."""
    if not len(values):
        return ValueScale()
    kind, knee = _bend(values) if bend else ("none", 1.0)
    if kind == "log":
        values = np.log1p(values / knee)
    elif kind == "asinh":
        values = np.arcsinh(values / knee)
    size = float(np.abs(values).max()) or 1.0
    spread = float((values / size).std())  # squares would leave float64's range
    constant = spread <= ROUNDING
    return ValueScale(
        bend=kind,
        knee=knee,
        center=float((values / size).mean()) * size,
        scale=size if constant else spread * size,
        constant=constant,
    )


def _bend(values: NDArray[np.float64]) -> tuple[Literal["none", "log", "asinh"], float]:
    size = float(np.abs(values).max()) or 1.0
    spread = (values / size).std()
    if len(values) < 20 or spread <= ROUNDING:
        return "none", 1.0
    z = (values / size - (values / size).mean()) / spread
    if values.min() >= 0:
        if (z**3).mean() <= _SKEWED:
            return "none", 1.0
        return "log", float(np.quantile(values[values > 0], _SMALL))
    low, high = np.percentile(values, [25, 75])
    if (z**4).mean() > _HEAVY and high > low:
        return "asinh", float(high - low) / 1.349  # a normal's quartiles lie 1.349 deviations apart
    return "none", 1.0


def made_wide(
    names: Sequence[str], deviations: Sequence[float], quartile_ranges: Sequence[float]
) -> str:
    """Name the variables whose deviation few far values make, the widest first, with how many
    quartile ranges it is; "" for none."""
    pairs = zip(names, deviations, quartile_ranges, strict=True)
    ratios = {name: wide / near for name, wide, near in pairs if near > 0}
    found = sorted((one for one in ratios if ratios[one] > _WIDENED), key=lambda one: -ratios[one])
    shown = ", ".join(f"{one} ({ratios[one]:.3g})" for one in found[:_NAMED])
    return shown + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")


class ScaleTable:
    """The scales of all channels as arrays, for whole columns of observations at once."""

    def __init__(self, scales: tuple[tuple[ValueScale, ...], ...]) -> None:
        def column(name: str) -> NDArray[np.float64]:
            return np.array([[getattr(one, name) for one in row] for row in scales], np.float64)

        def bent(kind: str) -> NDArray[np.bool_]:
            return np.array([[one.bend == kind for one in row] for row in scales])

        self.center, self.scale = column("center"), column("scale")
        self.knee, self.error_floor = column("knee"), column("error_floor")
        self.log, self.asinh = bent("log"), bent("asinh")
        self._any_log, self._any_asinh = bool(self.log.any()), bool(self.asinh.any())

    def scaled(
        self, values: NDArray[np.floating], channel: NDArray[np.integer[Any]]
    ) -> NDArray[np.float32]:
        """Scale (observations, size) raw values; below -knee a logarithm takes them as that."""
        return self.exactly(values, channel).astype(np.float32)

    def exactly(
        self, values: NDArray[np.floating], channel: NDArray[np.integer[Any]]
    ) -> NDArray[np.float64]:
        """Return what `scaled` does as float64."""
        raw = values.astype(np.float64)
        if self._any_log:
            bent = np.log1p(np.maximum(raw / self.knee[channel], -1 + 1e-6))
            raw = np.where(self.log[channel], bent, raw)
        if self._any_asinh:
            raw = np.where(self.asinh[channel], np.arcsinh(raw / self.knee[channel]), raw)
        raw -= self.center.take(channel, axis=0)
        raw /= self.scale.take(channel, axis=0)
        return raw

    def raw(
        self, scaled: NDArray[np.floating], channel: NDArray[np.integer[Any]]
    ) -> NDArray[np.float64]:
        """Return scaled values, shape (observations, size), in the table's units."""
        plain = scaled.astype(np.float64) * self.scale[channel] + self.center[channel]
        bounded = np.clip(plain, -80.0, 80.0)  # exp overflows beyond, where no value is meant
        unlogged = np.where(self.log[channel], np.expm1(bounded) * self.knee[channel], plain)
        unbent = np.where(self.asinh[channel], np.sinh(bounded) * self.knee[channel], unlogged)
        return np.asarray(unbent)

    def scaled_error(
        self,
        error: NDArray[np.floating],
        values: NDArray[np.floating],
        channel: NDArray[np.integer[Any]],
    ) -> NDArray[np.float64]:
        """Return errors of the scaled values, to first order: error x slope of the scaling."""
        scaled: NDArray[np.float64] = error / self.scale.take(channel, axis=0)
        raw = values.astype(np.float64) if self._any_log or self._any_asinh else values
        if self._any_log:
            knee = self.knee[channel]
            scaled /= np.where(self.log[channel], np.maximum(knee + raw, 1e-6 * knee), 1.0)
        if self._any_asinh:
            bent = np.sqrt(np.square(raw) + np.square(self.knee[channel]))
            scaled /= np.where(self.asinh[channel], bent, 1.0)
        return scaled

    def weight(
        self,
        error: NDArray[np.floating],
        values: NDArray[np.floating],
        channel: NDArray[np.integer[Any]],
    ) -> NDArray[np.float32]:
        """Return the trust in values with these errors: floor^2 / (floor^2 + error^2).

        Errors are those of the scaled values, the floor is their median in the channel: the
        weight is 1 for an exact value, 1/2 at the median, and falls as the inverse variance
        beyond. Ours; the paper uses none.
        """
        floor = np.square(self.error_floor).take(channel, axis=0)
        total = np.square(self.scaled_error(error, values, channel))
        total += floor
        trust = np.ones(total.shape, dtype=np.float32)
        np.divide(floor, total, out=trust, where=total > 0, casting="same_kind")
        return trust
