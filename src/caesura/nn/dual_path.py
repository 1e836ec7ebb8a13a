"""What TimeMAR's encoder and decoder share: their sizes and blocks of convolutions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.nn.attend import attend
from caesura.nn.norm import RMSNorm


class DualPathConfig(BaseModel):
    """Sizes of a dual path; the paper's are not known to us, and all are our choice.

    width: of the convolutions. latent: of the places that are quantised. halvings: how often the
    encoder halves the rate, so that a place stands for 2^halvings samples. hop: samples of the
    coarse seasonal part that become one. paths: "dual", or "single" without a decomposition.
    rank: directions of channels that are read in place of the channels, 0: the channels themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(default=1, gt=0, le=65_536)
    width: int = Field(default=96, gt=0, le=65_536)
    latent: int = Field(default=32, gt=0, le=4096)
    halvings: int = Field(default=2, ge=0, le=12)
    hop: int = Field(default=4, gt=0, le=4096)
    heads: int = Field(default=4, gt=0, le=1024)
    paths: str = Field(default="dual", pattern="^(dual|single)$")
    rank: int = Field(default=0, ge=0, le=65_536)

    @model_validator(mode="after")
    def _fits(self) -> DualPathConfig:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not split into {self.heads} heads")
        return self

    @property
    def rows(self) -> int:
        """Channels that convolutions read and write: those of the data, or directions of them."""
        return self.rank or self.channels


class Answer(NamedTuple):
    """What a decoder says with `split`: trend, coarse and fine part (batch, 3, channels, time), the
    logarithm of the deviation of what they leave, and the logits of being measured, if it has any,
    (batch, channels, time)."""

    parts: Tensor
    log_deviation: Tensor
    presence: Tensor | None

    @classmethod
    def of(cls, said: Float[Tensor, "batch said channels time"]) -> Answer:
        """Take four or five rows apart, in float32."""
        said = said.float()
        return cls(said[:, :3], said[:, 3], said[:, 4] if said.shape[1] > 4 else None)


class DilatedBlock(nn.Module):
    """x + convolutions of dilations 3 and 1 of x, each after SiLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv1d(width, width, 3, padding=3, dilation=3, padding_mode="replicate")
        self.near = nn.Conv1d(width, width, 3, padding=1, padding_mode="replicate")

    def forward(self, x: Float[Tensor, "batch width time"]) -> Tensor:
        """Add what the convolutions find."""
        moved: Tensor = x + self.near(F.silu(self.wide(F.silu(x))))
        return moved


class Mixer(nn.Module):
    """Cross-attention of a sequence with another one, added to it, and a norm before."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm = heads, RMSNorm(width)
        self.ask = nn.Linear(width, width, bias=False)
        self.answer = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Float[Tensor, "batch queries width"], other: Float[Tensor, "batch keys width"]
    ) -> Float[Tensor, "batch queries width"]:
        """Return x with what it asked of the other."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.ask(self.norm(x)), *self.answer(other).chunk(2, -1))
        )
        mixed = attend(q, k, v, None)
        added: Tensor = x + self.out(mixed.transpose(1, 2).flatten(2))
        return added


def centres(places: int, hop: int, like: Tensor) -> Float[Tensor, " places"]:
    """Return the middle of each place in samples."""
    at: Tensor = (torch.arange(places, device=like.device, dtype=torch.float32) + 0.5) * hop - 0.5
    return at
