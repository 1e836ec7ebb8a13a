"""TimeMAR's second stage: the codes of each scale from the coarser ones.

TimeMAR, arXiv 2601.11184, sec. 4.3, after VAR (arXiv 2404.02905). Ours: codes are replaced at
random before finer scales see them, whose right codes then mend what was replaced; windows are
shown in part, so that one model generates, imputes and forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.normalise import at_least_float
from caesura.nn.quantise import ScaleQuantiser
from caesura.nn.scale_prior import ScalePrior
from caesura.nn.scale_transformer import ScaleTransformerConfig
from caesura.nn.teacher import follow, frozen_copy
from caesura.signal.known import show_part
from caesura.signal.noise import keyed_uniform
from caesura.types import Batch, Encoder, Grid, Loss, as_module

_COMPARED_AT = 2.0
"""Temperature at which weights are compared on held-out windows."""


class NextScaleConfig(ScaleTransformerConfig):
    """Settings beside the size: shares of codes replaced, of windows shown in part, of
    conditions dropped; momentum of the average of weights that is evaluated and kept.
    `conditions` (numbers of a series) comes from the data."""

    type: Literal["next_scale"] = "next_scale"
    corrupted: float = Field(default=0.1, ge=0, lt=1)
    shown: float = Field(default=0.5, ge=0, le=1)
    dropped: float = Field(default=0.1, ge=0, le=1)
    momentum: float = Field(default=0.99, ge=0, lt=1)
    conditions: int = Field(default=0, ge=0, le=65_536)


class NextScale(nn.Module):
    """loss = mean over places of all scales of the cross-entropy of their codes.

    Encoder, codebook and decoder come from the stage before and stay as they are. What is
    evaluated and kept is a moving average of the prior: at a high learning rate the prior itself
    may have a good loss and yet draw each code too often or too seldom. It is compared at a
    temperature of 2: of few windows a prior grows too sure of codes that nothing is known of long
    before it has learned to follow what is known, and its likelihood as it is says the first alone
    (docs/log.md).
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed
    steps: Tensor

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: ScaleQuantiser,
        decoder: nn.Module,
        prior: ScalePrior,
        config: NextScaleConfig,
    ) -> None:
        super().__init__()
        self.encoder, self.prior, self.config = encoder, prior, config
        self.tokenizer, self.decoder = tokenizer, decoder
        self.average = frozen_copy(prior)
        self.register_buffer("steps", torch.tensor(0))
        for frozen in (as_module(encoder), tokenizer, decoder):
            frozen.requires_grad_(False)

    def train(self, mode: bool = True) -> NextScale:
        """Keep what came from the stage before evaluating."""
        super().train(mode)
        for frozen in (as_module(self.encoder), self.tokenizer, self.decoder, self.average):
            frozen.train(False)
        return self

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch; `rng` draws what is replaced, shown and dropped."""
        inputs, config = batch.inputs, self.config
        if not isinstance(inputs, Grid):
            raise TypeError(f"next_scale takes a Grid; got {type(inputs).__name__}")
        with torch.no_grad():
            features = self.encoder(inputs)
            latent = features.levels[-1].features.mT
            corrupted = config.corrupted if self.training else 0.0
            found = self.tokenizer(latent, partial(keyed_uniform, rng, batch.index), corrupted)
            if features.scale is None:
                raise TypeError("next_scale needs an encoder that says what it normalised by")
            values = (
                features.scale.normalised(at_least_float(inputs.values)).float() * inputs.observed
            )
            seen = show_part(inputs.observed, batch.index, rng, config.shown)
        dropped = keyed_uniform(rng, batch.index, 1)[:, 0] < config.dropped
        prior = self.prior if self.training else self.average
        scores = prior(
            found.partial[:-1],
            [code.shape[1] for code in found.codes],
            prior.known(values, seen),
            batch.condition if config.conditions else None,
            dropped,
        )
        flat = torch.cat(scores, 1).flatten(0, 1).float()
        flat = flat if self.training else flat / _COMPARED_AT
        total = F.cross_entropy(flat, torch.cat(found.codes, 1).flatten())
        logged = {
            f"nats_scale_{number}": F.cross_entropy(s.detach().flatten(0, 1).float(), c.flatten())
            for number, (s, c) in enumerate(zip(scores, found.codes, strict=True))
        }
        return Loss(total, torch.tensor(float(len(flat)), device=flat.device), parts=logged)

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Move the average, fast at first."""
        self.steps += 1
        steps = float(self.steps)
        follow(self.average, self.prior, min(self.config.momentum, steps / (steps + 9)))

    def parts(self) -> Mapping[str, nn.Module]:
        """All that is needed to generate survives."""
        return {
            "encoder": as_module(self.encoder),
            "tokenizer": self.tokenizer,
            "decoder": self.decoder,
            "prior": self.average,
        }
