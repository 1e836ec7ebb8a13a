"""Masked autoencoding of arrays that all have one shape: model, batches, answers."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.decoders.cross_attention import CrossDecoder, CrossDecoderConfig
from caesura.decoders.point_transformer import PointDecoder, PointDecoderConfig
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.nn.likelihood import Likelihood
from caesura.objectives.masked_tokens import MaskedTokens, MaskedTokensConfig
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context, Settings
from caesura.signal.mask import MaskKind
from caesura.training.indexed import IndexedBatches
from caesura.training.inference import ROWS, run_batches
from caesura.types import Batch, Tokens, as_module


class MaskedSettings(Settings):
    """A small RoMAE and its training; `unit`: how much time is one rotary unit."""

    width: int = 64
    heads: int = 2
    depth: int = 3
    decoder_width: int = 64
    decoder_heads: int = 2
    decoder_depth: int = 2
    decoder: Literal["point_transformer", "cross_attention"] = "point_transformer"
    queries: Literal["independent", "joint"] = "independent"
    cls: bool = False
    absolute_positions: bool = False
    likelihood: Likelihood = "squared"
    mask: MaskKind = "uniform"
    mask_ratio: float = 0.5
    mask_ratio_to: float = 0.0
    unit: float = 1.0
    train: int = 1_600
    validation: int = 200
    test: int = 5_000
    batch: int = 32
    steps: int = 3_000
    lr: float = 1e-3
    warmup: float = 0.1
    precision: Literal["auto", "fp32"] = "fp32"


def batch_of(
    values: NDArray[np.floating],
    times: NDArray[np.floating],
    rows: NDArray[np.int64],
    weight: NDArray[np.floating] | None = None,
) -> Batch:
    """Return series by number: values (series, steps, size), times (steps,) or (series, steps)."""
    chosen = torch.from_numpy(values[rows].astype(np.float32))
    own = times[rows] if times.ndim == 2 else np.broadcast_to(times, (len(rows), len(times)))
    real = torch.ones(chosen.shape[:2], dtype=torch.bool)
    inputs = Tokens(
        values=chosen,
        observed=torch.ones_like(chosen, dtype=torch.bool),
        positions=torch.from_numpy(own.astype(np.float32)[..., None].copy()),
        valid=real,
        weight=None if weight is None else torch.from_numpy(weight[rows].astype(np.float32)),
    )
    return Batch(inputs, torch.from_numpy(rows))


def build(settings: MaskedSettings, size: int, seed: int, axes: int = 1) -> MaskedTokens:
    """Return a new model for tokens of `size` values."""
    sizes = {"position_axes": axes, "values_per_token": size}
    encoder_config = PointTransformerConfig(
        width=settings.width,
        heads=settings.heads,
        depth=settings.depth,
        cls=settings.cls,
        absolute_positions=settings.absolute_positions,
        **sizes,
    )
    reads = {
        "width": settings.decoder_width,
        "heads": settings.decoder_heads,
        "depth": settings.decoder_depth,
        "encoder_width": settings.width,
        "predicts": "value" if settings.likelihood == "squared" else "normal",
        **sizes,
    }
    config = MaskedTokensConfig(
        mask_ratio=settings.mask_ratio,
        mask_ratio_to=settings.mask_ratio_to,
        mask=settings.mask,
        likelihood=settings.likelihood,
    )
    with seeded(seed):
        encoder = PointTransformer(encoder_config)
        if settings.decoder == "cross_attention":
            return MaskedTokens(encoder, CrossDecoder(CrossDecoderConfig.model_validate(reads)),
                                config)  # fmt: skip
        whole = reads | {
            "queries": settings.queries,
            "absolute_positions": settings.absolute_positions,
        }
        decoder = PointDecoder(PointDecoderConfig.model_validate(whole))
    return MaskedTokens(encoder, decoder, config)


def train_masked(
    context: Context,
    values: NDArray[np.floating],
    times: NDArray[np.floating],
    weight: NDArray[np.floating] | None = None,
    settings: MaskedSettings | None = None,
    name: str = "training",
) -> MaskedTokens:
    """Train on the first `train` series and validate on the `validation` ones behind them.

    times are divided by the settings' unit here and in `predict`.
    """
    own: MaskedSettings = settings or context.settings
    objective = build(own, values.shape[-1], context.seed)
    order = np.arange(own.train + own.validation)
    source = IndexedBatches(
        lambda rows, rng: batch_of(values, times / own.unit, rows, weight),
        order[: own.train],
        order[own.train :],
        own.batch,
        context.seed,
    )
    context.train(objective, source, training_settings(own), name)
    return objective


def training_settings(own: MaskedSettings) -> dict[str, object]:
    """Return the loop's settings."""
    return {
        "steps": own.steps,
        "lr": own.lr,
        "warmup": own.warmup,
        "weight_decay": 0.01,
        "betas": (0.9, 0.999),
        "precision": own.precision,
        "batch_tokens": 2**20,
    }


def predict(
    objective: MaskedTokens,
    values: NDArray[np.floating],
    times: NDArray[np.floating],
    hidden: NDArray[np.bool_],
    unit: float,
) -> NDArray[np.float64]:
    """Predict the hidden steps from the others, each series by itself: (series, steps, size).

    With a likelihood the last axis has the means, then the raw deviations. What was not
    hidden is NaN.
    """

    def batch(rows: NDArray[np.int64]) -> tuple[Tokens, Tokens, NDArray[np.int64]]:
        tokens = batch_of(values, times / unit, rows).inputs
        assert isinstance(tokens, Tokens)
        lost = torch.from_numpy(hidden[rows])
        seen, asked = (tokens.select(*_places(kept)) for kept in (~lost, lost))
        return seen, asked, rows

    def read(batch: tuple[Tokens, Tokens, NDArray[np.int64]]) -> torch.Tensor:
        seen, asked, _ = batch
        return objective.decoder(objective.encoder(seen), asked.without_values())[asked.valid]

    answer: NDArray[np.float64] | None = None
    parts = np.array_split(np.arange(len(values)), -(-len(values) // ROWS))
    for (_, _, rows), predicted in run_batches(as_module(objective), map(batch, parts), read):
        if answer is None:
            answer = np.full((*hidden.shape, predicted.shape[-1]), np.nan)
        row, step = np.nonzero(hidden[rows])
        answer[rows[row], step] = predicted
    assert answer is not None
    return answer


def _places(kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    from caesura.signal.mask import keep_indices

    return keep_indices(kept)


def random_hidden(
    rng: np.random.Generator, count: int, steps: int, observed: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Hide all but `observed` random steps of each series."""
    rank = rng.random((count, steps)).argsort(1).argsort(1)
    return np.asarray(rank >= observed[:, None])
