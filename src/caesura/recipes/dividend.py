"""The pre-training dividend, arXiv 2605.19462: six ways to pre-train one encoder.

The published comparison gives each method a width, a norm, a learning rate and augmentations of
its own; here all of that is one, and the objective alone differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from caesura.errors import RecipeError

GENERATIVE = ("masked_tokens", "next_patch", "denoise")
LATENT = ("jepa", "lejepa", "dino")
OBJECTIVES = (*GENERATIVE, *LATENT)
"""The six of the comparison."""
CAUSAL = ("next_patch", "denoise")
PATCH = 16
"""Samples of a patch of a regular series, as in the paper."""


def recipe(
    objective: str, *, view: str = "none", width: int = 64, depth: int = 3, patch: int = 0
) -> dict[str, Any]:
    """Return the recipe of a pre-training by this objective; `vicreg` is known too.

    view: kind of augmentation. patch: samples of a patch of regular series; 0: observations at
    any times.
    """
    heads = 2
    own: dict[str, Any] = {"type": objective, "view": {"kind": view}}
    stage: dict[str, Any] = {"objective": own}
    if objective == "masked_tokens":
        own["mask_ratio"] = 0.5
        stage["decoder"] = {"type": "point_transformer", "width": width, "heads": heads, "depth": 1}
    if objective in ("jepa", "denoise"):
        own |= {"width": width, "heads": heads}
    encoder: dict[str, Any] = {
        "type": "point_transformer", "width": width, "heads": heads, "depth": depth, "cls": False
    }  # fmt: skip
    if objective in CAUSAL:
        encoder["order"] = "causal"
    if patch:
        encoder |= {"patch": patch, "normalise": "window"}
    return {
        "name": name_of(objective),
        "encoder": encoder,
        "stages": [stage],
        "training": {"epochs": 30, "patience": 6, "lr": 1e-3},
    }


def presets() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the recipes by name; masked autoencoding is "mae" here, `romae` with its own sizes."""
    return {name_of(one): partial(recipe, one) for one in (*OBJECTIVES, "vicreg")}


def objective_of(name: str) -> str:
    """Return the objective that a recipe's name stands for: "mae" and "romae" mask tokens,
    "next-patch" is next_patch. An unknown one is a RecipeError."""
    masked = ("mae", "romae")
    objective = "masked_tokens" if name in masked else name.replace("-", "_")
    if objective not in (*OBJECTIVES, "vicreg"):
        known = ", ".join(name_of(one) for one in (*OBJECTIVES, "vicreg"))
        raise RecipeError(f"unknown objective {name!r}; known: {known}")
    return objective


def with_patches(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe of this file for regular series: those whose data have a rate, or take their
    own."""
    known = {name_of(one) for one in (*OBJECTIVES, "vicreg")}
    encoder = tree.get("encoder", {})
    data = tree.get("data", {})
    regular = data.get("rate", 0) or data.get("own_rate", False)
    if not regular or tree.get("name") not in known or encoder.get("patch", PATCH) == 0:
        return dict(tree)
    return {**tree, "encoder": {"patch": PATCH, "normalise": "window", **encoder}}


def name_of(objective: str) -> str:
    """Return the name of an objective's recipe, which `pretrain` takes."""
    return "mae" if objective == "masked_tokens" else objective.replace("_", "-")
