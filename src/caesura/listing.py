"""The runs of a folder side by side: how far each is, its figures, and the settings that differ."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from caesura.errors import CheckpointError, RecipeError
from caesura.folder import METRICS, RECIPE, has_checkpoint, is_whole
from caesura.training.checkpoint import read_json
from caesura.training.state import METRICS as LOG

_LOSS = "validation_loss"
_LESS_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "seconds", "nats", "unexplained")
_SHOWN = (_LOSS, "steps", "seconds", "parameters")
_DEPTH = 5
"""Folders below the one named in which runs are looked for."""


class Listed(NamedTuple):
    """A run: its place below the folder, "whole", "begun, step N" or "no checkpoint", the settings
    of its recipe by path, and its figures."""

    name: str
    state: str
    settings: dict[str, Any]
    figures: dict[str, Any]

    @property
    def objective(self) -> str:
        """What was trained, of several stages the last."""
        types = [v for k, v in self.settings.items() if k.endswith("objective.type")]
        return str(types[-1]) if types else ""


def list_runs(folder: Path) -> list[Listed]:
    """Return the runs of a folder and of those in it, by name; none is a CheckpointError."""
    levels = ("/".join(["*"] * depth + [RECIPE]) for depth in range(1, _DEPTH + 1))
    found = sorted(path.parent for level in levels for path in folder.glob(level))
    if not found:
        raise CheckpointError(f"{folder} is not a run and holds none")
    return [_listed(path, str(path.relative_to(folder))) for path in found]


def _listed(path: Path, name: str) -> Listed:
    try:
        tree = tomllib.loads((path / RECIPE).read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path / RECIPE} is not a recipe: {error}") from None
    whole = is_whole(path)
    figures = read_json(path / METRICS) if whole else {}
    state = "whole" if whole else _progress(path)
    return Listed(name, state, dict(_leaves(tree)), figures)


def _progress(path: Path) -> str:
    if not has_checkpoint(path):
        return "no checkpoint"
    try:
        last = (path / LOG).read_text().splitlines()[-1]
        return f"begun, step {json.loads(last)['step']}"
    except (OSError, ValueError, LookupError):  # no evaluation yet, or a line half written
        return "begun"


def _leaves(tree: Any, path: str = "") -> Sequence[tuple[str, Any]]:
    """Return path and value of each setting; members of lists of tables are numbered."""
    if isinstance(tree, dict):
        parts = [(f"{path}.{key}" if path else key, value) for key, value in tree.items()]
    elif isinstance(tree, list) and any(isinstance(one, dict) for one in tree):
        parts = [(f"{path}.{number}", value) for number, value in enumerate(tree)]
    else:
        return [(path, tree)]
    return [leaf for key, value in parts for leaf in _leaves(value, key)]


def ranked(runs: Sequence[Listed], figure: str) -> list[Listed]:
    """Return the whole runs that have a figure, the best first.

    Less is better of losses, errors and times, more of all else. Validation losses of different
    objectives are a RecipeError: they have no common scale.
    """
    have = [one for one in runs if isinstance(one.figures.get(figure), int | float)]
    if not have:
        names = sorted({name for one in runs for name in one.figures})
        raise RecipeError(f"no run has {figure!r}; known: {', '.join(names) or 'none is whole'}")
    kinds = sorted({one.objective for one in have})
    if figure == _LOSS and len(kinds) > 1:
        raise RecipeError(
            f"losses of {', '.join(kinds)} have no common scale; rank by what a probe or a study "
            "says, or list runs of one objective"
        )
    less = any(part in figure.lower() for part in _LESS_IS_BETTER)
    return sorted(have, key=lambda one: one.figures[figure], reverse=not less)


def overview(runs: Sequence[Listed], figure: str = "") -> list[dict[str, Any]]:
    """Return a row for each run: name, state, recipe, objective and the figures that matter, None
    where a run has none."""
    scores = sorted({k for one in runs for k in one.figures if k.startswith("validation ")})
    shown = list(dict.fromkeys([*([figure] if figure else []), *_SHOWN, *scores]))
    return [
        {"run": one.name, "state": one.state, "recipe": one.settings.get("name", "")}
        | {"objective": one.objective}
        | {name: one.figures.get(name) for name in shown}
        for one in runs
    ]


def differing(runs: Sequence[Listed]) -> list[dict[str, Any]]:
    """Return a row for each setting that is not the same in all runs, then for each figure."""
    rows = []
    for name in dict.fromkeys(key for one in runs for key in one.settings):
        values = [one.settings.get(name, "") for one in runs]
        if any(value != values[0] for value in values):
            rows.append({"setting": name} | _by_run(runs, values))
    for name in dict.fromkeys(key for one in runs for key in one.figures):
        rows.append({"setting": name} | _by_run(runs, [r.figures.get(name, "") for r in runs]))
    return rows


def _by_run(runs: Sequence[Listed], values: Sequence[Any]) -> dict[str, Any]:
    return {one.name: value for one, value in zip(runs, values, strict=True)}
