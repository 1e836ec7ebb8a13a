"""The tuned dividend where it counts most: the best two arms of each family of tasks.

Chosen by the trials on the sets of a family that are in no report, and fine-tuned on its reported
sets as in `dividend.tuned`, whose training from scratch stands beside classification and
forecasts; beside anomalies it is here.
"""

from __future__ import annotations

from caesura.reproduce.dividend.arms import PLACES, chosen_for
from caesura.reproduce.dividend.rates import DATA
from caesura.reproduce.dividend.sets import ANOMALY, Family, family_of
from caesura.reproduce.dividend.tuned import (
    SCRATCH,
    SCRATCH_CAUSAL,
    SETS,
    SETTINGS,
    tuned_skills,
    untrained,
)
from caesura.reproduce.experiment import Context, Experiment, Outcome

FAMILY_SETS: dict[Family, tuple[str, ...]] = {
    "classification": tuple(name for name in SETS if family_of(name) == "classification"),
    "forecasting": tuple(name for name in SETS if family_of(name) == "forecasting"),
    "anomaly": ANOMALY,
}


_ARMS: dict[str, tuple[str, Family]] = {
    f"{place} of {family}": (place, family) for family in FAMILY_SETS for place in PLACES
}
_CELLS = (*_ARMS, SCRATCH, SCRATCH_CAUSAL)


def _run(cell: str, context: Context) -> Outcome:
    family: Family = "anomaly"
    if cell in _ARMS:
        place, family = _ARMS[cell]
        arm, start, cost = chosen_for(family, place, context)
        row = f"{arm}, {family}"
    else:
        row, start, cost = f"{cell}, {family}", untrained(cell, context), {}
    names = FAMILY_SETS[family][:1] if context.settings.steps <= 100 else FAMILY_SETS[family]
    return Outcome({row: {**tuned_skills(start, names, context), **cost}})


TUNED_FAMILIES = Experiment(
    name="dividend-tuned-families",
    title="Fine-tuned less from scratch, the best two arms of each family of tasks",
    settings=SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": ("best of anomaly", SCRATCH), "medium": _CELLS, "full": _CELLS},
    cost={"quick": "1 minute", "medium": "1 core-hour", "full": "days on a GPU"},
    run=_run,
    data=DATA,
    goal="the tuned dividend of each family, positive or not, with its interval",
    notes=("Arms: chosen by the trials of `dividend-rates`, on sets outside the report.",),
)
