"""Verbs that look: doctor, recipe list and show, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Set

recipes = typer.Typer(help="Recipes: list them, show one.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(doctor)
    app.command()(runs)
    app.add_typer(recipes, name="recipe")


def doctor() -> None:
    """Check this machine and installation, and say what to mend.

    Example: `caesura doctor`
    """
    from caesura.training.doctor import examine

    rows = examine()
    console.table([{"check": r.name, "found": r.found, "advice": r.advice} for r in rows])
    if any(row.advice for row in rows):
        raise typer.Exit(1)


@recipes.command("list")
def recipe_list() -> None:
    """List the recipes.

    Example: `caesura recipe list`
    """
    from caesura.recipes.presets import PRESETS

    rows = []
    for name, make in PRESETS.items():
        tree = make()
        encoder, training = tree["encoder"], tree["training"]
        if "widths" in encoder:
            size = f"levels {encoder['widths'][0]}-{encoder['widths'][-1]}"
        else:
            wanted = ("width", "heads", "depth") if "depth" in encoder else ("width", "latent")
            size = "/".join(str(encoder[k]) for k in wanted)
        rows.append(
            {
                "recipe": name,
                "objective": ", ".join(one["objective"]["type"] for one in tree["stages"]),
                "size": size,
                "epochs": training.get("epochs", f"{training.get('steps')} steps"),
                "lr": training.get("lr", "default"),
            }
        )
    keys = list(rows[0])
    console.table([{key: str(row.get(key, "")) for key in keys} for row in rows])


@recipes.command("show")
def recipe_show(
    name: Annotated[str, typer.Argument(help="A recipe's name or .toml file.")],
    set_: Set = None,
) -> None:
    """Print a recipe as TOML, with every default; what the data decide is filled in later.

    Example: `caesura recipe show romae > mine.toml`
    """
    from caesura.recipes.schema import to_toml
    from caesura.workflow import compose

    console.result(to_toml(compose(name, settings=set_ or ())))


def runs(
    folder: Annotated[Path, typer.Argument(help="A run, or a folder that holds runs.")],
) -> None:
    """List the runs in a folder, or show one.

    Example: `caesura runs .`
    """
    from caesura.errors import CheckpointError
    from caesura.folder import RECIPE, has_checkpoint, is_whole
    from caesura.training.checkpoint import read_json

    if (folder / RECIPE).is_file():
        from caesura.run import load

        run = load(folder)
        console.table([{"figure": k, "value": v} for k, v in run.metrics.items()])
        console.table(run.coverage, "Coverage of 90 % intervals on held-out series")
        return
    found = sorted(path.parent for path in folder.glob(f"*/{RECIPE}"))
    if not found:
        raise CheckpointError(f"{folder} is not a run and holds none")
    rows = []
    for path in found:
        state = "whole" if is_whole(path) else "begun" if has_checkpoint(path) else "no checkpoint"
        metrics = read_json(path / "metrics.json") if is_whole(path) else {}
        keys = ("validation_loss", "steps", "seconds", "validation AUROC", "validation R2")
        rows.append({"run": path.name, "state": state} | {k: metrics.get(k, "") for k in keys})
    console.table(rows)
