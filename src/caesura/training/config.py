"""Settings of the training loop."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from caesura.training.precision import Precision, Products

Service = Literal["tensorboard", "mlflow", "wandb"]


class TrainingConfig(BaseModel):
    """How long, how fast and how precisely to train; one of steps, epochs, minutes is set.

    Defaults are those of measured trials on a CPU (docs/log.md), not the paper's, whose
    settings differ by experiment; `romae` recipes for the paper's tables set their own.

    precision, products (of fp32), plain_attention (longest row without the fused kernel, -1:
    probed), batches ("auto": random ones on a CPU, where packing makes them cheap, length
    buckets on a GPU): see `training.arithmetic`; a run's recipe holds what was chosen.
    compile: "auto" compiles a run in buckets that has ten minutes or more to go.
    threads: 0, half of the cores.
    track: services that also show the metrics, e.g. ["tensorboard"] (`training.track`).
    recalibrate: batches by which batch normalisation is estimated anew, on unmasked inputs,
    after a pre-training; 0: not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=0, ge=0)
    epochs: float = Field(default=0, ge=0)
    minutes: float = Field(default=0, ge=0)
    batch_tokens: int = Field(default=4096, gt=0)
    max_tokens: int = Field(default=1024, gt=1)
    lr: float = Field(default=2e-3, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = Field(default=1.0, gt=0)
    evaluate_every: int = Field(default=0, ge=0)
    patience: int = Field(default=0, ge=0)
    precision: Precision = "auto"
    products: Products = "auto"
    plain_attention: int = Field(default=-1, ge=-1)
    batches: Literal["auto", "random", "buckets"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    strategy: Literal["single", "ddp", "fsdp"] = "single"
    threads: int = Field(default=0, ge=0)
    recalibrate: int = Field(default=0, ge=0)
    track: tuple[Service, ...] = ()

    @model_validator(mode="after")
    def _one_length(self) -> TrainingConfig:
        given = [name for name in ("steps", "epochs", "minutes") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both set; set one length, the others to 0")
        return self
