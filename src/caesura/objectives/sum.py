"""Several objectives on one encoder, their losses added by weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny
from torch import Tensor, nn

from caesura.nn.gather import summed
from caesura.types import Batch, Encoder, Loss, Objective, as_module


class Term(BaseModel):
    """An objective and its weight."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: SerializeAsAny[BaseModel]
    weight: float = Field(default=1.0, gt=0)


class SumConfig(BaseModel):
    """The terms of a hybrid, two at least; a decoder of the stage serves all that need one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["sum"] = "sum"
    terms: tuple[Term, ...] = Field(min_length=2)


class Sum(nn.Module):
    """loss = sum of weight x loss of each objective, each drawing from `rng` in turn.

    The objectives hold the same encoder. Losses count different things (tokens, series), so
    the sum counts series, and is never cut into micro-batches.
    """

    needs_random_batches = True
    target: Literal["none", "required"] = "none"

    def __init__(
        self, encoder: Encoder, objectives: Sequence[Objective], config: SumConfig
    ) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.objectives = nn.ModuleList([as_module(one) for one in objectives])
        self._each = tuple(objectives)  # the same, as what they are
        self.comparable = all(one.comparable for one in objectives)
        self.carry_rules: dict[str, Literal["sum", "mean"]] = {
            f"{place}.{key}": rule
            for place, one in enumerate(objectives)
            for key, rule in one.carry_rules.items()
        }

    def forward(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the weighted sum for one batch."""
        total = torch.zeros((), device=batch.index.device)
        parts: dict[str, Tensor] = {}
        carry: dict[str, Tensor] = {}
        for place, (term, one) in enumerate(zip(self.config.terms, self._each, strict=True)):
            loss: Loss = one(batch, rng)
            # over all processes, each by its own count: then ranks may differ in both
            mean = summed(loss.total * loss.count) / summed(loss.count).clamp(min=1e-9)
            total = total + term.weight * mean
            name = self._name(term.objective)
            parts[name] = loss.total.detach()
            parts |= {f"{name}.{key}": value for key, value in loss.parts.items()}
            carry |= {f"{place}.{key}": value for key, value in loss.carry.items()}
        count = torch.tensor(float(len(batch.index)), device=total.device)
        return Loss(total, count, parts=parts, carry=carry)

    @staticmethod
    def _name(config: Any) -> str:
        return str(config.type)

    def after_step(self, carry: Mapping[str, Tensor], progress: float) -> None:
        """Hand each objective its own."""
        for place, one in enumerate(self._each):
            start = f"{place}."
            own = {k.removeprefix(start): v for k, v in carry.items() if k.startswith(start)}
            one.after_step(own, progress)

    def parts(self) -> Mapping[str, nn.Module]:
        """What the first objective that has it calls its own."""
        found: dict[str, nn.Module] = {}
        for one in self._each:
            found = {**one.parts(), **found}
        return found
