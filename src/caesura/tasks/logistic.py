"""Multinomial logistic regression whose penalty is chosen by inner folds, for many fits in a row.

The model, its penalty and the choice are those of scikit-learn's `LogisticRegressionCV`: the same
convex problem, so the same answer. Embeddings are strongly correlated, and its L-BFGS then stops at
its limit of iterations, long before the optimum. Here features are rotated once to the eigenvectors
of their covariance, where a diagonal scaling makes the curvature about 1 in all directions; tens of
iterations suffice for any strength, and each strength starts where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from caesura.errors import DataError

Floats = NDArray[np.floating[Any]]
Cuts = Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]

_ITERATIONS = 200
_TOLERANCE = 3e-4
"""Largest scaled gradient of a fit that counts as done: its mean log loss is then within about 1e-5
of the least one."""
_DECREASE = 1e-7
"""Relative decrease of the loss by one iteration below which a fit counts as done."""
_NULL = 1e-9
"""Variance of a direction, as a share of the largest, below which no weight is given to it."""
_FALLS = 2
"""Strengths in a row that must score worse than the best before weaker penalties are not tried."""
ONE_FOLD_CASES = 1000
"""Cases of an inner fold from which on it chooses the strength alone: the other folds agree."""


class _Rotated(NamedTuple):
    """Features along the eigenvectors of their covariance, these, and the variances along them."""

    x: Floats
    vectors: Floats
    variances: Floats


class FoldedLogistic(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression with the strength of least log loss on inner folds.

    Two classes share one logit, as in scikit-learn.

    Args:
        strengths: Inverse penalties C to choose from, small to large; one is taken as it is.
        cuts: Pairs of (train, test) row numbers; None: three stratified folds.
        start: `coef_` and `intercept_` of a like fit, to begin at.

    Fitted: `coef_` (classes, features), `intercept_`, `classes_` and `C_`.

    Raises:
        DataError: All rows are of one class.
    """

    def __init__(
        self,
        strengths: Sequence[float] = (1.0,),
        cuts: Cuts | None = None,
        start: tuple[Floats, Floats] | None = None,
    ) -> None:
        self.strengths = strengths
        self.cuts = cuts
        self.start = start

    def fit(self, x: Any, y: Any) -> FoldedLogistic:
        """Choose a strength, then fit to all rows."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        count = len(self.classes_)
        if count < 2:
            raise DataError(
                f"all {len(codes)} cases to fit a classifier to are of class "
                f"{self.classes_[0]}; give labels of two classes at least, or fewer folds"
            )
        rotated = _rotate(np.asarray(x, dtype=np.float32))
        strength, start = float(self.strengths[0]), None
        if len(self.strengths) > 1:
            strength, start = self._search(rotated, codes)
        elif self.start is not None and len(self.start[1]) == (1 if count == 2 else count):
            coefficients, intercept = self.start
            start = np.concatenate([rotated.vectors.T @ coefficients.T, intercept[None]])
        weights = _fit(rotated, np.arange(len(codes)), codes, count, strength, start)
        self.coef_ = (rotated.vectors @ weights[:-1]).T
        self.intercept_ = weights[-1]
        self.C_ = np.array([strength])
        return self

    def _search(self, rotated: _Rotated, codes: NDArray[np.int64]) -> tuple[float, Floats]:
        """Return the strength of least mean log loss on inner test rows, and weights there."""
        cuts = list(self.cuts or _stratified(codes))
        if len(cuts[0][1]) >= ONE_FOLD_CASES:
            cuts = cuts[:1]
        count = len(self.classes_)
        weights: dict[int, Floats] = {}
        best, falls = np.inf, 0
        chosen: tuple[float, Floats] = (0.0, np.zeros(0))
        for strength in self.strengths:
            losses = []
            for number, (train, test) in enumerate(cuts):
                fitted = _fit(rotated, train, codes, count, strength, weights.get(number))
                weights[number] = fitted
                found = _log_probabilities(rotated.x[test], fitted)
                losses.append(-found[np.arange(len(test)), codes[test]].mean())
            loss = float(np.mean(losses))
            falls = 0 if loss < best else falls + 1
            if loss < best:
                best, chosen = loss, (float(strength), weights[0])
            if falls == _FALLS:
                break
        return chosen

    def predict_proba(self, x: Any) -> Floats:
        """Return probabilities (rows, classes)."""
        weights = np.concatenate([self.coef_.T, self.intercept_[None]])
        return np.exp(_log_probabilities(np.asarray(x, dtype=np.float64), weights))

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the likeliest class of each row."""
        return np.asarray(self.classes_[self.predict_proba(x).argmax(1)])


def _rotate(x: Floats) -> _Rotated:
    """Rotate centred features; of more features than rows, to as many directions as there are
    rows, since the optimum has no weight outside their span."""
    rows, features = x.shape
    wide = features > rows
    exact = x.astype(np.float64)
    gram = exact @ exact.T if wide else exact.T @ exact
    values, vectors = np.linalg.eigh(gram / rows)
    real = values > _NULL * max(float(values[-1]), 1e-300)
    values, vectors = values[real], vectors[:, real]
    if wide:
        vectors = exact.T @ vectors / np.sqrt(values * rows)
    return _Rotated((exact @ vectors).astype(np.float32), vectors, values)


def _fit(
    rotated: _Rotated,
    rows: NDArray[np.int64],
    codes: NDArray[np.int64],
    count: int,
    strength: float,
    start: Floats | None,
) -> Floats:
    """Minimise mean log loss + |weights|^2 / (2 strength rows); the last row is the intercept."""
    from scipy.optimize import minimize

    x, logits = rotated.x[rows], 1 if count == 2 else count
    penalty = 1 / (strength * len(rows))
    even = 1 / count - 1 / count**2  # curvature of the log loss where nothing is known
    scale = 1 / np.sqrt(np.append(even * rotated.variances + penalty, even))[:, None]
    target = np.eye(count, dtype=np.float32)[codes[rows]]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(-1, logits) * scale
        found = _log_probabilities(x, weights)
        likelihood = (found * target).sum(dtype=np.float64) / len(rows)
        error = (np.exp(found) - target)[:, -logits:]
        slope = np.concatenate([x.T @ error, error.sum(0, keepdims=True)]) / len(rows)
        slope = slope.astype(np.float64)
        slope[:-1] += penalty * weights[:-1]
        total = -likelihood + 0.5 * penalty * np.square(weights[:-1]).sum()
        return float(total), (slope * scale).ravel()

    first = np.zeros((x.shape[1] + 1, logits)) if start is None else start / scale
    options = {"maxiter": _ITERATIONS, "gtol": _TOLERANCE, "ftol": _DECREASE}
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x.reshape(-1, logits) * scale)


def _log_probabilities(x: Floats, weights: Floats) -> Floats:
    """Return log probabilities (rows, classes); the first of two classes has logit 0."""
    narrow = weights.astype(x.dtype)
    logits = x @ narrow[:-1] + narrow[-1]
    if logits.shape[1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
    logits -= logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)))


def _stratified(codes: NDArray[np.int64]) -> Cuts:
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(3).split(np.zeros((len(codes), 1)), codes))
