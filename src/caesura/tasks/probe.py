"""The probe: which resolution or layer of a frozen encoder knows a label, beside its controls.

HiMAE, arXiv 2510.25785, sec. 4: a linear model on each level. There the level is chosen on the
folds that score it; here by inner folds alone, and the controls are part of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.labels import Labels
from caesura.data.store import RaggedStore
from caesura.errors import DataError
from caesura.metrics.bootstrap import Interval, percentile_interval, resample_counts
from caesura.metrics.classify import counted_scores, main_score, score_name
from caesura.tasks.embed import embed
from caesura.tasks.linear import Cuts, fit_and_predict, folds, inner_scores, linear_model
from caesura.tasks.needs import Result, Trained
from caesura.tasks.probe_sources import ALL, EMBEDDING, STATISTICS, Source, Sources, probe_sources

CHOSEN, SURE, NAMED_IN = "chosen level", "level of most folds", "chosen in"
TWIN = "random twin"
_INNER = 3
_TIE = 0.005
"""Difference of two scores (AUROC, R2) that nobody would choose a level by."""


def probe(
    run: Trained,
    store: RaggedStore,
    labels: Labels,
    *,
    num_folds: int = 5,
    seed: int = 0,
    on_progress: Callable[[str], None] = lambda name: None,
    spans: Sequence[float] = (),
) -> Result:
    """Score a linear model on each level, on all together, and on their controls.

    Grouped folds; every figure is out of fold, with a bootstrap interval over groups. Beside
    each stands the same model on a randomly initialised twin. One level is named by inner
    folds of the training part alone: in each fold the finest one whose score is within a
    standard error, or 0.005, of the best (coarser levels see all that finer ones do), over all
    folds the one named most often. Its own out-of-fold score, and its paired difference to the
    next best, are reported.
    """
    labelled = store.take(labels.series)
    folds(labels, labelled.group_codes, num_folds, seed)  # too few labels: said before any work
    sources = probe_sources(run, labelled, seed, on_progress, spans)
    return probe_label(
        sources, labels, labelled.group_codes, num_folds=num_folds, seed=seed, watch=on_progress
    )


def probe_label(
    sources: Sources,
    labels: Labels,
    groups: NDArray[np.int64],
    *,
    num_folds: int = 5,
    seed: int = 0,
    watch: Callable[[str], None] = lambda name: None,
) -> Result:
    """Score embedded series against one set of labels; rows of the features are the labels'."""
    cuts = folds(labels, groups, num_folds, seed)
    plan = _Plan(cuts, _nested(labels, groups, cuts, seed))
    name = score_name(labels.target.task)
    scored: dict[str, _Scored] = {}
    for key, source in (sources.levels | sources.others).items():
        watch(key)
        level = key in sources.levels
        scored[key] = _score(source.features, labels, plan, seed, with_inner=level)
    picked = [_finest_best({k: scored[k].inner[i] for k in sources.levels})
              for i in range(len(cuts))]  # fmt: skip
    nested = np.zeros_like(next(iter(scored.values())).predicted)
    for (_, test), key in zip(cuts, picked, strict=True):
        nested[test] = scored[key].predicted[test]
    pooled = {k: np.concatenate(scored[k].inner) for k in sources.levels}
    chosen = max(sources.levels, key=picked.count)  # of equally frequent ones the finest
    resampled = Resampled(labels, groups)
    rows, twins = [], {}
    for key, source in (sources.levels | sources.others).items():
        interval = resampled.score(scored[key].predicted)
        row = _named(key, source, sources) | {name: interval, TWIN: ""}
        if source.twin is not None:
            watch(f"{key}, {TWIN}")
            twins[key] = _score(source.twin, labels, plan, seed).predicted
            row[TWIN] = resampled.score(twins[key])
        rows.append(row)
    times = f"{picked.count(chosen)} of {len(cuts)} folds"
    title = f"{CHOSEN} ({chosen} in {times})"
    own = {name: resampled.score(nested), TWIN: ""}
    rows.append(_named(title, sources.levels[chosen], sources) | own)
    compared = _comparisons(sources, scored, twins, pooled, chosen)
    differences = [
        {"comparison": f"{a} - {b}", name: resampled.difference(ours, theirs)}
        for a, b, ours, theirs in compared
    ]
    metrics = {row["features"]: row[name].value for row in rows[:-1]} | {
        CHOSEN: rows[-1][name].value
    }
    names = {CHOSEN: chosen, NAMED_IN: times}
    if 2 * picked.count(chosen) > len(cuts):
        names[SURE] = chosen
    return Result(metrics, {"probe": rows, "differences": differences}, names)


