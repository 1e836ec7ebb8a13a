"""The tuned dividend: fine-tuned less from scratch, with the same budget and the same grid.

The arms of `dividend.arms` against training the same architecture from scratch, one that looks
back only for the arms that do. Rates of fine-tuning are one of three, chosen for each arm, and for
scratch: of classification on two sets outside the report, of a forecast by the part of the series
between those that fit and that score, as is usual there. For anomalies the encoder learns to
forecast the normal part, whose last fifth chooses the rate; then places are compared as ever.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.metrics.skill import classification_skill, forecast_skill
from caesura.objectives.supervised import SupervisedConfig
from caesura.recipes.build import build_supervised
from caesura.reproduce.dividend.arms import ARMS, chosen_encoder
from caesura.reproduce.dividend.encoders import DividendSettings, random_encoder
from caesura.reproduce.dividend.rates import DATA
from caesura.reproduce.dividend.sets import WINDOW, EvaluationSet, family_of, load_set
from caesura.reproduce.experiment import Context, Experiment, Outcome, Scale
from caesura.tasks.forecast_examples import Examples, examples_of
from caesura.tasks.forecast_tuned import forecast_training
from caesura.tasks.window_features import grid_of, grids
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import stacked
from caesura.types import Batch

SCRATCH, SCRATCH_CAUSAL = "from scratch", "from scratch, looking back only"
SETS = ("ECG200", "GunPoint", "SyntheticControl", "Trace", "ETTh1", "us_births")
"""Univariate sets and one machine: what a head on all channels would change is left out."""
CHOICE = ("CBF", "ECGFiveDays")
"""Sets that choose the rate of classification, in no report."""


_AHEAD = WINDOW // 8
"""Steps that are forecast to learn what is normal."""


class TunedSettings(DividendSettings):
    """Length of a fine-tuning and its grid of rates."""

    tuning_steps: int = 200
    tuning_rates: tuple[float, ...] = (2e-4, 1e-3, 5e-3)
    tuning_batch: int = 64


def _labelled(
    x: NDArray[np.floating[Any]], y: NDArray[Any], batch: int, seed: int
) -> IndexedBatches:
    """Return batches of windows with targets; a fifth validates."""
    target = torch.from_numpy(np.asarray(y))
    order = np.random.default_rng(seed).permutation(len(x))
    held = max(1, len(x) // 5)

    def gather(chosen: NDArray[np.int64], rng: np.random.Generator | None) -> Batch:
        index = torch.from_numpy(chosen)
        return Batch(grid_of(x[chosen], 1.0), index, target=target[index])

    return IndexedBatches(gather, order[held:], order[:held], batch, seed)


class Result(NamedTuple):
    """Skill on the test part, and the least loss on what validates."""

    skill: float
    validation_loss: float


def tuned(
    start: nn.Module, one: EvaluationSet, rate: float, settings: TunedSettings, context: Context
) -> Result:
    """Fine-tune an encoder on a set's training part and score it on the test part."""
    encoder, tags = copy.deepcopy(start).requires_grad_(True), one.tags
    name = f"{one.name}-{rate:g}"
    training = {
        "steps": settings.tuning_steps, "lr": rate, "weight_decay": 0.05,
        "batch_tokens": settings.tuning_batch * 336,
    }  # fmt: skip
    if one.family == "classification":
        config = SupervisedConfig(outputs=tags["classes"])
        made = build_supervised(config, encoder, torch.ones(tags["classes"]), context.seed)
        x, y = tags["x"][:, :1], tags["y"].astype(np.int64)
        source = _labelled(x, y, settings.tuning_batch, context.seed)
        state = context.train(made, source, training, name)
        said = _said(made, tags["x_new"][:, :1])
        skill = classification_skill(tags["y_new"], said.argmax(1), tags["classes"])
        return Result(skill, state.best_loss)
    examples = _normal_examples(tags["normal"]) if one.family == "anomaly" else tags["examples"]
    ahead = forecast_training(
        encoder, examples, settings.tuning_batch, rate_hz=1.0, seed=context.seed
    )
    state = context.train(ahead.objective, ahead.source, training, name)
    if one.family == "anomaly":
        return Result(one.score(ahead.objective.parts()["encoder"]), state.best_loss)
    predicted = ahead.predict(examples.of(2)[0])
    return Result(forecast_skill(tags["mase_of"](predicted), tags["naive"]), state.best_loss)


