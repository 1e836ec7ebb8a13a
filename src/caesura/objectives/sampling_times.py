"""The stage between TimeMAR's two, for data with gaps: what is measured when, step after step.

Codes say how likely each sample was measured, each by itself; a prior of sampling times
(`nn.timing`) learns here how one follows from another. Ours; TimeMAR knows regular series alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.dual_path import Answer
from caesura.nn.quantise import ScaleQuantiser
from caesura.objectives.scale_tokens import SplitDecoder, with_latent
from caesura.signal.noise import keyed_uniform
from caesura.types import Batch, Encoder, Grid, Loss, as_module


@runtime_checkable
class TimedDecoder(SplitDecoder, Protocol):
    """A decoder that also says what is measured when."""

    def time_prior(self) -> nn.Module | None:
        """Return the prior of sampling times, which takes the decoder's logits as hints.

        None: this one does not say what is measured.
        """


class SamplingTimesConfig(BaseModel):
    """Errors that it learns from: measurements of the history left out, others put in, and codes
    replaced by any others.

    What is drawn is not quite as what was seen, and without them a first error ends a rhythm.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["sampling_times"] = "sampling_times"
    dropped: float = Field(default=0.15, ge=0, lt=1)
    added: float = Field(default=0.01, ge=0, lt=1)
    corrupted: float = Field(default=0.3, ge=0, lt=1)


class SamplingTimes(nn.Module):
    """loss = the negative log likelihood of a sample's being measured or not, given what the codes
    of its window say and all samples before it.

    Only the decoder's `timing` learns.
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(
        self,
        encoder: Encoder,
        tokenizer: ScaleQuantiser,
        decoder: TimedDecoder,
        config: SamplingTimesConfig,
    ) -> None:
        super().__init__()
        self.encoder, self.tokenizer, self.decoder, self.config = (
            encoder, tokenizer, decoder, config,
        )  # fmt: skip
        for frozen in (as_module(encoder), tokenizer, as_module(decoder)):
            frozen.requires_grad_(False)
        self._prior().requires_grad_(True)

    def train(self, mode: bool = True) -> SamplingTimes:
        """Keep what came from the stage before evaluating."""
        super().train(mode)
        for frozen in (as_module(self.encoder), self.tokenizer, as_module(self.decoder)):
            frozen.train(False)
        self._prior().train(mode)
        return self

    def _prior(self) -> nn.Module:
        prior = self.decoder.time_prior()
        if prior is None:
            raise TypeError("sampling_times needs a decoder that says what is measured")
        return prior

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch; `rng` draws the errors."""
        inputs, config = batch.inputs, self.config
        if not isinstance(inputs, Grid):
            raise TypeError(f"sampling_times takes a Grid; got {type(inputs).__name__}")
        with torch.no_grad():
            features = self.encoder(inputs)
            latent = features.levels[-1].features.mT
            draw = partial(keyed_uniform, rng, batch.index)
            corrupted = config.corrupted if self.training else 0.0
            codes = self.tokenizer(latent, draw, corrupted).partial[-1]
            query = inputs.without_values()
            said = self.decoder(with_latent(features, codes), query, split=True)
        hints = Answer.of(said).presence
        if hints is None:
            raise TypeError("sampling_times needs a decoder that says what is measured")
        history = inputs.observed
        if self.training:
            drawn = keyed_uniform(rng, batch.index, history[0].numel()).view(history.shape)
            history = torch.where(history, drawn >= config.dropped, drawn < config.added)
        scores = self._prior()(hints, inputs.observed, history)
        total = F.binary_cross_entropy_with_logits(scores, inputs.observed.float())
        by_codes = F.binary_cross_entropy_with_logits(hints, inputs.observed.float())
        return Loss(
            total, torch.tensor(float(scores.numel())), parts={"codes alone": by_codes.detach()}
        )

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Do nothing; there are no statistics."""

    def parts(self) -> Mapping[str, nn.Module]:
        """Encoder, codebook and decoder survive."""
        return {
            "encoder": as_module(self.encoder),
            "tokenizer": self.tokenizer,
            "decoder": as_module(self.decoder),
        }
