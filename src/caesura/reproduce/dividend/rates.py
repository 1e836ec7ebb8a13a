"""Learning rates of the reference study: one of three for each arm, chosen outside its report.

The sets that choose are in no table. What they say of an arm at its rate also chooses the arms
that are fine-tuned (`dividend.tuned`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from caesura.errors import DataError
from caesura.files import read_limited
from caesura.recipes.dividend import OBJECTIVES
from caesura.reproduce.dividend.encoders import AUGMENTATIONS, DividendSettings, pretrained
from caesura.reproduce.dividend.sets import CHOICE, load_set
from caesura.reproduce.experiment import Context, Experiment, Outcome, Scale

DATA = "ucr_uea/, forecasting/ and anomaly/ as in the project's data folder"
QUICK = DividendSettings(
    windows=300, origin="synthetic", width=16, depth=1, batch=16, steps=6, lrs=(1e-3, 2e-3)
)
CELLS = tuple(f"{o}, {v}" for o in OBJECTIVES for v in AUGMENTATIONS)
QUICK_CELLS = tuple(f"{o}, {v}" for o in OBJECTIVES for v in ("none", "dwt"))
_QUICK_SETS = ("GunPoint", "UCR-136")


def split_cell(cell: str) -> tuple[str, str]:
    """Return objective and augmentation of a cell's name."""
    objective, _, view = cell.partition(", ")
    return objective, view


def sets_of(names: tuple[str, ...], context: Context) -> tuple[str, ...]:
    """Return the sets of a scale; the quick form has two."""
    return names if context.settings.steps > 100 else _QUICK_SETS


def scores_of(encoder: Any, names: tuple[str, ...], context: Context) -> dict[str, float]:
    """Return the skill of an encoder on each of some sets."""
    root = context.file("ucr_uea").parent
    return {name: load_set(name, root).score(encoder) for name in names}


def _choose(cell: str, context: Context) -> Outcome:
    """Score every learning rate on the sets outside the report, at a part of the budget."""
    settings: DividendSettings = context.settings
    objective, view = split_cell(cell)
    rows: dict[str, dict[str, float]] = {}
    for lr in settings.lrs:
        encoder, cost = pretrained(objective, view, lr, settings, context, settings.trial)
        rows[f"{cell}, {lr:g}"] = {**scores_of(encoder, sets_of(CHOICE, context), context), **cost}
    return Outcome(rows)


Trials = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Rows of the finished cells of `dividend-rates`, by cell."""


def trials(context: Context) -> Trials:
    """Return what the trials of the same --out and scale found, those of the same settings."""
    settings: DividendSettings = context.settings
    known = DividendSettings(**{k: getattr(settings, k) for k in DividendSettings.model_fields})
    folder = context.folder_of(RATES.name) / "cells"
    found = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        one = json.loads(read_limited(path))
        if one["settings"] == known.model_dump(mode="json"):
            found[one["cell"]] = one["rows"]
    return found


def best_rate(
    rows: Mapping[str, Mapping[str, float]], cell: str, lrs: Sequence[float], names: Sequence[str]
) -> float:
    """Return the rate of the best mean rank over some sets."""
    table = np.array([[rows[f"{cell}, {lr:g}"][name] for name in names] for lr in lrs])
    return float(lrs[int(_mean_ranks(table).argmin())])


def chosen_rate(cell: str, context: Context) -> float:
    """Return an arm's rate; without its trials a DataError says what to run."""
    found = trials(context)
    if cell not in found:
        raise _missing(cell)
    return best_rate(found[cell], cell, context.settings.lrs, sets_of(CHOICE, context))


def best_arms(
    found: Trials,
    objectives: Sequence[str],
    lrs: Sequence[float],
    names: Sequence[str],
    judges: Sequence[str] = (),
) -> list[str]:
    """Return some objectives' best arms, best first, each at its rate by its mean rank among
    them over the sets that choose; an objective is there once, under its best augmentation.

    judges: the sets among `names` that rank arms; all of them by default. Rates are of all.
    """
    arms, judges = [cell for cell in found if split_cell(cell)[0] in objectives], judges or names
    table = [
        [found[cell][f"{cell}, {best_rate(found[cell], cell, lrs, names):g}"][n] for n in judges]
        for cell in arms
    ]
    order = _mean_ranks(np.array(table).reshape(len(arms), len(judges))).argsort(kind="stable")
    best: dict[str, str] = {}
    for k in order:
        best.setdefault(split_cell(arms[k])[0], arms[k])
    return list(best.values())


def chosen_arm(
    objectives: Sequence[str], place: int, context: Context, judges: Sequence[str] = ()
) -> str:
    """Return the arm of a place among some objectives, chosen outside the report."""
    found = trials(context)
    cells = QUICK_CELLS if context.settings.steps <= 100 else CELLS
    for cell in cells:
        if split_cell(cell)[0] in objectives and cell not in found:
            raise _missing(cell)
    names = sets_of(CHOICE, context)
    return best_arms(found, objectives, context.settings.lrs, names, judges)[place]


def _missing(cell: str) -> DataError:
    return DataError(
        f"no learning rate was chosen for {cell!r}: run `caesura reproduce {RATES.name}` with the "
        "same --out, --scale and --data first"
    )


def _mean_ranks(table: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the mean over columns of each row's rank, 0 the highest."""
    return np.asarray((-table).argsort(0).argsort(0).mean(1))


SETTINGS: dict[Scale, DividendSettings] = {
    "quick": QUICK,
    "medium": DividendSettings(),
    "full": DividendSettings(windows=200_000, width=128, depth=8, steps=100_000, batch=512),
}
NOTES = (
    "Skill: classification (balanced accuracy - chance) / (1 - chance); forecasting 1 - MASE over "
    "that of the seasonal naive; anomaly VUS-PR less that of uniform noise. 0 needs no learning.",
    "Each encoder reads the same tokens in training: views and teacher count.",
    "The paper's tables are not available to us; no figure of it is quoted.",
)

RATES = Experiment(
    name="dividend-rates",
    title="Learning rates of the reference study, chosen outside its report",
    settings=SETTINGS,
    seeds={"quick": 1, "medium": 1, "full": 1},
    cells={"quick": QUICK_CELLS, "medium": CELLS, "full": CELLS},
    cost={"quick": "1 minute", "medium": "1 core-hour", "full": "days on a GPU"},
    run=_choose,
    data=DATA,
    goal="one of three rates for each objective and augmentation; nothing of it is reported",
    notes=NOTES,
)
