"""Measures what a decoder of codes leaves out, on windows that did not train."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from caesura.nn.dual_path import Answer
from caesura.objectives.scale_tokens import ScaleTokens, with_latent
from caesura.signal.noise import keyed_uniform
from caesura.tasks.needs import inference
from caesura.training.loop import VALIDATION_STEP, BatchSource, step_generator


def measure_residual(objective: ScaleTokens, source: BatchSource) -> dict[str, float]:
    """Fit the decoder's noise to the rests of held-out windows, each by its predicted deviation.

    Returns "unexplained", the share of variance that rests are, and "step_ratio", how large steps
    of the decoded windows with noise are beside those of the real ones: 1 is right, and windows of
    more are rougher (root mean squares of both, mean over channels that move).
    """
    decoder: Any = objective.decoder
    rests, spreads, observed, values = [], [], [], []
    with inference(objective):
        for batch in source.validation(0, 1):
            inputs: Any = batch.inputs
            features = objective.encoder(inputs)
            latent = features.levels[-1].features.mT
            draw = partial(keyed_uniform, step_generator(0, VALIDATION_STEP), batch.index)
            found = objective.tokenizer(latent, draw)
            query = inputs.without_values()
            said = Answer.of(decoder(with_latent(features, found.partial[-1]), query, split=True))
            true = objective.encoder.scale_of(inputs).normalised(inputs.values.float())
            rests.append((true - said.parts.sum(1)) * inputs.observed)
            spreads.append(said.log_deviation.exp())
            observed.append(inputs.observed)
            values.append(true)
        rest, seen, whole = torch.cat(rests), torch.cat(observed), torch.cat(values)
        spread = torch.cat(spreads)
        decoder.noise.measure(rest / spread, seen)
        rng = step_generator(0, VALIDATION_STEP)
        noise = decoder.noise.draw(len(rest), rest.shape[-1], rng) * spread
        ratio = _step_ratio(whole - rest + noise, whole, seen)
    power = (rest.square() * seen).sum() / (whole.square() * seen).sum().clamp(min=1e-12)
    return {"unexplained": float(power), "step_ratio": ratio}


def _step_ratio(made: Tensor, real: Tensor, observed: Tensor) -> float:
    """Return the mean over channels of (rows, channels, time); 1 where none ever moves."""
    pair = observed[..., 1:] & observed[..., :-1]
    ours, theirs = ((x.diff(dim=-1).square() * pair).sum((0, 2)) for x in (made, real))
    moving = theirs > 0
    return float((ours / theirs)[moving].sqrt().mean()) if bool(moving.any()) else 1.0
