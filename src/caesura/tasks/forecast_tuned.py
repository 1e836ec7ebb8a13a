"""Forecasts by an encoder that is trained for them, whole: fine-tuned or from scratch."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.data.units import Units
from caesura.objectives.supervised import SupervisedConfig
from caesura.recipes.build import build_supervised
from caesura.recipes.presets import finetune_recipe
from caesura.recipes.schema import make_recipe
from caesura.tasks.forecast_examples import Examples, Floats
from caesura.tasks.forecast_head import window_floor, window_size
from caesura.tasks.needs import Trained, need, units_of
from caesura.tasks.window_features import grid_of, grids
from caesura.training.arithmetic import resolved
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import stacked
from caesura.training.loop import Trainer
from caesura.types import Batch

_FEWEST = 16
"""Windows of a batch at least."""


@dataclass(frozen=True)
class ForecastTraining:
    """What a trainer needs, and how to forecast with it then.

    The head reads the mean over places and the last one, and predicts all channels and steps in
    units of the window (`window_size`).
    """

    objective: Any
    source: IndexedBatches
    floor: Floats
    shape: tuple[int, int]
    rate_hz: float | None
    units: Units | None = None

    def predict(self, past: Floats) -> NDArray[np.float64]:
        """Return what follows windows (rows, channels, lookback): (rows, channels, horizon)."""
        past = past if self.units is None else self.units.model(past)
        nobody = torch.zeros(0, dtype=torch.long)
        batches = (Batch(inputs, nobody) for inputs in grids(past, self.rate_hz))
        predicted = stacked(self.objective, batches, self.objective.predict).astype(np.float64)
        center, spread = window_size(past, self.floor)
        later = predicted.reshape(len(past), *self.shape) * spread + center
        return np.asarray(later if self.units is None else self.units.table(later))


def forecast_training(
    encoder: nn.Module, examples: Examples, batch_size: int, rate_hz: float | None, seed: int
) -> ForecastTraining:
    """Put a head on an encoder; windows of role 0 train both, those of role 1 validate."""
    past, future = (np.concatenate(p) for p in zip(examples.of(0), examples.of(1), strict=True))
    floor = window_floor(examples.of(0)[0])
    center, spread = window_size(past, floor)
    goal = ((future - center) / spread).reshape(len(past), -1).astype(np.float32)
    target, channels = torch.from_numpy(goal), past.shape[1]
    config = SupervisedConfig(task="regression", outputs=goal.shape[1], pooling="mean+last")
    made = build_supervised(config, encoder, torch.ones(goal.shape[1]), seed)

    def gather(chosen: NDArray[np.int64], rng: np.random.Generator | None) -> Batch:
        index = torch.from_numpy(chosen)
        return Batch(grid_of(past[chosen], rate_hz), index, target=target[index])

    train = int((examples.role == 0).sum())
    rows = np.arange(len(past))
    source = IndexedBatches(gather, rows[:train], rows[train:], batch_size, seed)
    return ForecastTraining(made, source, floor, (channels, future.shape[-1]), rate_hz)


def trained_to_forecast(
    start: Trained,
    examples: Examples,
    rate: float,
    steps: int,
    rate_hz: float | None,
    seed: int,
) -> ForecastTraining:
    """Train a copy of a run's encoder to forecast, whole, as `finetune` would train it.

    examples: in the table's units, as forecasts are.
    """
    tree = finetune_recipe(start.recipe, "")
    tree["training"] |= {"epochs": 0, "steps": steps, "lr": rate, "patience": 0}
    settings = resolved(make_recipe(tree).training)
    encoder = copy.deepcopy(need(start, "encoder")).requires_grad_(True)
    batch = max(_FEWEST, settings.batch_tokens // examples.past.shape[-1])
    units = units_of(start)
    examples = replace(
        examples, past=units.model(examples.past), future=units.model(examples.future)
    )
    made = replace(forecast_training(encoder, examples, batch, rate_hz, seed), units=units)
    Trainer(made.objective, made.source, settings, seed).fit()
    return made
