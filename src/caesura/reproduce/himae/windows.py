"""Windows of one length: pre-training, frozen features and supervised training on arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caesura.data.labels import Labels
from caesura.data.schema import Target
from caesura.encoders.conv_pyramid import ConvPyramid
from caesura.metrics.bootstrap import bootstrap
from caesura.metrics.classify import Task, main_score
from caesura.nn.conv import Norm
from caesura.nn.heads import max_of, mean_of
from caesura.objectives.masked_grid import MaskedGrid
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.recipes import himae
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context, Settings
from caesura.signal.mask import GridMaskKind
from caesura.tasks.linear import fit_and_predict, linear_model
from caesura.tasks.probe import inner_folds
from caesura.tasks.recalibrate import recalibrate
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import row_slices, run_batches, stacked
from caesura.types import Batch, Grid

Ints = NDArray[np.int64]
ALL, ALL_MAX = "all levels", "all levels, with maxima"


class PyramidSettings(Settings):
    """HiMAE and its training; the paper's sizes, mask and rate by default."""

    widths: tuple[int, ...] = himae.SIZES["base"]
    kernel: int = 5
    strides: tuple[int, ...] = ()
    norm: Norm = "batch"
    absent: Literal["zero", "mean", "learned", "flag"] = "zero"
    skips: bool = True
    mask: GridMaskKind = "random"
    mask_ratio: float = 0.8
    patch_ms: float = 50.0
    scale_from: Literal["visible", "window"] = "visible"
    recalibrate: int = 0
    steps: int = 700
    batch: int = 64
    lr: float = 1e-3
    tuning_steps: int = 150
    tuning_lr: float = 5e-4


@dataclass(frozen=True)
class Windows:
    """values (windows, channels, samples), what each is labelled, and whom it is of."""

    values: NDArray[np.float32]
    labels: NDArray[Any]
    groups: Ints
    rate_hz: float

    def grid(self, rows: Ints) -> Grid:
        """Return some windows; NaN is not observed."""
        chosen = self.values[rows]
        seen = np.isfinite(chosen)
        return Grid(
            torch.from_numpy(np.where(seen, chosen, np.float32(0))),
            torch.from_numpy(seen),
            rate_hz=self.rate_hz,
        )


def new_encoder(own: PyramidSettings, channels: int, seed: int) -> ConvPyramid:
    """Return an untrained encoder with weights drawn from a seed."""
    with seeded(seed):
        return himae.encoder(
            channels=channels,
            widths=own.widths,
            kernel=own.kernel,
            strides=own.strides,
            norm=own.norm,
            absent=own.absent,
        )


def encoder_of(objective: MaskedGrid) -> ConvPyramid:
    """Return the encoder of an objective that `pretrained` made."""
    encoder = objective.encoder
    if not isinstance(encoder, ConvPyramid):
        raise TypeError(f"{type(encoder).__name__} is no ConvPyramid")
    return encoder


def pretrained(
    context: Context,
    data: Windows,
    train: Ints,
    held_out: Ints,
    own: PyramidSettings,
    name: str = "pretraining",
) -> MaskedGrid:
    """Pre-train on some windows; others, of other people, choose the weights."""
    encoder = new_encoder(own, data.values.shape[1], context.seed)
    with seeded(context.seed + 1):
        objective = himae.objective(
            encoder,
            skips=own.skips,
            mask=own.mask,
            mask_ratio=own.mask_ratio,
            patch_ms=own.patch_ms,
            scale_from=own.scale_from,
        )
    source = IndexedBatches(
        lambda rows, _: Batch(data.grid(rows), torch.from_numpy(rows)),
        train, held_out, own.batch, context.seed,
    )  # fmt: skip
    training = {
        "steps": own.steps,
        "lr": own.lr,
        "weight_decay": 1e-3,
        "betas": (0.9, 0.999),
        "batches": "random",
    }
    context.train(objective, source, training, name)
    if own.recalibrate:
        recalibrate(encoder, source, own.recalibrate)
    return objective


