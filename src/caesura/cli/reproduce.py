"""The verb reproduce."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from caesura.cli import console
from caesura.cli.options import Device
from caesura.errors import CaesuraError, StoppedError

if TYPE_CHECKING:
    from caesura.reproduce.experiment import Experiment, Scale
    from caesura.reproduce.queue import Queue


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(reproduce)


def reproduce(
    name: Annotated[str, typer.Argument(help="An experiment, `list`, or `all`.")],
    scale: Annotated[
        Literal["quick", "medium", "full"],
        typer.Option(help="quick: minutes, figures mean little; full: the paper's protocol."),
    ] = "quick",
    seeds: Annotated[int, typer.Option(min=0, help="How many; 0: the experiment's own.")] = 0,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data that the experiment names.")
    ] = None,
    cells: Annotated[str, typer.Option(help="Only these cells, separated by ';'.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of all results.")] = Path(
        "reproduced"
    ),
    resume: Annotated[bool, typer.Option(help="Go on with what is in --out.")] = False,
    device: Device = "auto",
) -> None:
    """Repeat an experiment of a paper and print its figures beside ours.

    Results are kept cell by cell: after an interrupt, --resume goes on, and several processes
    may share one queue. Writes results.jsonl, table.md and a figure.

    Example: `caesura reproduce romae-synthetic --scale medium`
    """
    from caesura.reproduce.catalogue import find, names
    from caesura.reproduce.queue import Queue

    if name == "list":
        _list()
        return
    chosen = [cell.strip() for cell in cells.split(";") if cell.strip()]
    left = 0
    for one in names() if name == "all" else (name,):
        experiment = find(one)
        if name == "all" and data is None and experiment.reads_data(scale):
            console.say(f"{one} is left out: it reads {experiment.data}; pass --data FOLDER")
            continue
        queue = Queue(experiment, scale, out, seeds=seeds, cells=chosen, data=data, resume=resume)
        console.say(f"{one}: {experiment.title} ({scale}: {experiment.cost[scale]})")
        try:
            queue.run(console.training_bar)
        except StoppedError as error:
            raise StoppedError(
                "stopped; finished cells are kept, continue with --resume"
            ) from error
        _show(experiment, scale, queue)
        left += len(queue.pending())
    if left:
        raise CaesuraError(f"{left} cells are being run by another process")


def _show(experiment: Experiment, scale: Scale, queue: Queue) -> None:
    from caesura.files import write_text
    from caesura.reproduce.figure import draw
    from caesura.reproduce.table import comparison_rows, json_rows, markdown, table_rows

    results = queue.results()
    command = f"caesura reproduce {experiment.name} --scale {scale}"
    if experiment.reads_data(scale):
        command += " --data FOLDER"
    rows, differences = table_rows(experiment, results), comparison_rows(experiment, results)
    console.table(rows)
    console.table(differences)
    for note in experiment.notes:
        console.say(f"- {note}")
    found = json_rows(experiment, results, command)
    write_text(queue.folder / "results.jsonl", "".join(json.dumps(row) + "\n" for row in found))
    write_text(
        queue.folder / "table.md", "\n".join([markdown(rows), markdown(differences)]).strip() + "\n"
    )
    if results:
        write_text(queue.folder / "figure.svg", draw(experiment, results))
    console.result(f"\n{queue.folder}")


def _list() -> None:
    from caesura.reproduce.catalogue import find, names

    for name in names():
        one = find(name)
        console.result(f"{name}: {one.title}")
        for scale, cost in one.cost.items():
            cells, seeds = one.cells[scale], one.seeds[scale]
            count = f"{len(cells)} cell{'s' if cells[1:] else ''}, {seeds} seed"
            console.result(f"    {scale:7s} {count}{'s' if seeds > 1 else ''}; {cost}")
        if one.data:
            console.result(f"    data    {one.data}")
