"""Measures what a decoder of codes leaves out, on windows that did not train."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from caesura.nn.dual_path import Answer
from caesura.objectives.scale_tokens import ScaleTokens, with_latent
from caesura.signal.noise import keyed_uniform
from caesura.tasks.needs import inference
from caesura.training.loop import VALIDATION_STEP, BatchSource, step_generator


def measure_residual(objective: ScaleTokens, source: BatchSource) -> float:
    """Fit the decoder's noise to the rests of held-out windows, each by its predicted deviation;
    return the share of variance that they are."""
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
        decoder.noise.measure(rest / torch.cat(spreads), seen)
    power = (rest.square() * seen).sum() / (whole.square() * seen).sum().clamp(min=1e-12)
    return float(power)