def level_read_outs(
    encoder: ConvPyramid, data: Windows
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
    """Return means and maxima over the places of each level, (windows, width) each."""
    numbers = np.arange(len(data.values))
    grids = (data.grid(numbers[rows]) for rows in row_slices(len(numbers)))

    def read(grid: Grid) -> list[Tensor]:
        levels = encoder(grid).levels
        return [pool(level) for pool in (mean_of, max_of) for level in levels]

    pooled = [vectors for _, vectors in run_batches(encoder, grids, read)]
    both = [np.concatenate(parts) for parts in zip(*pooled, strict=True)]
    half = len(both) // 2
    return both[:half], both[half:]


def feature_sets(encoder: ConvPyramid, data: Windows) -> dict[str, NDArray[np.float32]]:
    """Return the features of each level by name, and of all together, without and with maxima."""
    means, maxima = level_read_outs(encoder, data)
    levels = {f"level {i + 1}": one for i, one in enumerate(means)}
    return levels | {
        ALL: np.concatenate(means, axis=1),
        ALL_MAX: np.concatenate([*means, *maxima], axis=1),
    }


def as_labels(task: Task, values: NDArray[Any]) -> Labels:
    """Return labels of windows 0, 1, ..."""
    classes = tuple(str(c) for c in range(int(values.max()) + 1)) if task != "regression" else ()
    shaped = values.reshape(len(values), -1) if task == "regression" else values
    return Labels(np.arange(len(values)), shaped, Target(task=task, names=("y",), classes=classes))


def probed(
    x: NDArray[Any],
    data: Windows,
    train: Ints,
    test_x: NDArray[Any],
    seed: int,
    task: Task = "classification",
) -> NDArray[np.float64]:
    """Fit a linear model on training windows, strength by grouped folds, and predict others."""
    labels = as_labels(task, data.labels[train])
    cuts = inner_folds(labels, data.groups[train], seed)
    model = linear_model(task, seed, cuts)
    classes = int(data.labels.max()) + 1 if task != "regression" else 0
    return fit_and_predict(model, task, x[train], data.labels[train], test_x, classes)


def trained_supervised(
    context: Context,
    encoder: ConvPyramid,
    data: Windows,
    train: Ints,
    held_out: Ints,
    test: Windows,
    name: str,
    task: Literal["classification", "regression"] = "classification",
) -> NDArray[np.float64]:
    """Train encoder and head with labels, whole, and predict test windows: outputs of the head."""
    own: PyramidSettings = context.settings
    regression = task == "regression"
    outputs = 1 if regression else int(data.labels.max()) + 1
    center, spread = (data.labels[train].mean(), data.labels[train].std()) if regression else (0, 1)
    config = SupervisedConfig(task=task, outputs=outputs)
    with seeded(context.seed + 2):
        objective = Supervised(encoder, config, torch.ones(outputs))

    def gather(rows: Ints, _: object) -> Batch:
        target = torch.from_numpy(data.labels[rows])
        if regression:
            target = ((target - center) / spread).float()[:, None]
        return Batch(data.grid(rows), torch.from_numpy(rows), target=target)

    source = IndexedBatches(gather, train, held_out, own.batch, context.seed)
    training = {"steps": own.tuning_steps, "lr": own.tuning_lr, "weight_decay": 1e-3,
                "batches": "random"}  # fmt: skip
    context.train(objective, source, training, name)
    numbers = np.arange(len(test.values))
    batches = (
        Batch(test.grid(numbers[rows]), torch.from_numpy(numbers[rows]))
        for rows in row_slices(len(numbers))
    )
    predicted = stacked(objective, batches, objective.predict).astype(np.float64)
    return predicted * spread + center


def scored(truth: NDArray[Any], predicted: NDArray[np.float64], groups: Ints) -> dict[str, float]:
    """Return AUROC with its interval by resampling groups (records, people)."""
    interval = bootstrap(
        lambda cases: main_score("classification", truth[cases], predicted[cases]), groups
    )
    return {"AUROC": interval.value, "AUROC low": interval.lower, "AUROC high": interval.upper}


def held_out_groups(groups: Ints, share: float, seed: int) -> tuple[Ints, Ints]:
    """Return the windows of most groups, and those of the others, drawn by a seed."""
    names = np.unique(groups)
    drawn = np.random.default_rng(600 + seed).permutation(names)
    few = drawn[: max(1, round(share * len(names)))]
    held = np.isin(groups, few)
    return np.flatnonzero(~held), np.flatnonzero(held)
