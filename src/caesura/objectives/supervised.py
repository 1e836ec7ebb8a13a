"""Fine-tuning: a head on the encoder's features, trained with the labels.

RoMAE, arXiv 2505.20535, sec. 3.1 and appendix D; class weights and multi-label are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import RecipeError
from caesura.nn.heads import LinearHead, Pooling, StandardisedHead, pooled, pooled_width
from caesura.nn.lora import add_low_rank
from caesura.nn.norm import has_batch_statistics
from caesura.signal.statistics import STATISTICS, input_statistics
from caesura.types import Batch, Encoder, Features, Grid, Loss, as_module


class SupervisedConfig(BaseModel):
    """Settings of fine-tuning.

    pooling: "cls" and "mean" are the paper's read-outs; "cls+mean" joins both, and beat
    either alone in frozen trials. "mean+last" is for forecasts. "levels" joins the means of all
    levels; "auto" is "cls+mean" where there is a [CLS], else "levels".
    lora_rank: above 0, the encoder's linear layers change by matrices of this rank alone, and
    the head is trained (Transformers); lora_alpha scales the change.
    class_weights: "balanced" weighs a class by its inverse frequency in the loss, and predicts the
    class whose probability is highest beside its share. "auto" leaves the loss alone and predicts
    half-way between that and the likeliest class, where classes are unequal. "off": the likeliest.
    Probabilities are those at the shares of the training labels in each case.
    start: "linear" begins at a linear model fitted to the frozen features, and keeps it where no
    step is better on validation data; "random" begins with a head drawn anew.
    tune: False keeps the linear start as it is, and takes no step.
    statistics: how many plain statistics of what is visible the head reads beside the features;
    0: none; -1: all of them where inner folds of the training part find them useful; any other
    number: all of them.
    limit: standardised inputs of a head that starts as a linear model count as so many deviations
    at most; 0: no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["supervised"] = "supervised"
    task: Literal["classification", "regression", "multilabel"] = "classification"
    outputs: int = Field(default=2, gt=0, le=10**6)
    pooling: Pooling = "auto"
    class_weights: Literal["off", "auto", "balanced"] = "off"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    head_dropout: float = Field(default=0.0, ge=0, lt=1)
    freeze: bool = False
    start: Literal["random", "linear"] = "random"
    tune: bool = True
    statistics: int = Field(default=0, ge=-1, le=10**7)
    limit: float = Field(default=0.0, ge=0, le=1e6)
    lora_rank: int = Field(default=0, ge=0, le=4096)
    lora_alpha: float = Field(default=16.0, gt=0)
    conditions: int = Field(default=0, ge=0, le=10**6)

    @model_validator(mode="after")
    def _one_way(self) -> SupervisedConfig:
        if self.freeze and self.lora_rank:
            raise ValueError(
                "freeze trains the head alone and lora_rank changes the encoder; set one"
            )
        if self.start == "random" and (not self.tune or self.statistics > 0):
            raise ValueError(
                "tune=false and statistics are of a head that starts as a linear model; set "
                "start=linear"
            )
        return self


def build_head(config: SupervisedConfig, encoder: Encoder) -> LinearHead | StandardisedHead:
    """Return a new head of the width that `head_inputs` has for this encoder."""
    statistics = max(config.statistics, 0)
    width = pooled_width(encoder, config.pooling) + config.conditions + statistics
    if config.start == "linear":
        return StandardisedHead(width, config.outputs, config.head_dropout, config.limit)
    return LinearHead(width, config.outputs, config.head_dropout)


def head_inputs(
    config: SupervisedConfig, features: Features, batch: Batch
) -> Float[Tensor, "batch dim"]:
    """Return what a head reads: the pooled features, static columns, and plain statistics."""
    vector = pooled(features, config.pooling)
    if batch.condition is not None and config.conditions:
        vector = torch.cat([vector, batch.condition.to(vector.dtype)], dim=-1)
    if config.statistics > 0:
        size = 1 if isinstance(batch.inputs, Grid) else batch.inputs.values.shape[-1]
        plain = input_statistics(batch.inputs, config.statistics // (size * len(STATISTICS)))
        vector = torch.cat([vector, plain.to(vector.dtype)], dim=-1)
    return vector


class Supervised(nn.Module):
    """Cross-entropy, binary cross-entropy a label, or squared error on standardised targets.

    `target` of the batch: class numbers (batch,), or float (batch, outputs). `balance`
    holds the class weights (outputs,), 1 where unused.
    """

    comparable = True
    target: Literal["none", "required"] = "required"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed
    balance: Tensor

    def __init__(self, encoder: Encoder, config: SupervisedConfig, balance: Tensor) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        self.needs_random_batches = not config.freeze and has_batch_statistics(as_module(encoder))
        self.head = build_head(config, encoder)
        self.register_buffer("balance", balance, persistent=False)
        if config.freeze:
            as_module(encoder).requires_grad_(False)
        elif config.lora_rank and not add_low_rank(
            as_module(encoder), config.lora_rank, config.lora_alpha
        ):
            raise RecipeError(
                "lora_rank is for encoders with linear layers (romae); this one has none: "
                "fine-tune it whole, or freeze it"
            )

    def predict(self, batch: Batch) -> Float[Tensor, "batch outputs"]:
        """Return logits, or standardised values of a regression."""
        predicted: Tensor = self.head(head_inputs(self.config, self.encoder(batch.inputs), batch))
        return predicted.float()

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one labelled batch; draws nothing from `rng`."""
        if batch.target is None:
            raise ValueError("supervised training needs a batch with a target; got none")
        predicted, config = self.predict(batch), self.config
        if config.task == "classification":
            each = F.cross_entropy(
                predicted,
                batch.target,
                weight=self.balance,
                reduction="none",
                label_smoothing=config.label_smoothing,
            )
            weight = self.balance[batch.target]
        else:
            loss = F.mse_loss if config.task == "regression" else F.binary_cross_entropy_with_logits
            each = loss(predicted, batch.target.float(), reduction="none").mean(-1)
            weight = torch.ones_like(each)
        count = weight.sum()
        return Loss(each.sum() / count.clamp(min=1e-9), count)

    def train(self, mode: bool = True) -> Supervised:
        """Keep a frozen encoder in eval mode: frozen means no dropout and no statistics."""
        super().train(mode)
        if self.config.freeze:
            as_module(self.encoder).train(False)
        return self

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder and the head survive."""
        return {"encoder": as_module(self.encoder), "head": self.head}
