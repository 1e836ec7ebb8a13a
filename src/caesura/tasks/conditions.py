"""What windows are made under: static values of series, as numbers of the prior."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.collate import conditions
from caesura.data.statics import class_numbers, named
from caesura.data.store import RaggedStore
from caesura.errors import RecipeError
from caesura.tasks.needs import Trained

log = logging.getLogger("caesura")

_FAR = 4.0
"""Deviations from the training's mean from which on a condition is said to be far."""


class Conditions(NamedTuple):
    """Static values of windows: by column as a table has them, and as the model reads them, (count,
    numbers); none of either where nothing is asked for."""

    columns: dict[str, list[Any]]
    numbers: NDArray[np.float32] | None


def condition_of(run: Trained, given: Mapping[str, Any], count: int) -> Conditions:
    """Return static values of windows: of each column a number or class for all, or one of each.

    Every static column of the training data needs a value; others, and classes that the run does
    not know, are a RecipeError. Numbers far from those of the training are a warning.
    """
    if not given:
        return Conditions({}, None)
    names = run.schema.static_names
    if set(given) != set(names):
        known = ", ".join(names) or "none: pass --static or --classes COLUMNS to pretrain"
        rest = ". Draw the others from a table (--conditions)" if set(given) < set(names) else ""
        raise RecipeError(f"a condition of {', '.join(given)}; this run knows {known}{rest}")
    columns, blocks = {}, []
    for name, scale, classes in run.schema.statics:
        asked = np.asarray(given[name])
        if asked.ndim > 1 or (asked.ndim and len(asked) != count):
            raise RecipeError(f"{name} of shape {asked.shape}; give one value, or {count}")
        each = np.broadcast_to(asked, count).tolist()
        values = [_meant(run, name, one) for one in each]
        columns[name] = values
        if classes:
            codes = np.array([classes.index(one) for one in values], dtype=np.float64)
            blocks.append(class_numbers(codes, len(classes)))
        else:
            blocks.append((np.array(values)[:, None] - scale.center) / scale.scale)
            _note_far(name, np.array(values), blocks[-1])
    return Conditions(columns, np.concatenate(blocks, 1).astype(np.float32))


def _number(value: Any, name: str) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise RecipeError(f"{name}={value} is no finite number, and the run knows it as one")
    return found


def _note_far(name: str, values: NDArray[np.float64], scaled: NDArray[np.float64]) -> None:
    worst = int(np.abs(scaled).argmax())
    if abs(scaled[worst, 0]) > _FAR:
        log.warning(
            "condition %s=%g lies %.0f deviations from the training's mean",
            name, values[worst], abs(scaled[worst, 0]),
        )  # fmt: skip


def drawn_conditions(
    run: Trained, store: RaggedStore, count: int, seed: int, given: Mapping[str, Any] | None = None
) -> Conditions:
    """Return static values of series of a store drawn at random, of those that have the given ones.

    A run without any, and values that no series has, are a RecipeError.
    """
    names, scaled = run.schema.static_names, conditions(store, run.schema)
    if scaled is None:
        raise RecipeError("this run knows no condition: pass --static or --classes to pretrain")
    every = {name: store.static_column(name).to_pylist() for name in names}
    fitting = np.ones(len(store), dtype=np.bool_)
    for name, value in (given or {}).items():
        if name not in names:
            raise RecipeError(f"a condition of {name}; this run knows {', '.join(names)}")
        wanted = _meant(run, name, value)
        fitting &= np.array([one == wanted for one in every[name]])
        if not fitting.any():
            raise RecipeError(f"no series of the table has {name}={value} and what stands before")
    rows = np.random.default_rng(seed).choice(np.flatnonzero(fitting), count)
    columns = {name: [values[row] for row in rows] for name, values in every.items()}
    return Conditions(columns, scaled[rows])


def _meant(run: Trained, name: str, value: Any) -> Any:
    """Return a value of a static column as the training data have it."""
    classes = next(classes for own, _, classes in run.schema.statics if own == name)
    return named(value, classes, name) if classes else _number(value, name)
