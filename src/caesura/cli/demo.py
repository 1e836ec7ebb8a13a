"""The verb demo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Device

if TYPE_CHECKING:
    from caesura.training.loop import Progress


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(demo)


def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the runs and report.html.")
    ] = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Repeat with this many seeds.")] = 1,
    quick: Annotated[
        bool, typer.Option(help="A one-minute form: all stages, figures that mean little.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Pre-train, interpolate and classify real intensive-care records, and write a report.

    Example: `caesura demo --out demo`
    """
    from caesura.files import claim, write_json
    from caesura.study.demo import FULL, QUICK, run_demo
    from caesura.study.demo_report import summary_rows, write_demo_report

    claim(out, ("report.html", "results.json"))
    report = out / "report.html"
    folder = _fresh(out)
    result = run_demo(folder, QUICK if quick else FULL, seeds, _stage)
    write_demo_report(result, report)
    rows = summary_rows(result)
    write_json(out / "results.json", {"seeds": seeds, "seconds": result.seconds, "rows": rows})
    console.table(rows)
    console.result(f"\n{result.seconds:.0f} s. Report: {report}")


def _fresh(out: Path) -> Path:
    """Return a folder for the runs; those of an earlier demo stay beside it."""
    number = 1
    while (out / f"runs{number}").exists():
        number += 1
    return out / f"runs{number}"


@contextmanager
def _stage(name: str) -> Iterator[Callable[[Progress], None]]:
    with console.training_bar(name) as show:
        yield show
