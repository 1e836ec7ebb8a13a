"""Anomaly scores of time stamps, by the detector that normal data support best, and p-values.

Candidates are how far what this run's encoder says of a place is from what it says of normal ones,
and detectors that read samples alone (`tasks.detectors`). Which is taken, thresholds and p-values
come from normal data, each part scored by a fit to the others; never from what is scored.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.store import RaggedStore
from caesura.errors import DataError, RecipeError
from caesura.metrics.detect import Null, all_detection_scores
from caesura.tasks.cross_fit import FOLDS, CrossFitted, cross_fitted, folds_of
from caesura.tasks.detector_table import (
    CONTROLS,
    RUN,
    SHAPES,
    TWIN,
    Windows,
    detectors_of,
    windows_for,
)
from caesura.tasks.detectors import Detector, State
from caesura.tasks.forecast import bridged_series, regular_view
from caesura.tasks.needs import Trained

log = logging.getLogger("caesura")

Floats = NDArray[np.floating[Any]]

AUTO = "auto"
MAX_NORMAL_STEPS = 200_000
"""Steps of normal data that are read; of more, pieces evenly spaced in time."""
PIECE_WINDOWS = 20
DIFFERENT = 0.05
"""Median p-value from which on it is said that what is scored is not like the normal data."""


@dataclass(frozen=True)
class DetectSettings:
    """How time stamps are scored.

    Args:
        by: a detector's name, in any case and with hyphens for blanks; "auto": the one that
            cross-fitted normal data support best.
        seed: of the anomalies that are put into normal data, and of what is drawn to compare.
    """

    by: str = AUTO
    seed: int = 0


@dataclass(frozen=True)
class Normality:
    """What was learned of normal data.

    Args:
        by: name of the detector that scores.
        state: what it was fitted to be, to all normal data.
        null: what normal data score that it was not fitted to.
        windows: steps that detectors see together.
        seed: of what the detectors draw.
        table: a row for each detector that was tried, with its support.
        crossed: the same with what each scores on held-out normal data; not kept in a file.
    """

    by: str
    state: State
    null: Null
    windows: Windows
    seed: int = 0
    table: list[dict[str, Any]] = field(default_factory=list)
    crossed: Mapping[str, CrossFitted] = field(default_factory=dict)


@dataclass(frozen=True)
class Detected:
    """Scores and p-values of the time stamps of each series, NaN of a series that is too short.

    normality: what was learned of normal data.
    """

    score: list[Floats]
    p_value: list[Floats]
    normality: Normality

    @property
    def by(self) -> str:
        """Return the name of the detector."""
        return self.normality.by

    @property
    def table(self) -> list[dict[str, Any]]:
        """Return a row for each detector that was tried, the best supported first."""
        return self.normality.table

    @property
    def calibration(self) -> Floats:
        """Return the scores of normal time stamps that were held out."""
        return self.normality.null.score

    @property
    def least(self) -> float:
        """Return the least p-value there can be."""
        return self.normality.null.least


_DEFAULT = DetectSettings()


def detect(
    run: Trained, store: RaggedStore, normal: RaggedStore, settings: DetectSettings = _DEFAULT
) -> Detected:
    """Score every time stamp of a store against normal data; higher is further from normal.

    See `learn_normal` for how the detector is chosen, `metrics.detect.Null` for what p-values
    promise.
    """
    return detect_with(run, store, learn_normal(run, normal, settings))


def learn_normal(
    run: Trained, normal: RaggedStore, settings: DetectSettings = _DEFAULT
) -> Normality:
    """Choose a detector by normal data alone and fit it to all of them.

    Each is fitted to parts of the normal data and scores the part that was held out, as it is and
    with anomalies put there; the highest mean average precision (`support`) is chosen. Controls,
    as the run's random-init twin, are taken only by name. Where no part can be held out, the first
    detector that can be fitted is taken and every p-value is 1, which is said.
    """
    view = regular_view(run, normal)
    series = limited(bridged_series(view), view.window)
    windows = windows_for(series, view.window, FOLDS)
    detectors = detectors_of(run, windows, len(series[0]), settings.seed)
    by = "" if settings.by == AUTO else named(settings.by, list(detectors))
    tried = [detectors[by]] if by else list(detectors.values())
    crossed = cross_fits(tried, series, windows, settings.seed)
    by = (
        by
        or best_supported(crossed, len(series[0]))
        or first_that_fits([detectors["KNN"], *tried], series)
    )
    usable = pieces_of(detectors[by], series)
    if not usable:
        raise DataError(
            f"{by} sees {detectors[by].window} steps together, the longest normal series has "
            f"{max(one.shape[1] for one in series)}; give longer normal data, or another detector"
        )
    if not len(crossed[by].null.score):
        log.warning(
            "the normal data are too short to hold out a part that %s was not fitted to: every "
            "p-value is 1, scores order time stamps all the same",
            by,
        )
    state = detectors[by].fit(usable)
    table = support_table(crossed, by)
    return Normality(
        by, state, crossed[by].null, windows, seed=settings.seed, table=table, crossed=crossed
    )


def limited(series: list[Floats], window: int) -> list[Floats]:
    """Return the series, of more than MAX_NORMAL_STEPS pieces that are evenly spaced in time."""
    total = sum(one.shape[1] for one in series)
    if total <= MAX_NORMAL_STEPS:
        return series
    size = PIECE_WINDOWS * window
    pieces = [
        one[:, start : start + size]
        for one in series
        for start in range(0, max(one.shape[1] - window, 0) + 1, size)
    ]
    count = max(1, min(len(pieces), MAX_NORMAL_STEPS // size))
    log.info("%d of %d pieces of the normal data are read, evenly spaced", count, len(pieces))
    return [pieces[int(k)] for k in np.linspace(0, len(pieces) - 1, count)]


def named(name: str, known: Sequence[str]) -> str:
    """Return a detector's name in any case, blanks for hyphens; another is a RecipeError."""
    plain = name.strip().lower().replace(" ", "-").replace("_", "-")
    for one in known:
        if one.lower() == plain:
            return one
    raise RecipeError(f"unknown detector {name!r}; known: {AUTO}, {', '.join(known)}")


