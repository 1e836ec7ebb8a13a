"""Scores of classifiers and regressors, and one name for the main one of each task."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["classification", "regression", "multilabel"]


def main_score(task: Task, truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return AUROC for classes (one against rest, macro), R2 for regressions.

    truth: class numbers (cases,), 0/1 (cases, labels) or values (cases, targets).
    predicted: probabilities (cases, classes or labels), or values. NaN where a resample
    holds one class only.
    """
    if task == "regression":
        return r2(truth, predicted)
    if task == "classification":
        truth = np.eye(predicted.shape[1])[truth]
        if predicted.shape[1] == 2:
            truth, predicted = truth[:, 1:], predicted[:, 1:]
    return float(np.mean([auroc(t, p) for t, p in zip(truth.T, predicted.T, strict=True)]))


def score_name(task: Task) -> str:
    """Return the name of `main_score` for a task."""
    return "R2" if task == "regression" else "AUROC"


def auroc(positive: NDArray[Any], score: NDArray[Any]) -> float:
    """Return the share of (positive, negative) pairs ranked rightly, ties half; NaN if none."""
    from scipy.stats import rankdata

    real = positive > 0
    hits, misses = int(real.sum()), int((~real).sum())
    if not hits or not misses:
        return float("nan")
    ranks = rankdata(score)
    return float((ranks[real].sum() - hits * (hits + 1) / 2) / (hits * misses))


def r2(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return 1 - squared error / variance, the mean over targets."""
    error = np.square(truth - predicted).sum(0)
    spread = np.square(truth - truth.mean(0)).sum(0)
    return float(np.mean(1 - error / np.maximum(spread, 1e-300)))


def accuracy(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the share of cases whose largest probability is the true class."""
    return float((predicted.argmax(1) == truth).mean())


def macro_f1(truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the mean over classes of F1 at the largest probability."""
    from sklearn.metrics import f1_score

    return float(f1_score(truth, predicted.argmax(1), average="macro", zero_division=0))


def all_scores(task: Task, truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """Return the scores worth printing for a task, the main one first."""
    scores = {score_name(task): main_score(task, truth, predicted)}
    if task == "classification":
        scores |= {"accuracy": accuracy(truth, predicted), "macro F1": macro_f1(truth, predicted)}
    return scores
