"""Classification on resampled splits by the frozen encoders of the study.

An official split is one draw. Here train and test are drawn anew, as many of each class in each as
officially; the arms are those that are fine-tuned (`dividend.arms`).
"""

from __future__ import annotations

import numpy as np

from caesura.reproduce.dividend.arms import ARMS, UNTRAINED, chosen_encoder
from caesura.reproduce.dividend.encoders import DividendSettings
from caesura.reproduce.dividend.rates import DATA, QUICK, SETTINGS
from caesura.reproduce.dividend.sets import CLASSIFICATION, classification_set
from caesura.reproduce.experiment import Context, Experiment, Outcome

DRAWS = 5


def _score(cell: str, context: Context) -> Outcome:
    """Score an encoder on five resamples of each set: their mean, and their deviation."""
    settings: DividendSettings = context.settings
    row, encoder, _ = chosen_encoder(cell, context)
    small, root = settings.steps <= QUICK.steps, context.file("ucr_uea").parent
    found: dict[str, float] = {}
    for name in CLASSIFICATION[1:2] if small else CLASSIFICATION:
        draws = range(1, 2 if small else 1 + DRAWS)
        skills = [classification_set(name, root, k).score(encoder) for k in draws]
        found |= {name: float(np.mean(skills)), f"{name} deviation": float(np.std(skills))}
    return Outcome({row: found})


_CELLS = (UNTRAINED, *ARMS)
RESAMPLES = Experiment(
    name="dividend-resamples",
    title="Classification on resampled splits, frozen (arXiv 2605.19462)",
    settings=SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": (UNTRAINED, "best latent"), "medium": _CELLS, "full": _CELLS},
    cost={"quick": "10 s", "medium": "30 minutes", "full": "days on a GPU"},
    run=_score,
    data=DATA,
    goal="whether the dividend holds on other splits than the official ones",
    notes=("The encoder never trained looks both ways, as all arms but next_patch and denoise.",),
)
