"""Next-patch prediction: each token says what comes at the next one's place; nobody looks ahead.

The dividend's "NTP" (arXiv 2605.19462) predicts six patches from the last six, normalised by
statistics of the future; here every token predicts its successor, and an encoder normalises
each token by what was seen up to it. Works on irregular observations: the head is told where
the next one lies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from caesura.errors import RecipeError
from caesura.nn.norm import RMSNorm
from caesura.nn.sincos import sin_cos
from caesura.signal.scale import row_deviation
from caesura.signal.view_config import ViewConfig
from caesura.signal.views import draw_view
from caesura.types import Batch, Encoder, Loss, Tokens, as_module


class NextPatchConfig(BaseModel):
    """Settings; `view` corrupts what is seen, the next patch is predicted clean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["next_patch"] = "next_patch"
    view: ViewConfig = ViewConfig()
    hidden: int = Field(default=128, gt=0, le=65_536)
    values_per_token: int = Field(default=1, gt=0, le=2**20)


class NextPatch(nn.Module):
    """loss = sum(w (s_i f(h_i, gap) + m_i - x_(i+1))^2) / sum(w), in deviations of the row.

    m_i, s_i: what the encoder normalised token i by. Tokens of a row are in order of time. A
    row of one token has no successor and counts nothing. The encoder must be causal
    (RecipeError).
    """

    needs_random_batches = False
    comparable = True
    target: Literal["none", "required"] = "none"
    carry_rules: Mapping[str, Literal["sum", "mean"]] = {}  # never changed

    def __init__(self, encoder: Encoder, config: NextPatchConfig) -> None:
        super().__init__()
        check_causal(encoder, config.type)
        self.encoder, self.config = encoder, config
        width = encoder.widths[-1]
        self.norm = RMSNorm(width)
        self.rise = nn.Linear(width, config.hidden)
        self.fall = nn.Linear(config.hidden, config.values_per_token)

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss of one batch; `rng` draws the view."""
        view = draw_view(batch.inputs, batch.index, rng, self.config.view)
        clean, seen = (self.encoder.tokenise(one) for one in (view.clean, view.seen))
        features = self.encoder(seen)
        h = features.levels[-1].features[:, :-1]
        said = self._predict(h, seen, clean)
        goal, weight = clean.values[:, 1:], successor_weight(clean, seen)
        unit = row_deviation(clean)
        if features.scale is not None:  # both less the centre: far from 0 digits would be lost
            center, spread = (x[:, :-1] for x in (features.scale.center, features.scale.spread))
            said, goal = said * spread, goal - center
        each = ((said - goal).float() / unit).square() * weight
        count = weight.sum()
        total = each.sum() / count.clamp(min=1e-9)
        return Loss(total, count, parts={"mse": total.detach()})

    def _predict(self, h: Tensor, seen: Tokens, clean: Tokens) -> Tensor:
        # time to the next token, and its place on the other axes (the channel)
        ahead = clean.positions[:, 1:].clone()
        ahead[..., 0] -= seen.positions[:, :-1, 0]
        width = h.shape[-1]
        place = F.pad(where := sin_cos(ahead, width - width % (2 * ahead.shape[-1])),
                      (0, width - where.shape[-1]))  # fmt: skip
        x = self.norm(h.float() + place)
        said: Tensor = self.fall(F.silu(self.rise(x)))
        return said.float()

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Nothing to update."""

    def parts(self) -> Mapping[str, nn.Module]:
        """The encoder survives."""
        return {"encoder": as_module(self.encoder)}


def check_causal(encoder: Encoder, name: str) -> None:
    """Raise where an encoder could read what it is to predict."""
    if encoder.order != "causal":
        raise RecipeError(
            f"objective {name!r} needs an encoder that looks back only; set encoder.order=causal"
        )


def successor_weight(clean: Tokens, seen: Tokens) -> Tensor:
    """Return the weight of each next token's elements: observed, real, and after a seen one."""
    real = (seen.valid[:, :-1] & clean.valid[:, 1:])[..., None]
    weight = (clean.observed[:, 1:] & real).float()
    return weight if clean.weight is None else weight * clean.weight[:, 1:]
