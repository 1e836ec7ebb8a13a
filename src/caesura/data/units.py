"""What a model of a grid is given: each variable less its centre, over the size of its windows.

So no threshold of a network, a head or a score is in the table's units. Fitted on training series
and kept in the schema (`Sampling.centers`, `Sampling.spreads`); a model that was made before has
none, and reads the table's units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

ROUNDING = 1e-13
"""Of its largest value, what a variable must move by: float64 rounds sums of a constant so far."""


@dataclass(frozen=True)
class Units:
    """Centre and spread of each variable, (variables, 1)."""

    center: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def of(cls, centers: tuple[float, ...], spreads: tuple[float, ...], variables: int) -> Units:
        """Return the units that a schema names; the table's own where it names none."""
        center = np.array(centers or (0.0,) * variables, dtype=np.float64)
        spread = np.array(spreads or (1.0,) * variables, dtype=np.float64)
        return cls(center[:, None], spread[:, None])

    def model(self, values: Floats) -> NDArray[np.float64]:
        """Return values (..., variables, time) of the table in the model's units."""
        found = np.subtract(values, self.center, dtype=np.float64)
        found /= self.spread
        return found

    def table(self, values: Floats) -> NDArray[np.float64]:
        """Return values (..., variables, time) of the model in the table's units."""
        return np.asarray(values * self.spread + self.center, dtype=np.float64)


def fit_units(
    values: Floats, observed: NDArray[np.bool_], lengths: NDArray[np.int64], window: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return centres and spreads of variables, values (variables, time) of series of some lengths.

    The spread is the median deviation of windows that are not constant, the deviation of all values
    where none moves, else their size: series may differ far more in level than a window moves.
    """
    pieces = -(-lengths // window)
    first = np.repeat(np.cumsum(pieces) - pieces, lengths)
    step = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    piece = first + step // window
    centers, spreads = [], []
    for row, seen in zip(values, observed, strict=True):
        there, own = row[seen].astype(np.float64), piece[seen]
        largest = float(np.abs(there).max(initial=0.0)) or 1.0
        there /= largest  # squares would leave float64's range
        deviations = np.append(_deviations(there, own), there.std() if len(there) else 0.0)
        moving = deviations > ROUNDING
        spread = np.median(deviations[:-1][moving[:-1]]) if moving[:-1].any() else deviations[-1]
        centers.append(float(there.mean()) * largest if len(there) else 0.0)
        spreads.append(float(spread) * largest if moving.any() else largest)
    return tuple(centers), tuple(spreads)


def _deviations(values: NDArray[np.float64], piece: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the deviation of the values of each piece; 0 of one without any."""
    count = np.maximum(np.bincount(piece), 1)
    gap = values - (np.bincount(piece, weights=values) / count)[piece]
    return np.asarray(np.sqrt(np.bincount(piece, weights=np.square(gap)) / count))
