"""How synthetic windows differ from real ones: plain functions on (windows, channels, time).

Each is a number of two sets; the same number of two real sets is its floor, below which nothing
can be told. TimeMAR's line of work (TimeGAN, Yoon et al. 2019; Diffusion-TS, arXiv 2403.01742)
reports some of them without one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

_LONGEST_LAG = 64
_NEAREST = 5


def scaled_like(reference: Floats, *sets: Floats) -> list[Floats]:
    """Return sets of windows with each channel less the reference's mean, by its deviation."""
    center = reference.mean((0, 2), keepdims=True)
    spread = reference.std((0, 2), keepdims=True)
    spread = np.where(spread > 0, spread, 1.0)
    return [(one - center) / spread for one in sets]


def _least(windows: Floats, deviation: Floats) -> Floats:
    """Return deviations of channels (1, channels, 1); where one never changes, its size, or 1."""
    largest = np.abs(windows).max((0, 2), keepdims=True)
    still = deviation <= 1e-9 * largest
    return np.where(still, np.where(largest > 0, largest, 1.0), deviation)


def marginal_distance(real: Floats, synthetic: Floats) -> float:
    """Return the mean over channels of the first Wasserstein distance, in deviations of `real`."""
    a, b = scaled_like(real, real, synthetic)
    share = (np.arange(1000) + 0.5) / 1000
    each = [
        np.abs(np.quantile(a[:, c], share) - np.quantile(b[:, c], share)).mean()
        for c in range(a.shape[1])
    ]
    return float(np.mean(each))


def autocorrelation(windows: Floats) -> Floats:
    """Return (channels, lags) from lag 1: of deviations from each channel's mean over all."""
    x = windows - windows.mean((0, 2), keepdims=True)
    power = np.square(_least(windows, x.std((0, 2), keepdims=True)))[0, :, 0]
    lags = range(1, min(_LONGEST_LAG, x.shape[2] - 1) + 1)
    return np.stack([(x[..., k:] * x[..., :-k]).mean((0, 2)) / power for k in lags], -1)


def autocorrelation_distance(real: Floats, synthetic: Floats) -> float:
    """Return the mean absolute difference over lags and channels."""
    return float(np.abs(autocorrelation(real) - autocorrelation(synthetic)).mean())


def correlations(windows: Floats) -> Floats:
    """Return the correlation of each pair of channels at one time, (channels, channels)."""
    x = windows - windows.mean((0, 2), keepdims=True)
    x = x / _least(windows, x.std((0, 2), keepdims=True))
    return np.asarray(np.einsum("nct,ndt->cd", x, x) / (x.shape[0] * x.shape[2]))


def correlation_error(real: Floats, synthetic: Floats) -> float:
    """Return the mean absolute difference over pairs of different channels; 0 with one channel."""
    pairs = np.triu_indices(real.shape[1], 1)
    if not len(pairs[0]):
        return 0.0
    return float(np.abs(correlations(real) - correlations(synthetic))[pairs].mean())


def correlational_score(real: Floats, synthetic: Floats) -> float:
    """Return the sum over pairs, each channel with itself too, by ten (Diffusion-TS)."""
    pairs = np.tril_indices(real.shape[1])
    return float(np.abs(correlations(real) - correlations(synthetic))[pairs].sum() / 10)


def deviation_ratio(real: Floats, synthetic: Floats) -> float:
    """Return the mean over channels of synthetic over real deviation; below 1: too narrow.

    Channels that never change in `real` are left out.
    """
    own, other = real.std((0, 2)), synthetic.std((0, 2))
    there = own > 1e-9 * np.abs(real).max((0, 2))
    return float((other[there] / own[there]).mean()) if there.any() else 1.0


def mean_discrepancy(real: Floats, synthetic: Floats) -> float:
    """Return the squared maximum mean discrepancy, unbiased, of a Gaussian kernel whose width is
    the median distance (Gretton et al. 2012, lemma 6)."""
    a, b = (one.reshape(len(one), -1) for one in scaled_like(real, real, synthetic))
    both = np.concatenate([a, b])
    square = _squares(both, both)
    width = np.median(square[square > 0]) if (square > 0).any() else 1.0
    kernel, n, m = np.exp(-square / width), len(a), len(b)
    within = (kernel[:n, :n].sum() - n) / (n * (n - 1)) + (kernel[n:, n:].sum() - m) / (m * (m - 1))
    return float(within - 2 * kernel[:n, n:].mean())


def density_and_coverage(real: Floats, synthetic: Floats, k: int = _NEAREST) -> tuple[float, float]:
    """Return density and coverage (Naeem et al. 2020, arXiv 2002.09797).

    Density: synthetic windows within the k-neighbourhoods of real ones, by k; about 1 where the
    sets are alike. Coverage: share of real windows with a synthetic one in their neighbourhood.
    """
    a, b = (one.reshape(len(one), -1) for one in scaled_like(real, real, synthetic))
    own = _squares(a, a)
    np.fill_diagonal(own, np.inf)
    radius = np.partition(own, k - 1, axis=1)[:, k - 1]
    inside = _squares(a, b) <= radius[:, None]
    return float(inside.sum() / (k * len(b))), float(inside.any(1).mean())


def copying_ratio(windows: Floats, train: Floats, unseen: Floats, reference: Floats) -> float:
    """Return the mean distance to the nearest training window, by that to the nearest unseen one.

    Below the ratio of real windows that did not train, windows are nearer to the training data
    than they should be: copies. As many training windows as unseen ones are compared with.
    """
    count = min(len(train), len(unseen))
    flat = [one.reshape(len(one), -1) for one in scaled_like(reference, windows, train, unseen)]
    chosen = [flat[0], *(one[_spread_out(len(one), count)] for one in flat[1:])]
    nearest = [np.sqrt(_squares(chosen[0], one).min(1)).mean() for one in chosen[1:]]
    return float(nearest[0] / max(nearest[1], np.finfo(np.float64).tiny))


def frechet_distance(real: Floats, synthetic: Floats) -> float:
    """Return the Frechet distance of normals fitted to features (rows, width)."""
    from scipy.linalg import sqrtm

    means = [one.mean(0) for one in (real, synthetic)]
    covariances = [np.cov(one, rowvar=False) for one in (real, synthetic)]
    root = np.real(sqrtm(covariances[0] @ covariances[1]))
    gap = np.square(means[0] - means[1]).sum()
    return float(gap + np.trace(covariances[0] + covariances[1] - 2 * root))


def transfer_error(train: Floats, test: Floats, share: float = 0.75) -> float:
    """Return the error of a ridge that tells the last part of windows from the first.

    Mean square, by that of the training mean; a generator's windows train, real ones test.
    """
    from sklearn.linear_model import RidgeCV

    cut = max(1, min(train.shape[2] - 1, int(share * train.shape[2])))
    a, b = scaled_like(test, train, test)
    past, future = (
        [one[..., part].reshape(len(one), -1) for one in (a, b)]
        for part in (slice(None, cut), slice(cut, None))
    )
    model = RidgeCV(np.logspace(-2, 4, 7)).fit(past[0], future[0])
    error = np.square(model.predict(past[1]) - future[1]).mean()
    tiny = np.finfo(np.float64).tiny
    return float(error / max(np.square(future[1] - future[1].mean(0)).mean(), tiny))


def _squares(a: Floats, b: Floats) -> Floats:
    """Return squared distances (rows of a, rows of b)."""
    square = np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
    return np.asarray(np.maximum(square, 0.0))


def _spread_out(count: int, wanted: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, wanted).round().astype(np.int64)