def _comparisons(
    sources: Sources,
    scored: dict[str, _Scored],
    twins: dict[str, NDArray[np.float64]],
    inner: dict[str, NDArray[np.float64]],
    chosen: str,
) -> list[tuple[str, str, NDArray[np.float64], NDArray[np.float64]]]:
    """Return what is compared in pairs: names, and the predictions of both."""
    main = EMBEDDING if EMBEDDING in sources.others else ALL
    best = scored[main].predicted
    found = [
        (main, TWIN, best, twins[main]),
        (main, STATISTICS, best, scored[STATISTICS].predicted),
    ]
    rest = [k for k in inner if k != chosen]
    if rest:
        following = max(rest, key=lambda k: float(inner[k].mean()))
        pair = (scored[chosen].predicted, scored[following].predicted)
        found.append((f"{chosen} (chosen)", f"{following} (next best)", *pair))
        found.append((main, chosen, best, scored[chosen].predicted))
    return found


@dataclass(frozen=True)
class _Scored:
    """Out-of-fold predictions, and inner scores of each outer fold."""

    predicted: NDArray[np.float64]
    inner: list[NDArray[np.float64]] = field(default_factory=list)


class _Plan(NamedTuple):
    """Outer folds, and the inner folds of each training part, the same for all features."""

    cuts: Cuts
    nested: list[Cuts]


def _nested(labels: Labels, groups: NDArray[np.int64], cuts: Cuts, seed: int) -> list[Cuts]:
    parts = (Labels(labels.series[one], labels.values[one], labels.target) for one, _ in cuts)
    return [
        inner_folds(part, groups[train], seed) for part, (train, _) in zip(parts, cuts, strict=True)
    ]


def _score(
    x: NDArray[Any], labels: Labels, plan: _Plan, seed: int, *, with_inner: bool = False
) -> _Scored:
    task, classes = labels.target.task, len(labels.target.classes)
    y = _plain(labels)
    width = classes if task != "regression" else labels.values.shape[1]
    predicted = np.zeros((len(y), width))
    inner = []
    for (train, test), nested in zip(*plan, strict=True):
        model = linear_model(task, seed, nested)
        predicted[test] = fit_and_predict(model, task, x[train], y[train], x[test], classes)
        if with_inner:
            inner.append(inner_scores(model, task, x[train], y[train], nested, classes))
    return _Scored(predicted, inner)


def inner_folds(part: Labels, groups: NDArray[np.int64], seed: int) -> Cuts:
    """Return three grouped folds of a training part, or of its series where groups are few.

    Classes that the part does not have are left out of account.
    """
    if part.target.task != "classification":
        few = len(np.unique(groups)) < _INNER
        return folds(part, np.arange(len(groups)) if few else groups, _INNER, seed)
    present, values = np.unique(part.values, return_inverse=True)
    names = tuple(part.target.classes[i] for i in present)
    own = Labels(part.series, values, part.target.model_copy(update={"classes": names}))
    try:
        found = folds(own, groups, _INNER, seed)
        everything = set(range(len(present)))
        whole = all(
            set(values[train]) == everything and set(values[test]) == everything
            for train, test in found
        )
    except DataError:  # a class or the groups are too few to share out by group
        whole = False
    return found if whole else folds(own, np.arange(len(values)), _INNER, seed)


