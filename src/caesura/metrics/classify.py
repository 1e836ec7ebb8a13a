"""Scores of classifiers and regressors, and one name for the main one of each task."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Task = Literal["classification", "regression", "multilabel"]
_COUNTS_AT_ONCE = 2**22
"""Cases times resamples that are ranked together, some 100 MB."""


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


def likelihood_score(task: Task, truth: NDArray[Any], predicted: NDArray[Any]) -> float:
    """Return the mean log probability of what was true, a case or a label; R2 for regressions.

    Arguments as for `main_score`. A proper score: small differences of models show in it that
    ranks of few cases do not tell. Probabilities count as 0.001 at least: a single case far outside
    of what a linear model was fitted to would rule the mean.
    """
    if task == "regression":
        return r2(truth, predicted)
    if task == "classification":
        predicted, truth = predicted[np.arange(len(truth)), truth], np.ones(len(truth))
    right = np.where(truth > 0, predicted, 1 - predicted)
    return float(np.log(np.maximum(right, 1e-3)).mean())


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


def counted_scores(
    task: Task, truth: NDArray[Any], predicted: NDArray[Any], counts: NDArray[np.uint16]
) -> NDArray[np.float64]:
    """Return `main_score` of many resamples at once: one sort serves all of them.

    Args:
        task: What is predicted.
        truth: As in `main_score`.
        predicted: As in `main_score`.
        counts: How often each case is in each resample, (cases, draws).

    Returns:
        A score for each resample, NaN where `main_score` is.
    """
    if task == "regression":
        weight = counts.T.astype(np.float64)
        total = weight.sum(1, keepdims=True)
        mean = weight @ truth / total
        centre = truth.mean(0)  # squares about it lose no digits to a large level
        spread = weight @ np.square(truth - centre) - total * np.square(mean - centre)
        error = weight @ np.square(truth - predicted)
        return np.asarray((1 - error / np.maximum(spread, 1e-300)).mean(1))
    if task == "classification":
        truth = np.eye(predicted.shape[1])[truth]
        if predicted.shape[1] == 2:
            truth, predicted = truth[:, 1:], predicted[:, 1:]
    blocks = np.array_split(counts, max(1, counts.size // _COUNTS_AT_ONCE), axis=1)
    scores = []
    for block in blocks:
        columns = zip(truth.T, predicted.T, strict=True)
        scores.append(np.mean([_counted_auroc(t, p, block) for t, p in columns], axis=0))
    return np.concatenate(scores)


def _counted_auroc(
    positive: NDArray[Any], score: NDArray[Any], counts: NDArray[np.uint16]
) -> NDArray[np.float64]:
    """Return `auroc` of each resample, from ranks of cases that count several times."""
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)  # of equal scores
    ordered = counts[order]
    until = np.cumsum(ordered, axis=0, dtype=np.int64)
    last = np.append(first[1:], len(order)) - 1
    of_value = np.repeat(np.arange(len(first)), last - first + 1)
    real = np.flatnonzero(positive[order] > 0)
    below = until[first] - ordered[first]
    value = of_value[real]
    rank = (below[value] + until[last[value]] + 1) / 2  # the mean rank of equal scores
    hits = ordered[real].sum(0, dtype=np.int64)
    misses = until[-1] - hits
    pairs = (rank * ordered[real]).sum(0) - hits * (hits + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(hits * misses > 0, pairs / (hits * misses), np.nan))


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


def all_scores(
    task: Task, truth: NDArray[Any], predicted: NDArray[Any], weights: tuple[float, ...] = ()
) -> dict[str, float]:
    """Return the scores worth printing for a task, the main one first.

    weights: of classes, by which probabilities are multiplied before one of them is chosen.
    """
    scores = {score_name(task): main_score(task, truth, predicted)}
    if task == "classification":
        predicted = predicted * np.array(weights or 1.0)
        scores |= {"accuracy": accuracy(truth, predicted), "macro F1": macro_f1(truth, predicted)}
    return scores
