"""What a task asks of a run, and how a missing part is reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from caesura.data.schema import Schema
from caesura.data.units import Units
from caesura.errors import CheckpointError
from caesura.recipes.schema import Recipe

MADE_BY = {
    "encoder": "`caesura pretrain`",
    "decoder": "`caesura pretrain` with a masked objective",
    "head": "`caesura finetune`",
    "tokenizer": "`caesura pretrain timemar`",
    "prior": "`caesura pretrain timemar`",
}


class Trained(Protocol):
    """The view of a run that tasks have."""

    @property
    def recipe(self) -> Recipe:
        """The complete recipe."""

    @property
    def schema(self) -> Schema:
        """What the model remembers of its data."""

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """The trained modules by name."""


@dataclass(frozen=True)
class Result:
    """What a task found: single figures, tables as lists of rows, and things named."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


def need(run: Trained, name: str) -> Any:
    """Return a part of the run, or a CheckpointError that names the stage that makes it."""
    if name not in run.parts:
        raise CheckpointError(
            f"this run has no {name} (parts: {', '.join(run.parts)}); "
            f"one is made by {MADE_BY.get(name, 'another stage')}"
        )
    return run.parts[name]


def units_of(run: Trained) -> Units:
    """Return what a run of regular series is given of the table's values."""
    if run.schema.sampling is None:
        raise CheckpointError("this run reads observations at any times, and no windows")
    return run.schema.sampling.units


def check_regular(run: Trained) -> None:
    """Raise a CheckpointError where a run laid irregular times on a grid, to generate such."""
    if run.schema.sampling is not None and not run.schema.sampling.on_grid:
        raise CheckpointError(
            "this run was trained on irregular times, laid on a grid that it can generate from; to "
            "forecast, detect or fill there, pre-train `romae` and use `caesura interpolate`"
        )