def _normal_examples(normal: NDArray[np.floating[Any]]) -> Examples:
    """Return windows of the normal part, each channel its own series, and what follows them."""
    series = [row[None] for row in normal]
    bounds = [(int(0.8 * normal.shape[1]), normal.shape[1])] * len(series)
    return examples_of(series, WINDOW, _AHEAD, bounds, needed=(0, 1))


def _said(made: Any, x: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    nobody = torch.zeros(0, dtype=torch.long)
    return stacked(made, (Batch(grid, nobody) for grid in grids(x, 1.0)), made.predict)


def untrained(cell: str, context: Context) -> nn.Module:
    """Return the encoder that SCRATCH or SCRATCH_CAUSAL begin with."""
    like = "next_patch" if cell == SCRATCH_CAUSAL else "masked_tokens"
    return random_encoder(like, context.settings, context.seed)


def tuned_skills(start: nn.Module, names: Sequence[str], context: Context) -> dict[str, float]:
    """Return the skill of some sets after fine-tuning on each, and the rates that were chosen."""
    settings: TunedSettings = context.settings
    root = context.file("ucr_uea").parent
    found: dict[str, float] = {}
    rates: dict[str, tuple[float, ...]] = {}
    if any(family_of(name) == "classification" for name in names):
        sets = [load_set(name, root) for name in (CHOICE[:1] if settings.steps <= 100 else CHOICE)]
        trials = [
            float(np.mean([tuned(start, one, lr, settings, context).skill for one in sets]))
            for lr in settings.tuning_rates
        ]
        found["tuning rate"] = settings.tuning_rates[int(np.argmax(trials))]
        rates["classification"] = (found["tuning rate"],)
    for name in names:
        tries = rates.get(family_of(name), settings.tuning_rates)
        tried = [tuned(start, load_set(name, root), lr, settings, context) for lr in tries]
        best = int(np.argmin([result.validation_loss for result in tried]))
        found |= {name: tried[best].skill, f"{name} rate": tries[best]}
    return found


def _run(cell: str, context: Context) -> Outcome:
    row, cost = cell, dict[str, float]()
    if cell in (SCRATCH, SCRATCH_CAUSAL):
        start = untrained(cell, context)
    else:
        row, start, cost = chosen_encoder(cell, context)
    names = SETS[1:2] if context.settings.steps <= 100 else SETS
    return Outcome({row: {**tuned_skills(start, names, context), **cost}})


_QUICK = TunedSettings(
    windows=300, origin="synthetic", width=16, depth=1, batch=16, steps=6, lrs=(1e-3, 2e-3),
    tuning_steps=4, tuning_rates=(1e-3,),
)  # fmt: skip
SETTINGS: dict[Scale, TunedSettings] = {
    "quick": _QUICK,
    "medium": TunedSettings(),
    "full": TunedSettings(windows=200_000, width=128, depth=8, steps=100_000, batch=512),
}
_CELLS = (*ARMS, SCRATCH, SCRATCH_CAUSAL)
TUNED = Experiment(
    name="dividend-tuned",
    title="Fine-tuned less from scratch (arXiv 2605.19462)",
    settings=SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": ("best generative", SCRATCH), "medium": _CELLS, "full": _CELLS},
    cost={"quick": "1 minute", "medium": "2 core-hours", "full": "days on a GPU"},
    run=_run,
    data=DATA,
    goal="the tuned dividend, positive or not, with its interval",
    notes=("Arms: chosen by the trials of `dividend-rates`, on sets outside the report.",),
)
