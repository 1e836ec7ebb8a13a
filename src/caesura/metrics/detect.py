"""Scores of anomaly detection, by threshold and without one.

VUS-PR is the first to look at (TSB-AD, Liu and Paparrizos 2024). Point-adjusted F1 calls
uniform noise a good detector (Kim et al. 2022): it is here to be shown beside that of noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


def events(labels: Bools) -> NDArray[np.int64]:
    """Return (start, stop) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def auc_pr(labels: Bools, scores: Floats) -> float:
    """Return the average precision over single points."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def vus_pr(labels: Bools, scores: Floats, most: int = 100, steps: int = 11) -> float:
    """Return the volume under the precision-recall surface over buffers of 0 to `most` points.

    Paparrizos et al. 2022, VLDB 15, sec. 4: labels rise towards an event as sqrt(1 - d / l);
    recall counts an event only where a part of it is found. Here the buffers are `steps` ones,
    evenly spaced, instead of all, and every score is a threshold.
    """
    found = events(labels)
    if not len(found):
        raise ValueError("no anomaly is labelled; VUS-PR is not defined")
    widths = np.unique(np.linspace(0, most, steps).round().astype(int))
    return float(np.mean([_range_auc_pr(labels, scores, found, int(w)) for w in widths]))


def soft_labels(labels: Bools, found: NDArray[np.int64], width: int) -> Floats:
    """Return labels that rise to 1 over `width` points before an event and fall after it."""
    soft = labels.astype(np.float64)
    half = width // 2
    for start, stop in found:
        for side in (-1, 1):
            edge = start if side < 0 else stop - 1
            for d in range(1, half + 1):
                place = edge + side * d
                if 0 <= place < len(soft):
                    soft[place] = max(soft[place], np.sqrt(1 - d / max(width, 1)))
    return soft


def _range_auc_pr(labels: Bools, scores: Floats, found: NDArray[np.int64], width: int) -> float:
    """Area under precision over recall x share of events found, every score a threshold."""
    soft = soft_labels(labels, found, width)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.concatenate([np.flatnonzero(np.diff(ordered)), [len(ordered) - 1]])  # of equal ones
    hits = np.cumsum(soft[order])[last]
    flagged = last + 1
    positives = (labels.sum() + soft.sum()) / 2
    spans = events(soft > 0)
    peaks = np.sort([-scores[start:stop].max() for start, stop in spans])
    caught = np.searchsorted(peaks, -ordered[last], side="right") / len(peaks)
    recall = np.minimum(hits / positives, 1) * caught
    precision = hits / flagged
    width_of = np.diff(np.concatenate([[0.0], recall]))
    return float((width_of * precision).sum())


def f1(precision: float, recall: float) -> float:
    """Return the harmonic mean, 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def point_f1(labels: Bools, flagged: Bools) -> float:
    """Return F1 over single points."""
    hits = float((labels & flagged).sum())
    return f1(hits / max(flagged.sum(), 1), hits / max(labels.sum(), 1))


def point_adjusted(labels: Bools, flagged: Bools) -> Bools:
    """Return flags in which one flag within an event flags all of it (Xu et al. 2018)."""
    adjusted = flagged.copy()
    for start, stop in events(labels):
        if flagged[start:stop].any():
            adjusted[start:stop] = True
    return adjusted


def range_f1(labels: Bools, flagged: Bools) -> float:
    """Return F1 over ranges (Tatbul et al. 2018, flat bias, no existence reward).

    Each range counts by the share of it that is covered, over the number of ranges it touches.
    """
    real, said = events(labels), events(flagged)
    return f1(_covered(said, real, labels), _covered(real, said, flagged))


def _covered(of: NDArray[np.int64], by: NDArray[np.int64], marks: Bools) -> float:
    if not len(of):
        return 0.0
    total = 0.0
    for start, stop in of:
        touching = int(((by[:, 0] < stop) & (by[:, 1] > start)).sum())
        if touching:
            total += float(marks[start:stop].mean()) / touching
    return total / len(of)


