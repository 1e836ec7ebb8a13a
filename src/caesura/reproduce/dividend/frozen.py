"""The reference study: objectives x augmentations x seeds on one encoder, probed frozen.

arXiv 2605.19462 compares six methods that differ in width, norm, context, rate, augmentation and
read-out. Here they differ in the objective alone; the learning rate of each objective under each
augmentation is one of the same three, chosen on sets outside the report (`dividend.rates`).
"""

from __future__ import annotations

import json
from typing import Any

from caesura.files import read_limited, write_json
from caesura.recipes.dividend import CAUSAL, PATCH
from caesura.reproduce.dividend.corpus import corpus
from caesura.reproduce.dividend.encoders import DividendSettings, pretrained, random_encoder
from caesura.reproduce.dividend.rates import (
    CELLS,
    DATA,
    NOTES,
    QUICK_CELLS,
    SETTINGS,
    chosen_rate,
    scores_of,
    sets_of,
    split_cell,
)
from caesura.reproduce.dividend.sets import REPORTED, load_set
from caesura.reproduce.experiment import Context, Experiment, Outcome
from caesura.tasks.bands import band_decodability

BESIDE = "baselines"
_BAND_WINDOWS = 600
"""The corpus' last windows: those that no encoder is trained on."""


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
    own = _scores(encoder, names, context)
    return Outcome(
        {
            cell: {**own, **cost, "lr": lr},
            f"{cell}, random twin": _twin_scores(objective, names, context),
        }
    )


def _scores(encoder: Any, names: tuple[str, ...], context: Context) -> dict[str, float]:
    """Return the skill on each set, and how much of each wavelet band is decodable."""
    settings: DividendSettings = context.settings
    windows = corpus(settings.origin, settings.windows, context.data)[-_BAND_WINDOWS:, None]
    bands = band_decodability(encoder, windows, PATCH, rate_hz=1.0)
    return scores_of(encoder, names, context) | {f"band {k}": v for k, v in bands.items()}


def _twin_scores(objective: str, names: tuple[str, ...], context: Context) -> dict[str, float]:
    """Score the encoder that was never trained; it is the same for all objectives of one order."""
    order = "causal" if objective in CAUSAL else "full"
    path = context.folder_of(FROZEN.name) / "twins" / f"{order}-{context.seed}.json"
    if path.is_file():
        found: dict[str, float] = json.loads(read_limited(path))
        return found
    twin = random_encoder(objective, context.settings, context.seed)
    scores = _scores(twin, names, context)
    write_json(path, scores)
    return scores


FROZEN = Experiment(
    name="dividend-frozen",
    title="Objectives x augmentations on one encoder, probed frozen (arXiv 2605.19462)",
    settings=SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={
        "quick": (*QUICK_CELLS, BESIDE),
        "medium": (*CELLS, BESIDE),
        "full": (*CELLS, BESIDE),
    },
    cost={"quick": "1 minute", "medium": "4 core-hours", "full": "days on a GPU"},
    run=_probe,
    data=DATA,
    goal="which of objective, augmentation and seed matters, each with its interval",
    notes=NOTES,
)
