"""Images and spectrograms: pre-trained on patches, then classified, beside from scratch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.decoders.point_transformer import PointDecoder, PointDecoderConfig
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.objectives.masked_tokens import MaskedTokens, MaskedTokensConfig
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context, Settings
from caesura.signal.patch import patchify
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import stacked
from caesura.types import Batch, Tokens, as_encoder

Array = NDArray[np.float32]
Augment = Callable[[Array, np.random.Generator], Array]


class PatchedSettings(Settings):
    """Model and trainings of patched arrays; RoMAE's mask ratio is 0.75 for both kinds."""

    width: int = 96
    heads: int = 3
    depth: int = 4
    decoder_depth: int = 2
    cls: bool = False
    positions: Literal["rotary", "absolute"] = "rotary"
    patch: int = 2
    mask_ratio: float = 0.75
    batch: int = 64
    pretraining_steps: int = 2_000
    tuning_steps: int = 1_000
    lr: float = 1e-3
    label_smoothing: float = 0.1


@dataclass(frozen=True)
class Patched:
    """Arrays (series, height, width, channels) with class numbers and roles.

    steps: how far along the first axis each array is real; the rest is padding.
    """

    arrays: NDArray[Any]
    labels: NDArray[np.int64]
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    center: Array
    scale: Array
    steps: NDArray[np.int64] | None = None
    augment: Augment | None = None


def _gather(
    data: Patched, own: PatchedSettings, rows: NDArray[np.int64], rng: np.random.Generator | None
) -> Batch:
    arrays = data.arrays[rows].astype(np.float32)
    if rng is not None and data.augment is not None:
        arrays = data.augment(arrays, rng)
    values = torch.from_numpy((arrays - data.center) / data.scale)
    tokens = patchify(values, (own.patch, own.patch))
    if data.steps is not None:
        along = math.ceil(arrays.shape[1] / own.patch)
        reach = torch.from_numpy(-(-data.steps[rows] // own.patch))
        real = torch.arange(along)[None, :] < reach[:, None]
        valid = real.repeat_interleave(tokens.valid.shape[1] // along, dim=1)
        tokens = Tokens(tokens.values * valid[..., None], tokens.observed & valid[..., None],
                        tokens.positions, valid)  # fmt: skip
    labels = torch.from_numpy(data.labels[rows])
    return Batch(tokens, torch.from_numpy(rows), target=labels)


def _source(
    data: Patched, own: PatchedSettings, train: NDArray[np.int64], seed: int, *, augment: bool
) -> IndexedBatches:
    return IndexedBatches(
        lambda rows, rng: _gather(data, own, rows, rng if augment else None),
        train,
        data.validation,
        own.batch,
        seed,
    )


def pretrained_encoder(context: Context, data: Patched, own: PatchedSettings) -> nn.Module:
    """Pre-train on all training arrays, with each patch normalised in the loss as in MAE."""
    size = own.patch**2 * data.arrays.shape[-1]
    shared: dict[str, Any] = {"position_axes": 2, "values_per_token": size}
    if own.positions == "absolute":
        shared |= {"absolute_positions": True, "rope_fraction": 0.0}
    widths = {"width": own.width, "heads": own.heads}
    with seeded(context.seed):
        encoder = PointTransformer(
            PointTransformerConfig(depth=own.depth, cls=own.cls, **widths, **shared)
        )
        decoder = PointDecoder(
            PointDecoderConfig(depth=own.decoder_depth, encoder_width=own.width, **widths, **shared)
        )
    config = MaskedTokensConfig(mask_ratio=own.mask_ratio, normalise_targets=True)
    objective = MaskedTokens(encoder, decoder, config)
    source = _source(data, own, data.train, context.seed, augment=False)
    training = {
        "steps": own.pretraining_steps,
        "lr": own.lr,
        "betas": (0.9, 0.95),
        "weight_decay": 0.05,
        "batch_tokens": 2**20,
    }
    context.train(objective, source, training, "pretraining")
    return encoder


def untrained_encoder(encoder: nn.Module, seed: int) -> nn.Module:
    """Return the same architecture with new weights."""
    config: Any = encoder.config
    with seeded(seed + 10_007):
        return PointTransformer(config)


def classified(
    context: Context,
    data: Patched,
    own: PatchedSettings,
    encoder: nn.Module,
    labelled: NDArray[np.int64],
    name: str,
) -> NDArray[np.int64]:
    """Fine-tune a copy of the encoder on labelled arrays; return the classes of the test ones."""
    outputs = int(data.labels.max()) + 1
    config = SupervisedConfig(
        outputs=outputs,
        pooling="cls" if own.cls else "mean",
        label_smoothing=own.label_smoothing,
    )
    with seeded(context.seed + 2):
        objective = Supervised(as_encoder(copy.deepcopy(encoder)), config, torch.ones(outputs))
    source = _source(data, own, labelled, context.seed, augment=True)
    training = {
        "steps": own.tuning_steps,
        "lr": own.lr,
        "betas": (0.9, 0.999),
        "weight_decay": 0.05,
        "batch_tokens": 2**20,
    }
    context.train(objective, source, training, name)
    parts = np.array_split(data.test, -(-len(data.test) // 128))
    batches = (_gather(data, own, rows, None) for rows in parts)
    return np.asarray(stacked(objective, batches, objective.predict).argmax(1))


def class_numbers(labels: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the number of each label in sorted order."""
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)


def moments(arrays: NDArray[Any], rows: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return mean and deviation by channel of some arrays."""
    seen = arrays[rows].astype(np.float32)
    return seen.mean((0, 1, 2)), seen.std((0, 1, 2)) + 1e-6