def _finest_best(inner: dict[str, NDArray[np.float64]]) -> str:
    """Return the finest level within a standard error of the best, by paired inner scores."""
    best = max(inner, key=lambda k: float(np.nanmean(inner[k])))
    for name, scores in inner.items():
        gap = inner[best] - scores
        gap = gap[np.isfinite(gap)]
        error = float(gap.std(ddof=1) / np.sqrt(len(gap))) if len(gap) > 1 else 0.0
        if name == best or float(gap.mean()) <= max(error, _TIE):
            return name
    return best


def _named(name: str, source: Source, sources: Sources) -> dict[str, Any]:
    """Return the head of a row: a name, and the times of its level where levels have some."""
    row: dict[str, Any] = {"features": name}
    if all(one.reach is None for one in sources.levels.values()):
        return row
    for key, time in (("hop", source.hop), ("sees", source.reach)):
        row[f"{key} {sources.unit}".rstrip()] = float("nan") if time is None else time
    return row


def out_of_fold(
    x: NDArray[Any], labels: Labels, groups: NDArray[np.int64], cuts: Cuts, seed: int
) -> NDArray[np.float64]:
    """Return the prediction of each case by the model that did not see its fold."""
    return _score(x, labels, _Plan(cuts, _nested(labels, groups, cuts, seed)), seed).predicted


def _plain(labels: Labels) -> NDArray[Any]:
    single = labels.values.shape[1:] == (1,)
    return labels.values.ravel() if single else labels.values


class Resampled:
    """Main scores of predictions on the same resamples of whole groups, each scored once."""

    def __init__(self, labels: Labels, groups: NDArray[np.int64]) -> None:
        self.labels, self.groups = labels, groups
        self.counts = resample_counts(groups)
        self._found: list[tuple[NDArray[Any], float, NDArray[np.float64]]] = []

    def score(self, predicted: NDArray[Any]) -> Interval:
        """Return the main score with its interval over groups."""
        return percentile_interval(*self._scores(predicted))

    def difference(self, ours: NDArray[Any], theirs: NDArray[Any]) -> Interval:
        """Return the paired difference of the main score, with its interval over groups."""
        (first, one), (second, other) = self._scores(ours), self._scores(theirs)
        return percentile_interval(first - second, one - other)

    def _scores(self, predicted: NDArray[Any]) -> tuple[float, NDArray[np.float64]]:
        """Return the score of all cases and of each resample."""
        for known, value, resampled in self._found:
            if known is predicted:
                return value, resampled
        task, truth = self.labels.target.task, self.labels.values
        value = main_score(task, truth, predicted)
        resampled = counted_scores(task, truth, predicted, self.counts)
        self._found.append((predicted, value, resampled))
        return value, resampled


def difference(
    labels: Labels, groups: NDArray[np.int64], ours: NDArray[Any], theirs: NDArray[Any]
) -> Interval:
    """Return the paired difference of the main score, with its interval over groups."""
    return Resampled(labels, groups).difference(ours, theirs)


def scored_interval(labels: Labels, groups: NDArray[np.int64], predicted: NDArray[Any]) -> Interval:
    """Return the main score with its interval over groups."""
    return Resampled(labels, groups).score(predicted)


@dataclass(frozen=True)
class QuickProbe:
    """A probe of the embedding on a few labelled series, to be repeated during a training."""

    labelled: RaggedStore
    labels: Labels
    cuts: Cuts

    @classmethod
    def of(cls, store: RaggedStore, labels: Labels, most: int = 500) -> QuickProbe:
        """Choose at most `most` series and three folds; too few of a class is a DataError."""
        rng = np.random.default_rng(0)
        chosen = np.sort(rng.permutation(len(labels.series))[:most])
        part = Labels(labels.series[chosen], labels.values[chosen], labels.target)
        labelled = store.take(part.series)
        return cls(labelled, part, folds(part, labelled.group_codes, 3, 0))

    def __call__(self, run: Trained) -> dict[str, float]:
        """Return the main score by its name."""
        groups = self.labelled.group_codes
        predicted = out_of_fold(embed(run, self.labelled), self.labels, groups, self.cuts, 0)
        task = self.labels.target.task
        return {score_name(task): main_score(task, self.labels.values, predicted)}
