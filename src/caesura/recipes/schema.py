"""The recipe: a typed, strict description of a run, in and out of TOML."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
)

from caesura.data.config import DataConfig
from caesura.errors import RecipeError
from caesura.files import read_limited
from caesura.recipes.tables import DECODERS, ENCODERS, OBJECTIVES, lookup
from caesura.training.config import TrainingConfig


class Stage(BaseModel):
    """One training: an objective, with the decoder it needs, if any.

    `start_from` names a run whose parts this stage starts from (fine-tuning, distillation).
    A stage after the first starts from the parts of the one before. `share`: of the training's
    length, less what others take in proportion. lr_factor: of the training's learning rate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    objective: SerializeAsAny[BaseModel]
    decoder: SerializeAsAny[BaseModel] | None = None
    start_from: str = ""
    share: float = Field(default=1.0, gt=0)
    lr_factor: float = Field(default=1.0, gt=0)

    @field_validator("objective", mode="before")
    @classmethod
    def _objective(cls, value: object) -> object:
        return _typed(value, OBJECTIVES, "objective")

    @field_validator("decoder", mode="before")
    @classmethod
    def _decoder(cls, value: object) -> object:
        return _typed(value, DECODERS, "decoder")


class Recipe(BaseModel):
    """Data, encoder, stages and training; unknown keys are errors that list the known ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "custom"
    seed: int = Field(default=0, ge=0)
    data: DataConfig = DataConfig()
    encoder: SerializeAsAny[BaseModel]
    stages: tuple[Stage, ...] = Field(min_length=1)
    training: TrainingConfig = TrainingConfig()

    @field_validator("encoder", mode="before")
    @classmethod
    def _encoder(cls, value: object) -> object:
        return _typed(value, ENCODERS, "encoder")


def _typed(value: object, table: Any, kind: str) -> object:
    """Turn a table with a `type` key into the configuration class of that name.

    The terms of a hybrid are objectives themselves.
    """
    if not isinstance(value, Mapping):
        return value
    if value.get("type") == "sum":
        terms = [
            {**term, "objective": _typed(term.get("objective", {}), table, kind)}
            for term in value.get("terms", ())
        ]
        value = {**value, "terms": terms}
    if "type" not in value:
        raise RecipeError(f"{kind} needs a type; known: {', '.join(sorted(table))}")
    _, config = lookup(table, kind, value["type"])
    try:
        return config.model_validate(value)
    except ValidationError as error:
        raise RecipeError(_explain(error, config, kind)) from None


def make_recipe(tree: Mapping[str, Any]) -> Recipe:
    """Validate a nested mapping; every fault is one line of a RecipeError."""
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise RecipeError(_explain(error, Recipe, "recipe")) from None


def _explain(error: ValidationError, model: type[BaseModel], place: str) -> str:
    lines = []
    for fault in error.errors():
        path = ".".join([place, *(str(part) for part in fault["loc"])])
        if fault["type"] == "extra_forbidden":
            known = ", ".join(sorted(_fields_at(model, fault["loc"][:-1])))
            lines.append(f"unknown key {path}; known there: {known}")
        else:
            lines.append(f"{path}: {fault['msg']} (got {fault['input']!r})")
    return "; ".join(lines)


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the nested model at a path of field names."""
    for part in loc:
        if isinstance(part, int):
            continue
        inner = model.model_fields[part].annotation
        nested = [inner, *getattr(inner, "__args__", ())]
        model = next(one for one in nested if isinstance(one, type) and issubclass(one, BaseModel))
    return list(model.model_fields)


def read_recipe(path: Path) -> dict[str, Any]:
    """Read a TOML file as a tree; a damaged one is a RecipeError."""
    try:
        return tomllib.loads(read_limited(path, 2**20))
    except FileNotFoundError:
        raise RecipeError(f"no recipe at {path}") from None
    except (ValueError, RecursionError) as error:  # what tomllib raises is a ValueError
        raise RecipeError(f"{path} is not valid TOML: {error}") from None


def to_toml(recipe: Recipe) -> str:
    """Write a recipe; `make_recipe` of the parsed text gives the same recipe."""
    return tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))


def merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `tree` with nested `changes` laid over it; lists are changed by position."""
    result = dict(tree)
    for key, value in changes.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old or {}, value) if both else value
    return result


def assign(tree: Mapping[str, Any], assignment: str) -> dict[str, Any]:
    """Return `tree` with one `path=value` of the command line carried out.

    Numbers in the path index lists; the value is read as JSON, else as text.
    """
    path, equals, text = assignment.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set {assignment!r} is not path=value, e.g. training.lr=1e-3")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    root: dict[str, Any] = json.loads(json.dumps(tree))
    place: Any = root
    keys = path.split(".")
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise RecipeError(f"--set {path}: {key!r} is not one of 0..{len(place) - 1}")
            index: Any = int(key)
        else:
            index = key
            if not last:
                place.setdefault(key, {})
        if last:
            place[index] = value
        else:
            place = place[index]
            if not isinstance(place, dict | list):
                raise RecipeError(f"--set {path}: {key!r} holds a value, not a table")
    return root
