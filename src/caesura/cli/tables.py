"""Verbs on data: validate, stats, sort."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caesura.cli import console
from caesura.cli.options import given_columns

if TYPE_CHECKING:
    from caesura.data.store import DoorReport, RaggedStore

verbs = typer.Typer(help="Look at data before training, or put it in order.", no_args_is_help=True)
Data = Annotated[str, typer.Option(help="Table: Parquet file or folder, CSV, Arrow.")]
Id = Annotated[str, typer.Option(help="Column that names the series.")]
Time = Annotated[str, typer.Option(help="Column of times: numbers or dates.")]
Channel = Annotated[str, typer.Option(help="Column that names the channel, if any.")]
Value = Annotated[str, typer.Option(help="Value column, or several of a wide table.")]
Error = Annotated[str, typer.Option(help="Column of measurement errors.")]
Group = Annotated[str, typer.Option(help="Column of groups.")]
Static = Annotated[str, typer.Option(help="Columns constant in a series: A,B.")]
Missing = Annotated[str, typer.Option(help="Values that mean 'not measured'.")]
Duplicates = Annotated[str, typer.Option(help="mean, last or error.")]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="data")


@verbs.command()
def validate(
    data: Data,
    id: Id = "",
    time: Time = "",
    channel: Channel = "",
    value: Value = "",
    error: Error = "",
    group: Group = "",
    static: Static = "",
    missing: Missing = "",
    duplicates: Duplicates = "",
) -> None:
    """Read data as a training would, and say what was found, dropped and mended.

    Example: `caesura data validate --data stars.parquet --id star --time mjd --value flux`
    """
    from caesura.data.summary import describe_store

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, group=group,
        static=static, missing=missing, duplicates=duplicates,
    )  # fmt: skip
    store, report = _opened(data, columns)
    console.table([{"": name, "value": value} for name, value in describe_store(store).items()])
    kept = "nothing was dropped or mended" if not report.notices else "see the notes"
    console.result(f"\n{report.rows} rows read, {report.series} series: {kept}")


@verbs.command()
def stats(
    data: Data,
    id: Id = "",
    time: Time = "",
    channel: Channel = "",
    value: Value = "",
    error: Error = "",
    missing: Missing = "",
) -> None:
    """Show each channel: how often it is seen, in how many series, and its values.

    Example: `caesura data stats --data stars.parquet --id star --time mjd --value flux`
    """
    from caesura.data.summary import describe_channels

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, missing=missing
    )
    store, _ = _opened(data, columns)
    console.table(describe_channels(store))


@verbs.command()
def sort(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder of Parquet files.")],
    id: Id = "id",
    time: Time = "time",
    rows: Annotated[int, typer.Option(help="Rows in memory at once.")] = 20_000_000,
) -> None:
    """Write a table sorted by id and time: it loads many times faster, and can be streamed.

    Example: `caesura data sort --data stars.csv --id star --time mjd --out sorted`
    """
    from caesura.data.sort import sort_table

    with console.counting_bar("sorting") as show:
        written = sort_table(data, out, (id, time), rows_a_part=rows, on_progress=show)
    console.result(f"{len(written)} files: {out}")


def _opened(data: str, columns: dict[str, Any]) -> tuple[RaggedStore, DoorReport]:
    from caesura.data.door import open_data
    from caesura.tasks.pretrain import resolve_tokens
    from caesura.workflow import compose

    config = resolve_tokens(compose("romae", columns=columns).data, source_is_table=True)
    return open_data(data, config)
