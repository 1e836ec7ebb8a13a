"""A recipe from what a user gives: a name, a file or a tree, and what is laid over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from caesura.data.config import Columns
from caesura.errors import RecipeError
from caesura.recipes.dividend import with_patches
from caesura.recipes.presets import find_recipe
from caesura.recipes.schema import Recipe, assign, make_recipe, merged


def compose(
    recipe: str | Mapping[str, Any] | Recipe,
    *,
    columns: Mapping[str, Any] | Columns | None = None,
    length: Mapping[str, float] | None = None,
    seed: int | None = None,
    settings: Sequence[str] = (),
) -> Recipe:
    """Return a preset, file, tree or recipe with columns, length, seed and `path=value` laid over.

    A given length replaces the recipe's own.
    """
    if isinstance(recipe, Recipe):
        tree: dict[str, Any] = recipe.model_dump(mode="json", exclude_unset=True)
    else:
        tree = find_recipe(recipe) if isinstance(recipe, str) else dict(recipe)
    if isinstance(columns, Columns):
        columns = columns.model_dump(mode="json", exclude_unset=True)
    if columns:
        unknown = set(columns) - set(Columns.model_fields)
        if unknown:
            known = ", ".join(Columns.model_fields)
            raise RecipeError(f"unknown columns {', '.join(sorted(unknown))}; known: {known}")
        tree = merged(tree, {"data": {"columns": dict(columns)}})
    if length:
        cleared = {"steps": 0, "epochs": 0, "minutes": 0}
        tree = merged(tree, {"training": cleared | dict(length)})
    if seed is not None:
        tree = merged(tree, {"seed": seed})
    for assignment in settings:
        tree = assign(tree, assignment)
    return make_recipe(with_patches(tree))
