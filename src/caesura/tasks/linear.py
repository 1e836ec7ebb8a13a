"""The linear models of probes and controls, from scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.labels import OTHER, Labels
from caesura.errors import DataError
from caesura.metrics.classify import Task, main_score

STRENGTHS = np.logspace(-4, 1, 6)
"""Regularisation strengths to choose from by inner folds: C of the logistic regression."""
_UNSEEN = 10.0
"""Logits by which a class without training cases is below the others."""
Score = Callable[[Task, NDArray[Any], NDArray[Any]], float]
Cuts = list[tuple[NDArray[np.int64], NDArray[np.int64]]]
"""(train, test) case numbers of folds."""


def linear_model(task: Task, seed: int, cuts: Cuts | None = None, *, scaled: bool = False) -> Any:
    """Return impute-by-median, standardise, and a linear model with strength by inner folds.

    cuts: those folds, where groups must not be cut; else three, and single cases for a ridge.
    scaled: inputs have a scale of their own already, and are centred alone.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import RidgeCV
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from caesura.tasks.logistic import FoldedLogistic

    final: Any
    if task == "regression":
        final = RidgeCV(alphas=np.logspace(-2, 5, 15), cv=cuts)
    else:
        final = FoldedLogistic(tuple(STRENGTHS), cuts)
        if task == "multilabel":
            final = MultiOutputClassifier(final)
    return make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(with_std=not scaled), final
    )


def fit_and_predict(
    model: Any, task: Task, x: NDArray[Any], y: NDArray[Any], x_new: NDArray[Any], classes: int
) -> NDArray[np.float64]:
    """Fit and return probabilities (cases, classes or labels) or values (cases, targets)."""
    model.fit(x, y)
    if task == "regression":
        return np.asarray(model.predict(x_new)).reshape(len(x_new), -1)
    found = model.predict_proba(x_new)
    if task == "multilabel":
        return np.stack([one[:, -1] for one in found], axis=1)
    full = np.zeros((len(x_new), classes))
    full[:, model.classes_] = found  # a fold may lack a class
    return full


def linear_map(
    fitted: Any, task: Task, classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight (outputs, features) and bias of a fitted model, its scaling folded in.

    Outputs are logits of classes or labels, or values; a class that the fit did not see is
    below all others.
    """
    scaler, final = fitted[-2], fitted[-1]
    estimators = final.estimators_ if task == "multilabel" else [final]
    weight = np.concatenate([np.atleast_2d(one.coef_) for one in estimators])
    bias = np.concatenate([np.atleast_1d(one.intercept_) for one in estimators])
    if task == "classification":
        if len(weight) == 1:  # two classes share one logit
            weight, bias = np.stack([0 * weight[0], weight[0]]), np.array([0.0, bias[0]])
        full = np.zeros((classes, weight.shape[1]))
        offsets = np.full(classes, bias.min() - _UNSEEN)
        full[final.classes_], offsets[final.classes_] = weight, bias
        weight, bias = full, offsets
    if scaler.scale_ is not None:
        weight = weight / scaler.scale_
    return weight, bias - weight @ scaler.mean_


def inner_scores(
    fitted: Any,
    task: Task,
    x: NDArray[Any],
    y: NDArray[Any],
    cuts: Cuts,
    classes: int,
    score: Score = main_score,
) -> NDArray[np.float64]:
    """Return the score of each inner fold, at the strength that a fitted model chose.

    x, y: the rows the model was fitted to, of which `cuts` are (train, test) numbers.
    """
    found = []
    for train, test in cuts:
        model = at_strength(fitted, task)
        predicted = fit_and_predict(model, task, x[train], y[train], x[test], classes)
        truth = y[test].reshape(len(test), -1) if task == "regression" else y[test]
        found.append(score(task, truth, predicted))
    return np.array(found)


def at_strength(fitted: Any, task: Task) -> Any:
    """Return the same model, unfitted, with the strength that was chosen as its only one."""
    from sklearn.base import clone
    from sklearn.linear_model import Ridge
    from sklearn.multioutput import MultiOutputClassifier

    from caesura.tasks.logistic import FoldedLogistic

    steps = [clone(step) for _, step in fitted.steps[:-1]]
    final = fitted[-1]
    if task == "regression":
        last: Any = Ridge(alpha=final.alpha_)
    elif task == "multilabel":
        middle = float(np.median([one.C_[0] for one in final.estimators_]))
        last = MultiOutputClassifier(FoldedLogistic((middle,)))
    else:  # its inner part is fitted from where the whole one ended
        start = (final.coef_, final.intercept_)
        last = FoldedLogistic((float(final.C_[0]),), start=start)
    return type(fitted)([(str(i), step) for i, step in enumerate([*steps, last])])


def folds(labels: Labels, groups: NDArray[np.int64], count: int, seed: int) -> Cuts:
    """Return (train, test) case numbers of grouped folds, stratified where there are classes.

    Too few cases or groups, or a class with fewer members than folds, is a DataError.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    cases = len(labels.series)
    distinct = len(np.unique(groups))
    if distinct < count:
        raise DataError(
            f"{cases} labelled series in {distinct} groups; {count} folds need at least "
            f"{count} groups. Give more labels or --folds {max(distinct, 2)}"
        )
    zeros = np.zeros((cases, 1))
    if labels.target.task != "classification":
        splitter = GroupKFold(count, shuffle=True, random_state=seed)
        return list(splitter.split(zeros, None, groups))
    smallest = int(np.bincount(labels.values).min())
    if smallest < count:
        name = labels.target.classes[int(np.bincount(labels.values).argmin())]
        raise DataError(
            f"class {name!r} has {smallest} labelled series; {count} folds need at least "
            f"{count} of each. Pass --rare drop"
            + ("" if name == OTHER else " or --rare other")
            + (f", or --folds {smallest}" if smallest > 1 else "")
        )
    stratified = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    return list(stratified.split(zeros, labels.values, groups))
