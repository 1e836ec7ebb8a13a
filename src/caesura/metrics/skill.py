"""Bounded skill: 0 is what needs no learning, 1 is perfect; differences of it are dividends.

A relative gain over a base near zero has no bound, and its maximum over sets no meaning.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def classification_skill(truth: NDArray[Any], predicted: NDArray[Any], classes: int) -> float:
    """Return (balanced accuracy - chance) / (1 - chance), chance being 1 / classes.

    Classes that the truth lacks are left out of the balance.
    """
    found = [
        float((predicted[truth == c] == c).mean()) for c in range(classes) if (truth == c).any()
    ]
    chance = 1 / classes
    return (float(np.mean(found)) - chance) / (1 - chance)


def regression_skill(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return R^2, at least -1, averaged over targets."""
    truth, predicted = (np.asarray(x, float).reshape(len(x), -1) for x in (truth, predicted))
    spread = np.square(truth - truth.mean(0)).sum(0)
    error = np.square(truth - predicted).sum(0)
    return float(np.maximum(-1.0, 1 - error / np.maximum(spread, 1e-12)).mean())


def forecast_skill(own: float, naive: float) -> float:
    """Return 1 - MASE / MASE of the seasonal naive forecast, at least -1."""
    return max(-1.0, 1 - own / max(naive, 1e-12))


def anomaly_skill(own: float, noise: float) -> float:
    """Return VUS-PR less that of uniform noise."""
    return own - noise
