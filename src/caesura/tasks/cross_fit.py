"""How well detectors are supported by normal data alone, each part scored by a fit to the others.

Without a label there are two things to see: what held-out normal time stamps score, and how far
above them anomalies stand that were put there (`tasks.perturb`). A detector whose level differs
from one part of the normal data to the next loses by it, as would its alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.detect import Null
from caesura.tasks.detectors import Detector, normal_scale
from caesura.tasks.perturb import KINDS, perturbed

Floats = NDArray[np.floating[Any]]

FOLDS = 5
COPIES = 2
"""Times that anomalies are put into the held-out series."""
SHARE = 0.1
"""Share of time stamps that are taken to be anomalous where precision is computed."""
STAMPS = 16
"""Time stamps of an anomaly, and `NORMAL_STAMPS` of normal data, that a ranking counts."""
NORMAL_STAMPS = 4000


@dataclass(frozen=True)
class Fold:
    """Pieces (channels, time) that are fitted to, and those that were held out."""

    fitted: list[Floats]
    held: list[Floats]


@dataclass(frozen=True)
class CrossFitted:
    """What a detector scores on normal data that it was not fitted to, and how far above it the
    anomalies of each kind stand: average precision, their mean is `support` (NaN: not possible).
    """

    null: Null
    by_kind: Mapping[str, float] = field(default_factory=dict)

    @property
    def support(self) -> float:
        """Return the mean over kinds of anomalies."""
        return float(np.mean(list(self.by_kind.values()))) if self.by_kind else float("nan")


def folds_of(normal: Sequence[Floats], length: int) -> list[Fold]:
    """Hold out one block of time of each series after another, five in all.

    A block has at least `length` steps: of shorter series there are fewer, or each is held out
    whole; none where there is one series of less than two blocks.
    """
    bounds: list[NDArray[np.int64]] = []
    longest = max(one.shape[1] for one in normal)
    count = min(FOLDS, longest // length)
    if count < 2:
        count = min(FOLDS, len(normal))
    if count < 2:
        return []
    for number, one in enumerate(normal):
        time = one.shape[1]
        if time >= count * length:
            bounds.append(np.linspace(0, time, count + 1).astype(np.int64))
        else:
            turn = number % count
            bounds.append(np.repeat([0, time], [turn + 1, count - turn]))
    folds = []
    for k in range(count):
        fitted, held = [], []
        for one, edges in zip(normal, bounds, strict=True):
            first, last = edges[k], edges[k + 1]
            held.append(one[:, first:last])
            fitted += [one[:, :first], one[:, last:]]
        folds.append(Fold(_filled(fitted), _filled(held)))
    return [fold for fold in folds if fold.fitted and fold.held]


def _filled(pieces: Sequence[Floats], steps: int = 1) -> list[Floats]:
    return [one for one in pieces if one.shape[1] >= steps]


def cross_fitted(
    detector: Detector, folds: Sequence[Fold], length: int, seed: int = 0
) -> CrossFitted:
    """Score each fold by a fit to the others, as it is and with anomalies of about `length` steps.

    Nothing is known (no normal score, no support) where no fold has pieces of the detector's
    window both to fit and to score.
    """
    nulls: list[Floats] = []
    scores: dict[str, list[Floats]] = {name: [] for name in KINDS}
    for number, fold in enumerate(folds):
        fitted, held = (_filled(one, detector.window) for one in (fold.fitted, fold.held))
        if not fitted or not held:
            continue
        state = detector.fit(fitted)
        nulls.append(np.concatenate([detector.score(state, one) for one in held]))
        spread = normal_scale(fitted)["spread"]
        rng = np.random.default_rng((seed, number))
        for copy in range(COPIES):
            for one in held:
                altered = perturbed(one, spread, length, number + copy * len(KINDS) // 2, rng)
                if not altered.kind:
                    continue
                scored = detector.score(state, altered.series)
                for start, stop, kind in zip(
                    altered.start, altered.stop, altered.kind, strict=True
                ):
                    scores[kind].append(_thinned(scored[start:stop], STAMPS))
    if not nulls:
        return CrossFitted(Null.of([]))
    normal = _thinned(np.concatenate(nulls), NORMAL_STAMPS)
    by_kind = {
        name: balanced_precision(np.concatenate(each), normal)
        for name, each in scores.items()
        if each
    }
    return CrossFitted(Null.of(nulls), by_kind)


def _thinned(scores: Floats, most: int) -> Floats:
    return scores[:: max(1, -(-len(scores) // most))]


def balanced_precision(anomalous: Floats, normal: Floats, share: float = SHARE) -> float:
    """Return the average precision where the anomalous scores are a share of all."""
    from sklearn.metrics import average_precision_score

    labels = np.repeat([1, 0], [len(anomalous), len(normal)])
    weights = np.repeat(
        [share / len(anomalous), (1 - share) / len(normal)], [len(anomalous), len(normal)]
    )
    scores = np.concatenate([anomalous, normal])
    return float(average_precision_score(labels, scores, sample_weight=weights))
