"""What a dividend study runs: its arms, its cells, and how they fit into a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

from caesura.data.config import DataConfig
from caesura.errors import RecipeError
from caesura.recipes import dividend
from caesura.recipes.schema import Recipe, make_recipe
from caesura.signal.view_config import ViewConfig, ViewKind, check_view

Kind = Literal["rate", "tuning rate", "scratch rate", "arm", "scratch", "beside"]
SCRATCH_VIEW = "-"
TRIAL_SEED = 100_000
"""Seed of the trials that choose learning rates: none of the report."""


class DividendPlan(BaseModel):
    """A study, whole: what is compared, on what, for how long.

    encoders: "WIDTHxDEPTH". steps: of an objective that reads each token once; another one gets
    as many as read the same tokens. rates, tuning_rates: the grids of learning rates. trial:
    share of the steps that a trial of a rate has. choice: share of the labelled groups on which
    rates and the arm of the headline are chosen; the report never sees them. most: labelled series
    that are used at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: DataConfig
    objectives: tuple[str, ...] = ("masked_tokens", "lejepa")
    views: tuple[str, ...] = ("none", "jitter")
    encoders: tuple[str, ...] = ("64x3",)
    seeds: int = Field(default=2, gt=0, le=100)
    steps: int = Field(default=150, gt=0)
    tuning_steps: int = Field(default=60, gt=0)
    batch_tokens: int = Field(default=2048, gt=0)
    rates: tuple[float, ...] = (5e-4, 2e-3, 8e-3)
    tuning_rates: tuple[float, ...] = (2e-4, 1e-3, 5e-3)
    trial: float = Field(default=0.34, gt=0, le=1)
    choice: float = Field(default=0.3, gt=0, lt=1)
    folds: int = Field(default=3, ge=2, le=20)
    most: int = Field(default=500, gt=9)
    patch: int = Field(default=0, ge=0)
    horizon: int = Field(default=0, ge=0)
    """Steps ahead where the task is a forecast; 0: labels."""
    season: int = Field(default=0, ge=0)
    truth: str = ""
    """Column that marks anomalies, where the task is to find them."""
    normal: float = Field(default=0.4, gt=0, lt=1)
    """Share of each series that is taken as normal then."""
    asked: dict[str, Any] = Field(default_factory=dict)
    """What was asked for before the plan was made to fit into its time; empty where it fitted."""
    series: str = ""
    """Fingerprint of the data and labels, so that a folder holds one study."""

    @field_validator("objectives")
    @classmethod
    def _known(cls, objectives: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(map(dividend.objective_of, objectives)))

    @field_validator("views")
    @classmethod
    def _named(cls, views: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(view.replace("-", "_") for view in views))

    @field_validator("encoders")
    @classmethod
    def _sizes(cls, encoders: tuple[str, ...]) -> tuple[str, ...]:
        for one in encoders:
            width, _, depth = one.partition("x")
            if not (width.isdigit() and depth.isdigit() and int(width) and int(depth)):
                raise RecipeError(f"encoder {one!r} is not WIDTHxDEPTH, e.g. 64x3")
        return encoders

    def check(self) -> None:
        """Raise where an augmentation does not exist or cannot be applied to these data."""
        known = get_args(ViewKind)
        for view in self.views:
            if view not in known:
                raise RecipeError(f"unknown augmentation {view!r}; known: {', '.join(known)}")
            check_view(ViewConfig.model_validate({"kind": view}), self.patch > 0)

    def recipe(self, cell: Cell) -> Recipe:
        """Return the recipe of a cell's pre-training, not yet completed by the data."""
        width, _, depth = cell.encoder.partition("x")
        tree = dividend.recipe(
            cell.objective,
            view="none" if cell.view == SCRATCH_VIEW else cell.view,
            width=int(width),
            depth=int(depth),
            patch=self.patch,
        )
        tree |= {"seed": cell.seed, "data": self.data.model_dump(mode="json")}
        return make_recipe(tree)

    def cells(self) -> Iterator[Cell]:
        """Yield all cells, those that others need first; the report seed by seed."""
        yield Cell("beside")
        arms = [(e, o, v) for e in self.encoders for o in self.objectives for v in self.views]
        for arm in arms:
            for rate in self.rates:
                yield Cell("rate", *arm, TRIAL_SEED, rate)
        for arm in arms:
            for rate in self.tuning_rates:
                yield Cell("tuning rate", *arm, TRIAL_SEED, rate)
        starts = self.starts()
        for encoder, objective in starts:
            for rate in self.tuning_rates:
                yield Cell("scratch rate", encoder, objective, SCRATCH_VIEW, TRIAL_SEED, rate)
        for seed in range(self.seeds):
            for encoder, objective in starts:
                yield Cell("scratch", encoder, objective, SCRATCH_VIEW, seed)
            for arm in arms:
                yield Cell("arm", *arm, seed)

    def cells_of(self, kind: Kind) -> Iterator[Cell]:
        """Yield the cells of a kind."""
        return (cell for cell in self.cells() if cell.kind == kind)

    def starts(self) -> list[tuple[str, str]]:
        """Return what is trained from scratch: an encoder of each size that looks both ways, and
        one that looks back only where an objective needs it; named by their first objective."""
        found: dict[tuple[str, bool], tuple[str, str]] = {}
        for encoder in self.encoders:
            for objective in self.objectives:
                found.setdefault((encoder, objective in dividend.CAUSAL), (encoder, objective))
        return list(found.values())

    def start_of(self, cell: Cell) -> Cell:
        """Return the cell that trains an arm's architecture from scratch with its seed."""
        causal = cell.objective in dividend.CAUSAL
        objective = next(
            o for e, o in self.starts() if e == cell.encoder and (o in dividend.CAUSAL) == causal
        )
        return Cell("scratch", cell.encoder, objective, SCRATCH_VIEW, cell.seed)


@dataclass(frozen=True)
class Cell:
    """One unit of work; rate 0 where an earlier cell chooses it."""

    kind: Kind
    encoder: str = ""
    objective: str = ""
    view: str = ""
    seed: int = 0
    rate: float = 0.0

    @property
    def arm(self) -> tuple[str, str, str]:
        """Encoder, objective and augmentation."""
        return self.encoder, self.objective, self.view

    @property
    def title(self) -> str:
        """Return the cell in words."""
        if self.kind == "beside":
            return "baselines"
        parts = [self.kind, self.objective, self.view, self.encoder]
        parts += [f"seed {self.seed}" if self.kind in ("arm", "scratch") else f"{self.rate:g}"]
        return " ".join(part for part in parts if part != SCRATCH_VIEW)

    def name(self, plan: DividendPlan) -> str:
        """Return the hash of all that the cell's result depends on."""
        whole: dict[str, Any] = {"cell": asdict(self), "series": plan.series}
        free = {"data", "objectives", "views", "encoders", "seeds", "series", "asked"}
        whole |= {name: getattr(plan, name) for name in type(plan).model_fields if name not in free}
        if self.kind != "beside":
            whole["recipe"] = plan.recipe(self).model_dump(mode="json")
        text = json.dumps(whole, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