def affiliation_f1(labels: Bools, flagged: Bools) -> float:
    """Return F1 of affiliation precision and recall (Huet, Navarro and Rossi 2022, KDD).

    Each event rules the points nearer to it than to others. Precision: how likely a random
    point there would be farther from the event than a flagged one; recall: how likely a random
    flag would be farther from a point of the event than the nearest flag. Random flags reach
    high values: see them beside those of noise.
    """
    found = events(labels)
    if not len(found) or not flagged.any():
        return 0.0
    place = np.arange(len(labels))
    bounds = np.concatenate([[0], (found[:-1, 1] + found[1:, 0]) // 2, [len(labels)]])
    precisions, recalls = [], []
    for (start, stop), low, high in zip(found, bounds[:-1], bounds[1:], strict=True):
        zone = place[low:high]
        distance = np.maximum(np.maximum(start - zone, zone - (stop - 1)), 0)
        own = zone[flagged[low:high]]
        if not len(own):
            recalls.append(0.0)
            continue
        # ties (distance 0 in the event) count in favour, as in the continuous form
        far = np.sort(distance)
        at = distance[own - low]
        precisions.append(float((1 - np.searchsorted(far, at, side="left") / len(far)).mean()))
        inside = np.arange(start, stop)
        nearest = np.abs(inside[:, None] - own[None, :]).min(1)
        within = np.minimum(inside + nearest, high - 1) - np.maximum(inside - nearest, low) + 1
        closer = np.where(nearest > 0, within - 1, 0)
        recalls.append(float((1 - closer / len(zone)).mean()))
    precision = float(np.mean(precisions)) if precisions else 0.0
    return f1(precision, float(np.mean(recalls)))


def threshold_of(training: Floats, share: float) -> float:
    """Return the score that a share of the training points exceeds; test scores play no part."""
    return float(np.quantile(training, 1 - share))


def p_values(calibration: Floats, scores: Floats) -> Floats:
    """Return the share of normal scores at least as high, (1 + count) / (1 + number).

    Conformal: where normal and new points are exchangeable, P(p <= a) <= a.
    """
    ordered = np.sort(calibration)
    above = len(ordered) - np.searchsorted(ordered, scores, side="left")
    return np.asarray((1 + above) / (1 + len(ordered)))


TAIL = 0.95
"""Quantile whose exceedances say how many scores in a row depend on one another."""
DEPENDENT = 0.05
"""Autocorrelation from which on scores count as independent."""


def independent_count(scores: Floats, tail: float) -> float:
    """Return to how many independent ones scores in order of time are equal.

    Their number over the integrated autocorrelation time of being above the `tail` score: scores
    of windows that overlap, or of a state that lasts, come in clusters.
    """
    above = (scores >= tail).astype(np.float64)
    above -= above.mean()
    size = float(above @ above)
    if size <= 0:
        return 1.0
    spectrum = np.abs(np.fft.rfft(above, 2 * len(above))) ** 2
    lags = np.fft.irfft(spectrum)[1 : len(above) // 2] / size
    ends = np.flatnonzero(lags < DEPENDENT)
    lasting = lags[: ends[0]] if len(ends) else lags
    return max(len(above) / (1 + 2 * float(lasting.sum())), 1.0)


@dataclass(frozen=True)
class Null:
    """What normal time stamps score that a detector was not fitted to.

    score: in ascending order. p_value: of a new score that exceeds the first k of them, k from
    none to all; never rising.
    """

    score: Floats
    p_value: Floats

    @classmethod
    def of(cls, folds: Sequence[Floats]) -> Null:
        """Join the scores of folds, each of what the others were fitted to, in order of time.

        The share above a score is that of the fold where it is highest: as one part of the normal
        data differs from the others, so may what is new. Scores come in clusters, so B independent
        ones promise no p-value below 1 / (1 + B).
        """
        score = np.sort(np.concatenate([*folds, np.zeros(0)]))
        if not len(score):
            return cls(score, np.ones(1))
        tail = float(np.quantile(score, TAIL))
        count = sum(independent_count(one, tail) for one in folds)
        below = [np.searchsorted(np.sort(one), score, side="left") / len(one) for one in folds]
        share = np.append(1 - np.min(below, axis=0), 0.0)
        return cls(score, np.asarray((1 + count * share) / (1 + count)))

    def p_values(self, scores: Floats) -> Floats:
        """Return the p-value of each score, NaN of NaN."""
        exceeded = np.searchsorted(self.score, scores, side="left")
        return np.where(np.isnan(scores), np.nan, self.p_value[exceeded])

    @property
    def least(self) -> float:
        """Return the least p-value there can be."""
        return float(self.p_value[-1])

    def threshold(self, p_value: float) -> float:
        """Return the score above which p-values are at most `p_value`, or the least there is;
        infinity where there are no normal scores."""
        if not len(self.score):
            return np.inf
        rank = int(np.argmax(self.p_value <= max(p_value, self.least)))
        return float(self.score[rank - 1]) if rank else -np.inf


def all_detection_scores(
    labels: Bools, scores: Floats, training: Floats, share: float = 0.01, most: int = 100
) -> dict[str, float]:
    """Return all scores; those with a threshold take it from the training scores alone."""
    flagged = scores > threshold_of(training, share)
    return {
        "VUS-PR": vus_pr(labels, scores, most),
        "AUC-PR": auc_pr(labels, scores),
        "affiliation F1": affiliation_f1(labels, flagged),
        "range F1": range_f1(labels, flagged),
        "point-adjusted F1": point_f1(labels, point_adjusted(labels, flagged)),
    }
