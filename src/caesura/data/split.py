"""Splits series by group before anything is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError


@dataclass(frozen=True)
class Split:
    """Numbers of the series in each role; a group never lies in two."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]


def split_by_group(
    groups: NDArray[np.int64], validation: float, calibration: float, seed: int
) -> Split:
    """Draw whole groups for validation and calibration; the rest trains.

    Each role gets at least one group. Depends on the groups and the seed alone.
    """
    names = np.unique(groups)
    if len(names) < 3:
        raise DataError(
            f"{len(names)} groups of series; at least 3 are needed, to train, to validate and "
            "to calibrate. Give more series, or a finer --group"
        )
    shuffled = np.random.default_rng(seed).permutation(names)
    first = max(1, round(validation * len(names)))
    second = first + max(1, round(calibration * len(names)))

    def members(chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.flatnonzero(np.isin(groups, chosen))

    return Split(
        train=members(shuffled[second:]),
        validation=members(shuffled[:first]),
        calibration=members(shuffled[first:second]),
    )
