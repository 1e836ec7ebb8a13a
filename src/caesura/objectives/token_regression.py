"""Values for each token: one linear head on every place of the encoder's features.

RoMAE, arXiv 2505.20535, sec. 5.1 (the position of each token). For the pendulum the paper
reads all frames from [CLS] (`objectives.supervised` does so); a head a frame is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from caesura.nn.heads import LinearHead
from caesura.types import Batch, Encoder, Loss, as_module


class TokenRegressionConfig(BaseModel):
    """`outputs`: values predicted for each token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["token_regression"] = "token_regression"
    outputs: int = Field(default=1, gt=0, le=10**6)


class TokenRegression(nn.Module):
    """Mean squared error over real tokens; `target` of the batch is (batch, tokens, outputs).

    Targets should be standardised on training rows: raw ones far from zero take most of a
    training to reach their mean (docs/departures.md).
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "required"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: TokenRegressionConfig) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        self.head = LinearHead(encoder.widths[-1], config.outputs)

    def predict(self, batch: Batch) -> Float[torch.Tensor, "batch tokens outputs"]:
        """Return the prediction at each token, in float32."""
        predicted: torch.Tensor = self.head(self.encoder(batch.inputs).levels[-1].features)
        return predicted.float()

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one labelled batch; draws nothing from `rng`."""
        tokens = self.encoder.tokenise(batch.inputs)
        if batch.target is None or batch.target.shape[:2] != tokens.valid.shape:
            shape = None if batch.target is None else tuple(batch.target.shape)
            raise ValueError(
                f"a target of shape {shape}; it needs a row of {self.config.outputs} for each "
                f"of {tuple(tokens.valid.shape)} tokens"
            )
        error = (self.predict(batch) - batch.target.float()).square().mean(-1)
        count = tokens.valid.sum()
        return Loss((error * tokens.valid).sum() / count.clamp(min=1), count.float())

    def after_step(self, carry: Mapping[str, torch.Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder and the head survive."""
        return {"encoder": as_module(self.encoder), "head": self.head}
