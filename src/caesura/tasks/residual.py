"""Measures what a decoder of codes leaves out, and how what it draws is distributed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caesura.nn.dual_path import Answer
from caesura.nn.normalise import at_least_float
from caesura.objectives.scale_tokens import ScaleTokens, with_latent
from caesura.signal.noise import keyed_uniform
from caesura.training.config import TrainingConfig
from caesura.training.inference import evaluating, move
from caesura.training.loop import VALIDATION_STEP, BatchSource, step_generator
from caesura.types import Batch

_ENOUGH = 100_000
"""Samples of windows that trained by which noise and channels' quantiles are measured."""
_MOST = 2**24
"""Numbers of all channels that are held for it at most."""


class _Decoded(NamedTuple):
    """Windows, what their own codes say of them, its deviation, and what was measured."""

    real: Tensor
    said: Tensor
    spread: Tensor
    observed: Tensor


def measure_residual(objective: ScaleTokens, source: BatchSource) -> dict[str, float]:
    """Fit the decoder's noise, then its margins, to windows that trained.

    Codes will be drawn as those windows have them, and what they decode to lacks what theirs
    lacks: noise is fitted to their rests, each by its predicted deviation, and margins to what
    they decode to with noise. Held-out windows are of another time, and may be rougher.

    Returns "unexplained", the share of variance that rests are, and "step_ratio", how large steps
    of the decoded windows with noise are beside those of the real ones: 1 is right, and windows of
    more are rougher (root mean squares of both, mean over channels that move). Both of held-out
    windows.
    """
    decoder: Any = objective.decoder
    rng = step_generator(0, VALIDATION_STEP)
    with evaluating(objective) as device:
        held = _decoded(objective, (move(batch, device) for batch in source.validation(0, 1)))
        trained = _decoded(objective, (move(batch, device) for batch in _some(source)))
        decoder.noise.measure(_rest(trained) / trained.spread, trained.observed)
        decoder.margins.measure(_drawn(decoder, trained, rng), trained.real, trained.observed)
        made = decoder.margins(_drawn(decoder, held, rng))
        ratio = _step_ratio(made, held.real, held.observed)
    power = _rest(held).square().sum() / (held.real.square() * held.observed).sum().clamp(min=1e-12)
    return {"unexplained": float(power), "step_ratio": ratio}


def measured_steps(settings: TrainingConfig, source: BatchSource) -> int:
    """Return the training batches that `measure_residual` reads, at most."""
    return min(source.steps_per_epoch(1), 1 + _ENOUGH // settings.batch_tokens)


def _some(source: BatchSource) -> Iterator[Batch]:
    """Yield enough of the windows that trained, each once at most."""
    samples = numbers = 0
    for step in range(source.steps_per_epoch(1)):
        for batch in source.training(step, 0, 1):
            inputs: Any = batch.inputs
            samples += len(inputs.values) * inputs.values.shape[-1]
            numbers += inputs.values.numel()
            yield batch
        if samples >= _ENOUGH or numbers >= _MOST:
            return


def _decoded(objective: ScaleTokens, batches: Iterable[Batch]) -> _Decoded:
    """Return windows as their own codes say them, normalised."""
    decoder, found = objective.decoder, []
    for batch in batches:
        inputs: Any = batch.inputs
        features = objective.encoder(inputs)
        draw = partial(keyed_uniform, step_generator(0, VALIDATION_STEP), batch.index)
        latent = objective.tokenizer(features.levels[-1].features.mT, draw).partial[-1]
        asked = decoder(with_latent(features, latent), inputs.without_values(), split=True)
        said = Answer.of(asked)
        real = objective.encoder.scale_of(inputs).normalised(at_least_float(inputs.values)).float()
        found.append((real, said.parts.sum(1), said.log_deviation.exp(), inputs.observed))
    return _Decoded(*(torch.cat(each) for each in zip(*found, strict=True)))


def _rest(windows: _Decoded) -> Tensor:
    return (windows.real - windows.said) * windows.observed


def _drawn(decoder: Any, windows: _Decoded, rng: torch.Generator) -> Tensor:
    rows, _, time = windows.said.shape
    noise: Tensor = decoder.noise.draw(rows, time, rng)
    return windows.said + noise * windows.spread


def _step_ratio(made: Tensor, real: Tensor, observed: Tensor) -> float:
    """Return the mean over channels of (rows, channels, time); 1 where none ever moves."""
    pair = observed[..., 1:] & observed[..., :-1]
    ours, theirs = ((x.diff(dim=-1).square() * pair).sum((0, 2)) for x in (made, real))
    moving = theirs > 0
    return float((ours / theirs)[moving].sqrt().mean()) if bool(moving.any()) else 1.0
