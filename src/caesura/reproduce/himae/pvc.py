"""Ventricular beats in 10 s of ECG: the public mirror of the paper's PVC task.

arXiv 2510.25785, table of linear probes and the heat map. Pre-trained, probed and chosen on DS1
by record; DS2a, other people, is scored at the end. Labels from 64 on, and the controls: the
same encoder untrained, trained from scratch, and features that one would make by hand.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.classify import auroc
from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome
from caesura.reproduce.himae.mitbih import DATA, MIT_BIH, STAND_IN, hand_made, read_parts
from caesura.reproduce.himae.windows import (
    ALL,
    ALL_MAX,
    PyramidSettings,
    Windows,
    as_labels,
    feature_sets,
    held_out_groups,
    new_encoder,
    pretrained,
    probed,
    scored,
    trained_supervised,
)
from caesura.tasks.linear import folds

CHOSEN = "level chosen on DS1"
TUNED, SCRATCH, HANDS = "fine-tuned", "from scratch", "features by hand"
TWIN = "never trained, "


class PvcSettings(PyramidSettings):
    """Numbers of labelled windows beside all of them, and the folds that choose a level."""

    labels: tuple[int, ...] = (64, 256, 1024)
    folds: int = 5


def _run(cell: str, context: Context) -> Outcome:
    own: PvcSettings = context.settings
    data, test = read_parts(cell, context)
    train, held = held_out_groups(data.groups, 0.2, context.seed)
    encoder: Any = pretrained(context, data, train, held, own).encoder
    twin = new_encoder(own, data.values.shape[1], 10_000 + context.seed)
    everything = np.arange(len(data.labels))
    ours, theirs = feature_sets(encoder, data), feature_sets(encoder, test)
    blank, blank_test = feature_sets(twin, data), feature_sets(twin, test)
    rows: dict[str, dict[str, float]] = {}

    def score(name: str, predicted: NDArray[np.float64]) -> None:
        rows[name] = scored(test.labels, predicted, test.groups)

    for name in ours:
        score(name, probed(ours[name], data, everything, theirs[name], context.seed))
        score(TWIN + name, probed(blank[name], data, everything, blank_test[name], context.seed))
    best = _chosen(ours, data, context.seed, own.folds)
    rows[CHOSEN] = rows[best] | {"level": float(best.split()[1])}
    hands, hands_test = hand_made(data), hand_made(test)
    score(f"{HANDS}, linear", probed(hands, data, everything, hands_test, context.seed))
    score(f"{HANDS}, trees", _trees(hands, data.labels, hands_test, context.seed))
    for count in (*own.labels, 0):
        some = _labelled(data, count, context.seed)
        label = f"{count} labels, " if count else ""
        for name in (ALL, ALL_MAX) if count else ():
            score(f"{label}{name}", probed(ours[name], data, some, theirs[name], context.seed))
            score(f"{label}{TWIN}{name}",
                  probed(blank[name], data, some, blank_test[name], context.seed))  # fmt: skip
        if count:
            score(f"{label}{HANDS}, linear",
                  probed(hands, data, some, hands_test, context.seed))  # fmt: skip
        if count in (0, own.labels[0]):
            few, rest = _split(data, some, context.seed)
            for kind, start in ((TUNED, encoder), (SCRATCH, twin)):
                model = copy.deepcopy(start).requires_grad_(True)
                place = f"{kind}-{count}"
                score(f"{label}{kind}",
                      trained_supervised(context, model, data, few, rest, test, place))  # fmt: skip
    curves = {
        "pre-trained by level": [rows[name]["AUROC"] for name in ours if name.startswith("level ")],
        "never trained by level": [
            rows[TWIN + name]["AUROC"] for name in ours if name.startswith("level ")
        ],
    }
    return Outcome(rows, curves)


def _chosen(sets: dict[str, NDArray[Any]], data: Windows, seed: int, count: int) -> str:
    """Return the level with the best mean AUROC over folds by record of the training part."""
    labels = as_labels("classification", data.labels)
    cuts = folds(labels, data.groups, count, seed)

    def mean(name: str) -> float:
        found = [
            auroc(data.labels[b], probed(sets[name], data, a, sets[name][b], seed)[:, 1])
            for a, b in cuts
        ]
        return float(np.nanmean(found))

    return max((name for name in sets if name.startswith("level ")), key=mean)


def _labelled(data: Windows, count: int, seed: int) -> NDArray[np.int64]:
    """Return `count` training windows with the share of positives that all have; 0: all."""
    everything = np.arange(len(data.labels))
    if not count:
        return everything
    rng = np.random.default_rng(700 + seed)
    positive, negative = (rng.permutation(np.flatnonzero(data.labels == c)) for c in (1, 0))
    hits = max(3, round(count * float(data.labels.mean())))
    return np.sort(np.concatenate([positive[:hits], negative[: count - hits]]))


def _split(
    data: Windows, rows: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    few, rest = held_out_groups(data.groups[rows], 0.2, seed)
    return rows[few], rows[rest]


def _trees(
    x: NDArray[Any], y: NDArray[np.int64], new: NDArray[Any], seed: int
) -> NDArray[np.float64]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(random_state=seed).fit(x, y)
    return np.asarray(model.predict_proba(new))


_QUICK = PvcSettings(widths=(8, 16, 32), steps=8, tuning_steps=4, labels=(64,), folds=2, batch=32)
PVC = Experiment(
    name="himae-pvc",
    title="A ventricular beat in 10 s of ECG: AUROC on other people",
    settings={"quick": _QUICK, "medium": PvcSettings(),
              "full": PvcSettings(steps=6_000, batch=256, tuning_steps=600)},
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": (STAND_IN,), "medium": (MIT_BIH,), "full": (MIT_BIH,)},
    cost={"quick": "15 s", "medium": "15 min a seed", "full": "hours"},
    run=_run,
    comparisons=(
        Comparison(ALL, TWIN + ALL, "AUROC"),
        Comparison(ALL_MAX, TWIN + ALL_MAX, "AUROC"),
        Comparison(ALL_MAX, ALL, "AUROC"),
        Comparison(ALL_MAX, f"{HANDS}, trees", "AUROC"),
        Comparison(ALL, CHOSEN, "AUROC"),
        Comparison(TUNED, SCRATCH, "AUROC"),
        Comparison(f"64 labels, {ALL_MAX}", f"64 labels, {TWIN}{ALL_MAX}", "AUROC"),
    ),
    goal="AUROC at least 0.90 by a linear probe of all levels (mean of 3 seeds)",
    data=DATA,
    free=("quick",),
    notes=(
        "DS1 without record 201, whose person is in the test part. Weights, strengths and the "
        "level are chosen inside DS1 by record. AUROC low and high: 95 % by resampling the 11 "
        "test records, the mean over seeds.",
        "The paper's PVC figure (0.802, wrist PPG at 25 Hz, private data) is another task and "
        "stands in the text alone.",
    ),
)  # fmt: skip
