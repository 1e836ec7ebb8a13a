"""Sums over micro-batches and ranks, so that a mean is over all real elements wherever they lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from caesura.errors import RecipeError


class Joined:
    """Sums of counts, losses and carried statistics over micro-batches, then over ranks."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        self.rules = rules
        self.sums: dict[str, Tensor] = {}
        self.parts: dict[str, float] = {}
        self.carry: dict[str, Tensor] = {}
        self.count = self.loss = math.nan

    def add(
        self,
        total: Tensor,
        count: Tensor,
        parts: Mapping[str, Tensor],
        carry: Mapping[str, Tensor],
    ) -> None:
        count = count.detach().double()
        self._sum("count", count)
        self._sum("loss", total.detach().double() * count)
        for name, value in parts.items():
            self._sum(f"part/{name}", value.detach().double() * count)
        for name, value in carry.items():
            weight = count if self.rules[name] == "mean" else 1.0
            self._sum(f"carry/{name}", value.detach() * weight)

    def _sum(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def reduce(self, fabric: Any) -> None:
        if not self.sums:
            raise RecipeError(
                "no batch to train or validate on; give more series or lower batch_tokens"
            )
        if fabric.world_size > 1:
            self.sums = {k: fabric.all_reduce(v, reduce_op="sum") for k, v in self.sums.items()}
        self.count = max(float(self.sums.pop("count")), 1e-12)
        self.loss = float(self.sums.pop("loss")) / self.count
        for name, value in self.sums.items():
            kind, _, key = name.partition("/")
            if kind == "part":
                self.parts[key] = float(value) / self.count
            else:
                mean = self.rules[key] == "mean"
                self.carry[key] = value / self.count if mean else value
