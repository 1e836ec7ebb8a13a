"""Does the origin of the corpus matter, and the depth of the encoder? Two objectives, frozen.

The paper (arXiv 2605.19462) finds quality "largely independent of data origin", comparing
corpora of 0.1 and 1.6 thousand million points at equal epochs, and saturation at moderate depth
with rates that fall thirtyfold along it. Here every cell reads the same tokens; depths share the
rates of the main study.
"""

from __future__ import annotations

from typing import Any

from caesura.reproduce.dividend.encoders import DividendSettings, pretrained, random_encoder
from caesura.reproduce.dividend.rates import DATA, chosen_rate, scores_of, sets_of
from caesura.reproduce.dividend.sets import REPORTED
from caesura.reproduce.experiment import Context, Experiment, Outcome, Scale

OBJECTIVES = ("masked_tokens", "lejepa")
DEPTHS = (1, 2, 3, 6)
ORIGINS: dict[str, dict[str, Any]] = {
    "real": {"origin": "real"},
    "synthetic": {"origin": "synthetic"},
    "mixed": {"origin": "mixed"},
    "real, a quarter": {"origin": "real", "windows": 0.25},
    "synthetic, a quarter": {"origin": "synthetic", "windows": 0.25},
}
"""Corpora of one size, and of a quarter: the size-matched control of diversity."""
_CELLS = (
    *(f"{o}, depth {d}" for o in OBJECTIVES for d in DEPTHS),
    *(f"{o}, {name}" for o in OBJECTIVES for name in ORIGINS),
)


def _run(cell: str, context: Context) -> Outcome:
    settings: DividendSettings = context.settings
    objective, _, change = cell.partition(", ")
    own = settings
    if change.startswith("depth "):
        own = settings.model_copy(update={"depth": int(change[6:])})
    else:
        changes = dict(ORIGINS[change])
        share = changes.pop("windows", 1.0)
        own = settings.model_copy(update=changes | {"windows": int(share * settings.windows)})
    names = sets_of(REPORTED, context)
    rate = chosen_rate(f"{objective}, none", context)
    encoder, cost = pretrained(objective, "none", rate, own, context)
    twin = random_encoder(objective, own, context.seed)
    return Outcome(
        {
            cell: {**scores_of(encoder, names, context), **cost},
            f"{cell}, random twin": scores_of(twin, names, context),
        }
    )


_QUICK = DividendSettings(
    windows=300, origin="synthetic", width=16, depth=1, batch=16, steps=6, lrs=(1e-3, 2e-3)
)
_SETTINGS: dict[Scale, DividendSettings] = {
    "quick": _QUICK,
    "medium": DividendSettings(),
    "full": DividendSettings(windows=200_000, width=128, depth=8, steps=100_000, batch=512),
}
ORIGIN = Experiment(
    name="dividend-origin",
    title="Depth of the encoder and origin of the corpus (arXiv 2605.19462)",
    settings=_SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": ("masked_tokens, depth 2", "masked_tokens, synthetic"), "medium": _CELLS,
           "full": _CELLS},
    cost={"quick": "1 minute", "medium": "3 core-hours", "full": "days on a GPU"},
    run=_run,
    data=DATA,
    goal="the paper's claims on depth and origin: confirmed, refuted or undecided",
    notes=("The published tables are not available to us.",),
)  # fmt: skip