def pieces_of(detector: Detector, series: Sequence[Floats]) -> list[Floats]:
    """Return the series that are as long as a detector's window."""
    return [one for one in series if one.shape[1] >= detector.window]


def first_that_fits(detectors: Sequence[Detector], series: Sequence[Floats]) -> str:
    """Return the name of the first detector whose window some series have, else of the first."""
    fitting = [one.name for one in detectors if pieces_of(one, series)]
    return (fitting or [detectors[0].name])[0]


def cross_fits(
    detectors: Sequence[Detector], series: Sequence[Floats], windows: Windows, seed: int
) -> dict[str, CrossFitted]:
    """Return what each detector scores on normal data that it was not fitted to."""
    folds = folds_of(series, 2 * windows.others)
    return {one.name: cross_fitted(one, folds, windows.others, seed) for one in detectors}


def best_supported(crossed: Mapping[str, CrossFitted], channels: int) -> str:
    """Return the name of the detector, no control, with the highest support; "" where none has
    any.

    The run's own counts where its support is above that of its random twin: else pre-training
    has no part in it.
    """
    support = {name: one.support for name, one in crossed.items() if np.isfinite(one.support)}
    left_out = {*CONTROLS, *(SHAPES if channels > 1 else ())}
    if support.get(RUN, -1.0) <= support.get(TWIN, -1.0):
        left_out.add(RUN)
    eligible = [name for name in support if name not in left_out]
    return max(eligible, key=lambda name: support[name]) if eligible else ""


def support_table(crossed: Mapping[str, CrossFitted], by: str) -> list[dict[str, Any]]:
    """Return a row for each detector, the best supported first: its support, by kind of anomaly
    too, and the least p-value it can give."""
    rows = [
        {"detector": name, "written": "yes" if name == by else "", "support": one.support}
        | {"least p": one.null.least}
        | dict(one.by_kind)
        for name, one in crossed.items()
    ]
    return sorted(rows, key=lambda row: -np.nan_to_num(row["support"], nan=-1.0))


