"""Verbs on data: validate, stats, sort, synthesise, convert, overlap."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
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
Classes = Annotated[str, typer.Option(help="Columns constant in a series that name a class: A,B.")]
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
    classes: Classes = "",
    missing: Missing = "",
    duplicates: Duplicates = "",
) -> None:
    """Read data as a training would, and say what was found, dropped and mended.

    Example: `caesura data validate --data stars.parquet --id star --time mjd --value flux`
    """
    from caesura.data.summary import describe_store

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, group=group,
        static=static, classes=classes, missing=missing, duplicates=duplicates,
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
    from caesura.recipes.compose import compose
    from caesura.tasks.pretrain import resolve_tokens

    config = resolve_tokens(compose("romae", columns=columns).data, source_is_table=True)
    return open_data(data, config)


@verbs.command()
def synthesise(
    generator: Annotated[str, typer.Argument(help="kernel-synth, or lmc (several channels).")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the shards.")],
    count: Annotated[int, typer.Option("-n", help="Number of series.")] = 1000,
    length: Annotated[int, typer.Option("--length", "-L", help="Steps of a series.")] = 1024,
    channels: Annotated[int, typer.Option(help="Channels of a series (lmc).")] = 8,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Write synthetic series to pre-train on: Gaussian processes with random kernels.

    Example: `caesura data synthesise kernel-synth -n 10000 --length 1024 -o corpus`
    """
    from caesura.data.corpus import synthesise as write_corpus

    with console.counting_bar("drawing") as show:
        paths = write_corpus(
            generator, count, length, output, channels=channels, seed=seed, on_progress=show
        )
    columns = "value" if generator == "kernel-synth" else ",".join(f"v{c}" for c in range(channels))
    shown = columns if len(columns) < 40 else f"v0,...,v{channels - 1}"
    console.result(f"{count} series of {length} steps in {len(paths)} files: {output}")
    place = quote(str(output))
    console.result(f"next: caesura pretrain mae --data {place} --rate 1 --value {shown} --out run")


@verbs.command()
def convert(
    source: Annotated[str, typer.Argument(help="A .tsf, GluonTS Arrow, or csv with a `date`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File: .parquet, .csv, .arrow.")],
) -> None:
    """Turn the files of forecasting archives into a long table: id, time (steps), value.

    Example: `caesura data convert m4_weekly_dataset.tsf -o m4.parquet`
    """
    from caesura.data.corpus import as_long_table
    from caesura.data.write import check_writable, write_table

    check_writable(output, source)
    table = as_long_table(source)
    write_table(table, output)
    series = len(table["id"].unique()) if "id" in table.column_names else 0
    console.result(f"{series} series, {table.num_rows} rows: {output}")


@verbs.command()
def overlap(
    corpus: Annotated[str, typer.Option(help="What was, or will be, pre-trained on.")],
    data: Data,
    id: Id = "",
    time: Time = "",
    channel: Channel = "",
    value: Value = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the pairs as JSON.")
    ] = None,
) -> None:
    """Find series of --data that are in a corpus too, also rescaled, cut or resampled.

    Exits with 1 where there are any: a test on them measures memory.

    Example: `caesura data overlap --corpus corpus --data test.parquet`
    """
    from caesura.data.config import Columns, DataConfig
    from caesura.data.corpus import shared_series
    from caesura.data.door import open_data
    from caesura.files import write_json

    columns = Columns(**given_columns(id=id, time=time, channel=channel, value=value))
    stores = [open_data(one, DataConfig(columns=columns))[0] for one in (corpus, data)]
    rows = shared_series(*stores)
    if output is not None:
        write_json(output, rows)
    if not rows:
        console.result(f"none of {len(stores[1])} series is in the corpus of {len(stores[0])}")
        return
    console.table(rows[:20], "Series that the corpus holds too")
    found = len({row["series"] for row in rows})
    console.result(f"{found} series overlap with the corpus; leave them out of one of both")
    raise typer.Exit(1)


@verbs.command()
def bundled(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the files.")],
) -> None:
    """Write the bundled records out, to try things on: 3,500 stays of PhysioNet 2012.

    Example: `caesura data bundled -o records`
    """
    from caesura.data.bundled import bundled as path_of
    from caesura.data.read import read_table
    from caesura.data.write import write_table
    from caesura.files import claim

    claim(output, ("stays.parquet",), "--output")
    for name, kind in (("physionet2012", "stays"), ("physionet2012_outcomes", "outcomes")):
        write_table(read_table(path_of(f"{name}.parquet")), output / f"{kind}.parquet")
    stays, outcomes = (quote(str(output / f"{kind}.parquet")) for kind in ("stays", "outcomes"))
    console.result(
        f"{output}/stays.parquet: stay, hour, variable, value\n"
        f"{output}/outcomes.parquet: stay, died\n"
        f"next: caesura study dividend --data {stays} --id stay --time hour "
        f"--channel variable --value value --labels {outcomes} --out study"
    )
