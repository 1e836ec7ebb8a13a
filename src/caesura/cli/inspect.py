"""Verbs that look: doctor, recipe list and show, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Set, split_names

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
    from caesura.recipes.compose import compose
    from caesura.recipes.schema import to_toml

    console.result(to_toml(compose(name, settings=set_ or ())))


def runs(
    folder: Annotated[Path, typer.Argument(help="A run, or a folder that holds runs.")],
    best: Annotated[
        str, typer.Option(help="Rank them by a figure: validation_loss, validation AUROC, ...")
    ] = "",
    compare: Annotated[
        bool, typer.Option("--compare", help="Show the settings that differ, run beside run.")
    ] = False,
    only: Annotated[str, typer.Option(help="Only these runs: A,B.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the rows (.parquet, .csv).")
    ] = None,
) -> None:
    """List the runs in a folder and below, or show one.

    Example: `caesura runs . --best validation_loss --compare`
    """
    import pyarrow as pa

    from caesura.data.write import check_writable, write_table
    from caesura.errors import RecipeError
    from caesura.folder import RECIPE
    from caesura.listing import differing, list_runs, overview, ranked

    if (folder / RECIPE).is_file():
        from caesura.run import load

        run = load(folder)
        console.table([{"figure": k, "value": v} for k, v in run.metrics.items()])
        console.table(run.coverage, "Coverage of 90 % intervals on held-out series")
        return
    if output is not None:
        check_writable(output)
    found = list_runs(folder)
    if only:
        names = split_names(only)
        unknown = set(names) - {one.name for one in found}
        if unknown:
            known = ", ".join(one.name for one in found)
            raise RecipeError(f"no run {sorted(unknown)[0]!r}; there are {known}")
        found = [one for one in found if one.name in names]
    if best:
        found = ranked(found, best)
    rows = differing(found) if compare else overview(found, best)
    console.table(rows)
    if best:
        console.result(f"best by {best}: {found[0].name} ({found[0].figures[best]:.4g})")
    if output is not None:
        texts = [{key: str(value) for key, value in row.items()} for row in rows]
        write_table(pa.Table.from_pylist(texts if compare else rows), output)