def detect_with(run: Trained, store: RaggedStore, normality: Normality) -> Detected:
    """Score every time stamp of a store by what the same run learned of normal data.

    A series that is shorter than the detector's window has NaN, which is said.
    """
    view, by = regular_view(run, store), normality.by
    series = bridged_series(view)
    detector = detectors_of(run, normality.windows, len(series[0]), normality.seed)[by]
    score = scores_of(detector, normality.state, series)
    short = [k for k, one in enumerate(series) if one.shape[1] < detector.window]
    if short:
        log.warning(
            "%d of %d series have no score, first %r: shorter than the %d steps that %s sees "
            "together",
            len(short),
            len(series),
            store.ids[short[0]].as_py(),
            detector.window,
            by,
        )
    p_value = [normality.null.p_values(one) for one in score]
    every = np.concatenate(p_value)
    usual = float(np.median(np.append(every[np.isfinite(every)], 1.0)))
    if usual <= max(DIFFERENT, normality.null.least) < 1:
        log.warning(
            "half of the time stamps have p-values of %.2g or less: what is scored differs from "
            "the normal data as a whole, so that p-values promise nothing; the order of the scores "
            "stays, or give normal data of the same state",
            usual,
        )
    return Detected(score, p_value, normality)


def scores_of(detector: Detector, state: State, series: Sequence[Floats]) -> list[Floats]:
    """Return the scores of each series, NaN of one that is shorter than the window."""
    return [
        detector.score(state, one)
        if one.shape[1] >= detector.window
        else np.full(one.shape[1], np.nan)
        for one in series
    ]


def compare_detectors(
    run: Trained,
    store: RaggedStore,
    normal: RaggedStore,
    truth: Sequence[NDArray[np.bool_]],
    detected: Detected,
) -> list[dict[str, Any]]:
    """Score every detector, and uniform noise, against labels.

    truth: for each series, which time stamps are anomalous; series without an anomaly, or too
    short for a detector, are left out. Scores with a threshold take it from normal data that were
    not fitted: one per cent of those exceed it. Rows come with their support, where it is known.
    """
    view = regular_view(run, normal)
    series = limited(bridged_series(view), view.window)
    windows, seed = detected.normality.windows, detected.normality.seed
    detectors = detectors_of(run, windows, len(series[0]), seed)
    crossed = dict(detected.normality.crossed)
    missing = [one for name, one in detectors.items() if name not in crossed]
    crossed |= cross_fits(missing, series, windows, seed)
    later = bridged_series(regular_view(run, store))
    rows = []
    for name, detector in detectors.items():
        usable = pieces_of(detector, series)
        if not usable or not len(crossed[name].null.score):
            continue
        scores = scores_of(detector, detector.fit(usable), later)
        rows.append(_scored(name, scores, truth, crossed[name].null.score))
    rng = np.random.default_rng(seed)
    noise = [rng.random(len(labels)) for labels in truth]
    rows.append(_scored("uniform noise", noise, truth, rng.random(10_000)))
    support = {row["detector"]: row for row in support_table(crossed, detected.by)}
    none = {"written": "", "support": float("nan")}
    return [
        {"detector": row["detector"]}
        | {key: support.get(row["detector"], none)[key] for key in none}
        | row
        for row in sorted(rows, key=lambda row: -row["VUS-PR"])
    ]


def _scored(
    name: str, scores: Sequence[Floats], truth: Sequence[NDArray[np.bool_]], normal: Floats
) -> dict[str, Any]:
    """Return the mean over series with an anomaly of all scores."""
    each = [
        all_detection_scores(labels, one, normal)
        for labels, one in zip(truth, scores, strict=True)
        if labels.any() and not np.isnan(one).any()
    ]
    means = {key: float(np.mean([one[key] for one in each])) for key in each[0]} if each else {}
    return {"detector": name} | means
