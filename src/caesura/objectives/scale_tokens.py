"""TimeMAR's first stage: windows become codes of several scales, and codes windows again.

TimeMAR, arXiv 2601.11184, sec. 4.2 and 4.3. Weights are our choice (the paper's are not known to
us), and the decoder's fine path never sees the true coarse season. Codes follow their vectors by
moving averages; what is chosen by held-out reconstruction is never the reported metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.decompose import Components
from caesura.nn.dual_path import Answer
from caesura.nn.normalise import at_least_float
from caesura.nn.quantise import QuantiserConfig, ScaleQuantiser
from caesura.signal.noise import keyed_uniform
from caesura.types import Batch, Features, Grid, Level, Loss, Scale, ScaledEncoder, as_module


@runtime_checkable
class ComponentEncoder(ScaledEncoder, Protocol):
    """An encoder of grids that splits them into parts."""

    def components(self, inputs: Grid, scale: Scale) -> Components:
        """Return the parts of the normalised values."""


@runtime_checkable
class SplitDecoder(Protocol):
    """A decoder that can give its parts and how sure it is."""

    def __call__(self, features: Features, query: Grid, split: bool = False) -> Tensor:
        """Predict; with `split` trend, coarse and fine part and the logarithm of the deviation,
        (batch, 4, channels, time), and perhaps the logits of being measured as a fifth."""


_SPREAD_WEIGHT = 1e-3
_STILL = 0.005
"""Root mean square of steps, in deviations, of a window that counts as not moving."""


class ScaleTokensConfig(BaseModel):
    """Settings: of the codebook, and the weights of components, of steps, of what was measured, and
    of quantisation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["scale_tokens"] = "scale_tokens"
    quantiser: QuantiserConfig = QuantiserConfig()
    component_weight: float = Field(default=0.1, ge=0)
    step_weight: float = Field(default=0.1, ge=0)
    presence_weight: float = Field(default=0.5, ge=0)
    quantiser_weight: float = Field(default=0.25, ge=0)


class ScaleTokens(nn.Module):
    """loss = mse(sum of parts, values) + a sum over parts of mse(part, true part) + s log(1 + error
    of steps over steps) + b commitment.

    Over observed samples, on the scale that the encoder normalised by. True parts have no
    gradient, or the gate could shrink the loss by moving all into one part. A step is what a sample
    adds to the one before, and counts by how much its channel moves in its window: where levels
    differ far more than a window moves, errors that are small beside levels would be all that is
    seen of its course. The deviation of what is left learns by a normal likelihood of its own,
    weighted so little that the choice of the best weights is by the rest. Commitment only trains:
    windows of a time that codes were not learned from stay far from all of them, however well they
    are reconstructed, and the best weights would be those of an early step. Where samples are
    missing, codes also say which were measured, so that irregular series come out irregular.
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {
        "code_hits": "sum", "code_sums": "sum", "offered": "sum", "offered_sums": "sum",
    }  # fmt: skip  # never changed

    def __init__(
        self, encoder: ComponentEncoder, decoder: SplitDecoder, config: ScaleTokensConfig
    ) -> None:
        super().__init__()
        self.encoder, self.decoder, self.config = encoder, decoder, config
        self.tokenizer = ScaleQuantiser(config.quantiser)

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch; `rng` draws what unused codes become."""
        inputs, config = batch.inputs, self.config
        if not isinstance(inputs, Grid):
            raise TypeError(f"scale_tokens takes a Grid; got {type(inputs).__name__}")
        features = self.encoder(inputs)
        latent = features.levels[-1].features.mT
        found = self.tokenizer(latent, partial(keyed_uniform, rng, batch.index))
        through = latent + (found.partial[-1] - latent).detach()
        said = self.decoder(with_latent(features, through), inputs.without_values(), split=True)
        parts, spread, presence = Answer.of(said)
        scale = features.scale
        if scale is None:
            raise TypeError("scale_tokens needs an encoder that says what it normalised by")
        goal = scale.normalised(at_least_float(inputs.values)).float()
        true = torch.stack(self.encoder.components(inputs, scale), 1).detach()
        seen = inputs.observed.float()
        count = seen.sum().clamp(min=1)
        square = (parts.sum(1) - goal).square() * seen
        error = square.sum() / count
        by_part = ((parts - true).square() * seen[:, None]).sum() / count
        unsure = (0.5 * square.detach() * (-2 * spread).exp() + spread * seen).sum() / count
        rough = roughness(parts.sum(1), goal, inputs.observed).sum() / count
        total = error + config.component_weight * by_part + config.step_weight * rough
        total = total + _SPREAD_WEIGHT * unsure
        if presence is not None:
            unlikely = F.binary_cross_entropy_with_logits(presence, seen, reduction="none")
            unlikely = unlikely.mean((1, 2))
            total = total + config.presence_weight * (unlikely * seen.sum((1, 2))).sum() / count
        # rows by their observed samples, as all else is: a cut into parts must change nothing
        commitment = (found.commitment * seen.sum((1, 2))).sum() / count
        if self.training:
            total = total + config.quantiser_weight * commitment
        logged = {"mse": error.detach(), "roughness": rough.detach()}
        logged |= {"log_likelihood": -unsure.detach()}
        logged |= {"commitment": commitment.detach()}
        if not self.training:
            logged |= self.tokenizer.usage(found.codes)
        return Loss(total, count, parts=logged, carry=found.carry)

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Move the codebook."""
        self.tokenizer.learn(carry)

    def parts(self) -> Mapping[str, nn.Module]:
        """Encoder, codebook and decoder survive."""
        return {
            "encoder": as_module(self.encoder),
            "tokenizer": self.tokenizer,
            "decoder": as_module(self.decoder),
        }


def roughness(
    said: Float[Tensor, "batch channels time"],
    goal: Float[Tensor, "batch channels time"],
    observed: Bool[Tensor, "batch channels time"],
) -> Float[Tensor, "batch channels"]:
    """Return log(1 + power of the errors of steps / power of the steps), times their samples.

    A step is between two neighbours that were both observed; a row without any counts nothing.
    """
    pair = (observed[..., 1:] & observed[..., :-1]).float()
    steps = pair.sum(-1).clamp(min=1)
    moved = (goal.diff(dim=-1).square() * pair).sum(-1) / steps
    missed = ((said - goal).diff(dim=-1).square() * pair).sum(-1) / steps
    return torch.log1p(missed / (moved + _STILL**2)) * pair.sum(-1)


def with_latent(features: Features, latent: Tensor) -> Features:
    """Return features whose last level holds other vectors (batch, width, places)."""
    last = features.levels[-1]
    level = Level(latent.mT, last.valid, last.positions, last.hop_s, last.reach_s)
    return Features((level,), scale=features.scale)
