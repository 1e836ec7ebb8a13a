"""Options that several verbs share, and how they become settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[
    str | None,
    typer.Option(
        help="Table of observations: Parquet file or folder, CSV, Arrow. "
        "Default: the data that the run was trained on."
    ),
]
RunFolder = Annotated[Path, typer.Argument(help="Folder of a run.")]
Labels = Annotated[str, typer.Option(help="Table with the id column and the labels.")]
Target = Annotated[str, typer.Option(help="Label column, or several: A,B. Default: the only one.")]
LabelId = Annotated[str, typer.Option(help="Name of the id column in --labels, where it differs.")]
Rare = Annotated[
    str, typer.Option(help="Classes with fewer than 5 series: keep, drop, or other (joined).")
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change one setting: path=value, e.g. training.lr=1e-3."),
]
Steps = Annotated[int, typer.Option(help="Length in optimiser steps.")]
Epochs = Annotated[float, typer.Option(help="Length in passes over the training series.")]
Minutes = Annotated[float, typer.Option(help="Length in minutes.")]
Seed = Annotated[int | None, typer.Option(help="Seed of splits, masks and weights.")]
Resume = Annotated[
    bool, typer.Option(help="Continue what is in --out; begin where nothing is there.")
]


def _choose_device(choice: str) -> str:
    """Let a device hold for this process and those that it starts; an absent one is an error."""
    if choice != "auto":
        from caesura.training.device import VARIABLE, chosen_device

        chosen_device(choice)
        os.environ[VARIABLE] = choice
    return choice


Device = Annotated[
    str,
    typer.Option(
        callback=_choose_device, help="auto (CUDA where there is any), cpu, cuda or cuda:N."
    ),
]


def checked_rare(text: str) -> Any:
    """Return the option, or raise a RecipeError that lists the known ones."""
    from caesura.errors import RecipeError

    if text not in ("keep", "drop", "other"):
        raise RecipeError(f"unknown --rare {text!r}; known: keep, drop, other")
    return text


def split_names(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated option."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> list[float]:
    from caesura.errors import RecipeError

    try:
        return [float(part) for part in split_names(text)]
    except ValueError:
        raise RecipeError(f"--missing {text!r} are not numbers; e.g. --missing -1,-999") from None


def given_columns(**options: Any) -> dict[str, Any]:
    """Return the column options that were given, lists split at commas."""
    columns: dict[str, Any] = {}
    for name, text in options.items():
        if not text:
            continue
        if name in ("value", "static", "classes"):
            columns[name] = list(split_names(text))
        elif name == "missing":
            columns[name] = _numbers(text)
        else:
            columns[name] = text
    return columns
