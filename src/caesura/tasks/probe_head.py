"""A probe kept as one linear map, so that an export can answer with probabilities.

Standardisation and the linear model are folded together: outputs = features @ weight + bias.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from caesura.data.labels import Labels
from caesura.data.schema import Target
from caesura.errors import CheckpointError, RecipeError
from caesura.files import read_limited, write_text
from caesura.tasks.linear import fit_and_predict, linear_map, linear_model
from caesura.tasks.probe import inner_folds
from caesura.tasks.probe_sources import ALL, Sources


class ProbeHead(BaseModel):
    """A linear map from the means of some levels to logits (classes, labels) or values.

    levels: numbers from 1 of the levels whose means are joined. weight: (features, outputs).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Target
    levels: tuple[int, ...]
    weight: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]


def fit_head(
    sources: Sources, labels: Labels, groups: NDArray[np.int64], features: str, seed: int = 0
) -> ProbeHead:
    """Fit the linear model on all labelled series, on one level or on all of them."""
    names = list(sources.levels)
    if features == ALL:
        x, levels = sources.others[ALL].features, range(1, len(names) + 1)
    elif features in sources.levels:
        place = names.index(features)
        x, levels = sources.levels[features].features, range(place + 1, place + 2)
    else:
        raise RecipeError(f"no features {features!r}; known: {', '.join(names)}, {ALL}")
    task, classes = labels.target.task, len(labels.target.classes)
    model = linear_model(task, seed, inner_folds(labels, groups, seed))
    y = labels.values.ravel() if labels.values.shape[1:] == (1,) else labels.values
    fit_and_predict(model, task, x, y, x[:1], classes)
    weight, bias = linear_map(model, task, classes)
    return ProbeHead(
        target=labels.target,
        levels=tuple(levels),
        weight=_rows(weight.T),
        bias=tuple(float(b) for b in bias),
    )


def _rows(table: NDArray[Any]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in table)


def save_head(head: ProbeHead, path: Path) -> None:
    """Write a head as JSON."""
    write_text(path, head.model_dump_json() + "\n")


def read_head(path: Path) -> ProbeHead:
    """Read a head; what is none is a CheckpointError."""
    try:
        return ProbeHead.model_validate_json(read_limited(path))
    except FileNotFoundError:
        raise CheckpointError(f"no probe at {path}; `caesura probe ... --head FILE`") from None
    except ValidationError as error:
        raise CheckpointError(
            f"{path} is no probe ({error.error_count()} faults); `caesura probe ... --head FILE`"
        ) from None
