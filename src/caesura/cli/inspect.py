"""Verbs that look: doctor, data validate, recipe list and show, runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Set, given_columns

recipes = typer.Typer(help="Recipes: list them, show one.", no_args_is_help=True)
data_verbs = typer.Typer(help="Look at data before training.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(doctor)
    app.command()(runs)
    app.add_typer(recipes, name="recipe")
    app.add_typer(data_verbs, name="data")


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
        shape = "/".join(str(encoder[k]) for k in ("width", "heads", "depth"))
        objective = tree["stages"][0]["objective"]["type"]
        rows.append(
            {"recipe": name, "objective": objective, "width/heads/depth": shape, **training}
        )
    keys = list(dict.fromkeys(key for row in rows for key in row))
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


@data_verbs.command("validate")
def data_validate(
    data: Annotated[str, typer.Option(help="Table: Parquet file or folder, CSV, Arrow.")],
    id: Annotated[str, typer.Option(help="Column that names the series.")] = "",
    time: Annotated[str, typer.Option(help="Column of times: numbers or dates.")] = "",
    channel: Annotated[str, typer.Option(help="Column that names the channel, if any.")] = "",
    value: Annotated[str, typer.Option(help="Value column, or several of a wide table.")] = "",
    error: Annotated[str, typer.Option(help="Column of measurement errors.")] = "",
    group: Annotated[str, typer.Option(help="Column of groups.")] = "",
    static: Annotated[str, typer.Option(help="Columns constant in a series: A,B.")] = "",
    missing: Annotated[str, typer.Option(help="Values that mean 'not measured'.")] = "",
    duplicates: Annotated[str, typer.Option(help="mean, last or error.")] = "",
) -> None:
    """Read data as a training would, and say what was found, dropped and mended.

    Example: `caesura data validate --data stars.parquet --id star --time mjd --value flux`
    """
    from caesura.data.door import open_data
    from caesura.data.summary import describe_channels, describe_store
    from caesura.tasks.pretrain import resolve_tokens
    from caesura.workflow import compose

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, group=group,
        static=static, missing=missing, duplicates=duplicates,
    )  # fmt: skip
    config = resolve_tokens(compose("romae", columns=columns).data, source_is_table=True)
    store, report = open_data(data, config)
    console.table([{"": name, "value": value} for name, value in describe_store(store).items()])
    console.result("")
    console.table(describe_channels(store))
    kept = "nothing was dropped or mended" if not report.notices else "see the notes"
    console.result(f"\n{report.rows} rows read, {report.series} series: {kept}")


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
