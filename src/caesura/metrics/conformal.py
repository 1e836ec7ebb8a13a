"""Split conformal intervals whose width follows the channel and the distance to data.

Residuals are divided by a normaliser fitted on other series; the quantile of these scores
on calibration series then covers new series at the stated level on average, whatever the
model (Vovk et al. 2005; Lei et al. 2018, locally weighted form).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEVELS = np.concatenate([np.arange(0.50, 0.99, 0.01), np.arange(0.99, 0.9995, 0.001)])
_BINS = 12
_ENOUGH = 200
"""Scores of a channel from which its own quantiles are used, not those of all channels."""


@dataclass(frozen=True)
class Normaliser:
    """Expected |residual| of a variable at a distance: its mean times the distance's factor.

    centres: distances between which the factor is linear; an infinite distance (the variable
    was never seen in the series) has the last factor, of its own.
    """

    means: NDArray[np.float64]
    centres: NDArray[np.float64]
    factors: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        residual: NDArray[np.float64],
        variable: NDArray[np.int64],
        distance: NDArray[np.float64],
        variables: int,
    ) -> Normaliser:
        """Fit on absolute residuals, shrinking rare variables and bins to the overall mean."""
        overall = float(residual.mean()) if len(residual) else 1.0
        means = _shrunk_means(residual, variable, variables, overall)
        finite = distance[np.isfinite(distance)]
        inner = np.linspace(0, 1, _BINS + 1)[1:-1]
        edges = np.unique(np.quantile(finite, inner)) if len(finite) else np.zeros(0)
        inside = np.searchsorted(edges, distance, side="right")
        bins = np.where(np.isfinite(distance), inside, len(edges) + 1)
        ratio = residual / np.maximum(means[variable], 1e-12)
        factors = _shrunk_means(ratio, bins, len(edges) + 2, 1.0)
        within = bins[np.isfinite(distance)]
        count = np.bincount(within, minlength=len(edges) + 1)
        total = np.bincount(within, weights=finite, minlength=len(edges) + 1)
        used = count > 0
        kept = np.append(factors[:-1][used], factors[-1])
        return cls(means, total[used] / count[used], kept)

    def __call__(
        self, variable: NDArray[np.int64], distance: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the expected |residual| of each case."""
        factor = np.full(len(distance), self.factors[-1])
        finite = np.isfinite(distance)
        if len(self.centres):
            factor[finite] = np.interp(distance[finite], self.centres, self.factors[:-1])
        return np.asarray(np.maximum(self.means[variable] * factor, 1e-9))


def _shrunk_means(
    values: NDArray[np.float64], code: NDArray[np.int64], count: int, prior: float
) -> NDArray[np.float64]:
    """Return means by code, each with 20 pseudo-cases at the prior."""
    total = np.bincount(code, weights=values, minlength=count)
    cases = np.bincount(code, minlength=count)
    return np.asarray((total + 20 * prior) / (cases + 20))


@dataclass(frozen=True)
class Conformal:
    """A fitted normaliser with score quantiles; row 0 pools all variables.

    counts: calibration scores of each variable. reach: largest finite distance seen there,
    beyond which an interval is an extrapolation.
    """

    normaliser: Normaliser
    quantiles: NDArray[np.float64]
    counts: NDArray[np.int64]
    reach: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        normaliser: Normaliser,
        residual: NDArray[np.float64],
        variable: NDArray[np.int64],
        distance: NDArray[np.float64],
    ) -> Conformal:
        """Take the quantiles of |residual| / normaliser on the calibration cases."""
        score = residual / normaliser(variable, distance)
        count = len(normaliser.means)
        rows = [_upper_quantiles(score)]
        rows += [_upper_quantiles(score[variable == v]) for v in range(count)]
        cases = np.bincount(variable, minlength=count)
        reach = np.zeros(count)
        finite = np.isfinite(distance)
        np.maximum.at(reach, variable[finite], distance[finite])
        return cls(normaliser, np.stack(rows), cases, reach)

    def half_width(
        self, variable: NDArray[np.int64], distance: NDArray[np.float64], level: float
    ) -> NDArray[np.float64]:
        """Return half the width of the interval at `level`, in the residuals' units."""
        column = min(int(np.searchsorted(LEVELS, level - 1e-9)), len(LEVELS) - 1)
        row = np.where(self.counts[variable] >= _ENOUGH, variable + 1, 0)
        return np.asarray(
            self.quantiles[row, column] * self.normaliser(variable, distance), dtype=np.float64
        )

    def trusted(
        self, variable: NDArray[np.int64], distance: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Say which cases lie within what was calibrated."""
        near = distance <= self.reach[variable]
        return (near | np.isinf(distance)) & (self.counts[variable] > 0)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {
            "means": self.normaliser.means.tolist(),
            "centres": self.normaliser.centres.tolist(),
            "factors": self.normaliser.factors.tolist(),
            "quantiles": self.quantiles.tolist(),
            "counts": self.counts.tolist(),
            "reach": self.reach.tolist(),
        }

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Conformal:
        """Read what `to_json` wrote."""
        arrays = {key: np.array(tree[key], dtype=np.float64) for key in tree}
        normaliser = Normaliser(arrays["means"], arrays["centres"], arrays["factors"])
        counts = arrays["counts"].astype(np.int64)
        return cls(normaliser, arrays["quantiles"], counts, arrays["reach"])


def _upper_quantiles(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ceil((n + 1) level)-th smallest score of each level; the largest if beyond."""
    if not len(score):
        return np.ones(len(LEVELS))
    ordered = np.sort(score)
    rank = np.ceil((len(ordered) + 1) * LEVELS - 1e-9).astype(int) - 1
    return np.asarray(ordered[np.minimum(rank, len(ordered) - 1)])
