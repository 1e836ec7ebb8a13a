"""The reference study: objectives x augmentations x seeds on one encoder, probed frozen.

arXiv 2605.19462 compares six methods that differ in width, norm, context, rate, augmentation and
read-out. Here they differ in the objective alone; the learning rate of each objective under each
augmentation is one of the same three, chosen on sets outside the report.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caesura.errors import DataError
from caesura.files import read_limited, write_json
from caesura.recipes.dividend import CAUSAL, OBJECTIVES
from caesura.reproduce.dividend.encoders import (
    AUGMENTATIONS,
    DividendSettings,
    pretrained,
    random_encoder,
)
from caesura.reproduce.dividend.sets import CHOICE, REPORTED, load_set
from caesura.reproduce.experiment import Context, Experiment, Outcome, Scale

DATA = "ucr_uea/, forecasting/ and anomaly/ as in the project's data folder"
QUICK = DividendSettings(
    windows=300, origin="synthetic", width=16, depth=1, batch=16, steps=6, lrs=(1e-3, 2e-3)
)
_CELLS = tuple(f"{o}, {v}" for o in OBJECTIVES for v in AUGMENTATIONS)
_QUICK_CELLS = tuple(f"{o}, {v}" for o in OBJECTIVES for v in ("none", "dwt"))
_QUICK_SETS = ("GunPoint", "UCR-136")
BESIDE = "baselines"


def split_cell(cell: str) -> tuple[str, str]:
    """Return objective and augmentation of a cell's name."""
    objective, _, view = cell.partition(", ")
    return objective, view


def _choose(cell: str, context: Context) -> Outcome:
    """Score every learning rate on the sets outside the report, at a part of the budget."""
    settings: DividendSettings = context.settings
    objective, view = split_cell(cell)
    rows: dict[str, dict[str, float]] = {}
    for lr in settings.lrs:
        encoder, cost = pretrained(objective, view, lr, settings, context, settings.trial)
        rows[f"{cell}, {lr:g}"] = {**scores_of(encoder, sets_of(CHOICE, context), context), **cost}
    return Outcome(rows)


def sets_of(names: tuple[str, ...], context: Context) -> tuple[str, ...]:
    """Return the sets of a scale; the quick form has two."""
    return names if context.settings.steps > 100 else _QUICK_SETS


def scores_of(encoder: Any, names: tuple[str, ...], context: Context) -> dict[str, float]:
    """Return the skill of an encoder on each of some sets."""
    root = context.file("ucr_uea").parent
    return {name: load_set(name, root).score(encoder) for name in names}


def best_rate(
    rows: Mapping[str, Mapping[str, float]], cell: str, lrs: Sequence[float], names: Sequence[str]
) -> float:
    """Return the rate of the best mean rank over some sets."""
    table = np.array([[rows[f"{cell}, {lr:g}"][name] for name in names] for lr in lrs])
    return float(lrs[int((-table).argsort(0).argsort(0).mean(1).argmin())])


def chosen_rate(cell: str, context: Context) -> float:
    """Return the rate whose mean rank over the sets outside the report is best."""
    settings: DividendSettings = context.settings
    scale = context.folder.parent.parent.name
    folder = context.folder.parent.parent.parent.parent / RATES.name / scale / "cells"
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        found = json.loads(read_limited(path))
        known = DividendSettings(**{k: getattr(settings, k) for k in DividendSettings.model_fields})
        if found["cell"] == cell and found["settings"] == known.model_dump(mode="json"):
            return best_rate(found["rows"], cell, settings.lrs, sets_of(CHOICE, context))
    raise DataError(
        f"no learning rate was chosen for {cell!r}: run `caesura reproduce {RATES.name}` with the "
        "same --out, --scale and --data first"
    )


def _probe(cell: str, context: Context) -> Outcome:
    """Pre-train at the chosen rate; score it, and its twin that was never trained."""
    settings: DividendSettings = context.settings
    names = sets_of(REPORTED, context)
    if cell == BESIDE:
        root = context.file("ucr_uea").parent
        beside: dict[str, dict[str, float]] = {}
        for name in names:
            for key, value in load_set(name, root).beside().items():
                beside.setdefault(key, {})[name] = value
        return Outcome(beside)
    objective, view = split_cell(cell)
    lr = chosen_rate(cell, context)
    encoder, cost = pretrained(objective, view, lr, settings, context)
    own, other = scores_of(encoder, names, context), _twin_scores(objective, names, context)
    return Outcome({cell: {**own, **cost, "lr": lr}, f"{cell}, random twin": other})


def _twin_scores(objective: str, names: tuple[str, ...], context: Context) -> dict[str, float]:
    """Score the encoder that was never trained; it is the same for all objectives of one order."""
    order = "causal" if objective in CAUSAL else "full"
    path = context.folder.parent.parent / "twins" / f"{order}-{context.seed}.json"
    if path.is_file():
        found: dict[str, float] = json.loads(read_limited(path))
        return found
    twin = random_encoder(objective, context.settings, context.seed)
    scores = scores_of(twin, names, context)
    write_json(path, scores)
    return scores


_SETTINGS: dict[Scale, DividendSettings] = {
    "quick": QUICK,
    "medium": DividendSettings(),
    "full": DividendSettings(windows=200_000, width=128, depth=8, steps=100_000, batch=512),
}
_NOTES = (
    "Skill: classification (balanced accuracy - chance) / (1 - chance); forecasting 1 - MASE over "
    "that of the seasonal naive; anomaly VUS-PR less that of uniform noise. 0 needs no learning.",
    "Each encoder reads the same tokens in training: views and teacher count.",
    "The paper's tables are not available to us; no figure of it is quoted.",
)

RATES = Experiment(
    name="dividend-rates",
    title="Learning rates of the reference study, chosen outside its report",
    settings=_SETTINGS,
    seeds={"quick": 1, "medium": 1, "full": 1},
    cells={"quick": _QUICK_CELLS, "medium": _CELLS, "full": _CELLS},
    cost={"quick": "1 minute", "medium": "1 core-hour", "full": "days on a GPU"},
    run=_choose,
    data=DATA,
    goal="one of three rates for each objective and augmentation; nothing of it is reported",
    notes=_NOTES,
)
FROZEN = Experiment(
    name="dividend-frozen",
    title="Objectives x augmentations on one encoder, probed frozen (arXiv 2605.19462)",
    settings=_SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={
        "quick": (*_QUICK_CELLS, BESIDE),
        "medium": (*_CELLS, BESIDE),
        "full": (*_CELLS, BESIDE),
    },
    cost={"quick": "1 minute", "medium": "4 core-hours", "full": "days on a GPU"},
    run=_probe,
    data=DATA,
    goal="which of objective, augmentation and seed matters, each with its interval",
    notes=_NOTES,
)
