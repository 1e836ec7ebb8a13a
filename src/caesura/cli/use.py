"""Verbs that use runs: embed, predict, interpolate, probe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from caesura.cli import console
from caesura.cli.options import (
    Data,
    Device,
    LabelId,
    Labels,
    Rare,
    RunFolder,
    Target,
    checked_rare,
    split_names,
)

if TYPE_CHECKING:
    from caesura.nn.heads import Pooling
    from caesura.run import Run

Output = Annotated[
    Path, typer.Option("--output", "-o", help="File to write: .parquet, .csv or .arrow.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (embed, predict, interpolate, probe):
        app.command()(verb)


def embed(
    run: RunFolder,
    output: Output,
    data: Data = None,
    pooling: Annotated[
        str, typer.Option(help="auto, cls, mean, cls+mean, levels, levels+max.")
    ] = "auto",
    windows: Annotated[
        bool, typer.Option(help="A row for each window, with its time (himae).")
    ] = False,
    neighbours: Annotated[
        int, typer.Option(help="Also give the ids of each series' K nearest others.")
    ] = 0,
    engine: Annotated[
        Literal["processes", "ray"],
        typer.Option(help="Who shares the parts of a folder: torchrun's or SLURM's, or Ray's."),
    ] = "processes",
    device: Device = "auto",
) -> None:
    """Write one vector a series: id, f0, f1, ...

    -o of a folder writes Parquet part by part, for corpora that memory does not hold; what is there
    is kept, and processes of torchrun or SLURM share the parts, or actors of a Ray cluster.

    Example: `caesura embed run --data new.parquet -o z.parquet --neighbours 3`
    """
    import numpy as np
    import pyarrow as pa

    from caesura.answers import window_times
    from caesura.data.column_types import beside, typed
    from caesura.data.write import check_writable, write_table
    from caesura.errors import RecipeError
    from caesura.nn.heads import checked_pooling
    from caesura.run import load
    from caesura.tasks.embed import embed as embed_store
    from caesura.tasks.embed import embed_windows

    read_out = checked_pooling(pooling)
    trained = load(run)
    if output.suffix:
        check_writable(output, data or trained.recipe.data.path)
    else:
        if windows or neighbours:
            raise RecipeError("--windows and --neighbours are of one file; name it z.parquet")
        source = data or trained.recipe.data.path
        return _embed_parts(trained, source, output, read_out, engine == "ray")
    if engine == "ray":
        raise RecipeError("--engine ray writes parts; name a folder with -o")
    store = trained.open(data)
    name = trained.schema.columns.id
    ids = typed(store.ids, store.column_types.get(name, ""))
    own, columns = {name: ids}, {}
    with console.counting_bar("embedding") as show:
        if windows:
            series, start, vectors = embed_windows(trained, store, read_out, show)
            ids = ids.take(pa.array(series))
            own = {name: ids}
            own[trained.schema.columns.time] = window_times(trained.schema, store, series, start)
            columns = {"start": pa.array(start)}
        else:
            vectors = embed_store(trained, store, read_out, show)
            own[name] = typed(store.all_ids, store.column_types.get(name, ""))
    written = vectors if windows else store.spread(vectors)
    columns |= {f"f{i}": pa.array(column) for i, column in enumerate(written.T)}
    if neighbours:
        from caesura.tasks.neighbours import nearest

        near, distance = nearest(vectors, neighbours)
        rows = pa.array(np.arange(len(vectors))) if windows else store.source_rows
        for k in range(near.shape[1]):
            columns[f"neighbour_{k + 1}"] = ids.take(pa.array(near[:, k])).take(rows)
            columns[f"distance_{k + 1}"] = pa.array(distance[:, k]).take(rows)
    write_table(pa.table(beside(own, columns)), output)
    what = "windows" if windows else "series"
    console.result(f"{len(written)} {what}, {vectors.shape[1]} features: {output}")


def _embed_parts(run: Run, data: str, folder: Path, pooling: Pooling, on_ray: bool) -> None:
    """Embed a corpus part by part."""
    from caesura.shards import embed_parts
    from caesura.shards_ray import embed_parts_on_ray

    way = embed_parts_on_ray if on_ray else embed_parts
    with console.counting_bar("embedding") as show:
        done = way(run, data, folder, pooling=pooling, on_part=show)
    console.result(f"{done} series embedded now: {folder}")


def predict(run: RunFolder, output: Output, data: Data = None, device: Device = "auto") -> None:
    """Write predictions of a fine-tuned run: id, prediction, one probability a class.

    Example: `caesura predict tuned --data new.parquet -o predictions.parquet`
    """
    from caesura.data.write import check_writable, write_table
    from caesura.run import load

    trained = load(run)
    check_writable(output, data or trained.recipe.data.path)
    table = trained.predict(data)
    write_table(table, output)
    console.result(f"{table.num_rows} series: {output}")


def interpolate(
    run: RunFolder,
    output: Output,
    data: Data = None,
    query: Annotated[
        str | None, typer.Option(help="Table of id, time and channel to predict.")
    ] = None,
    at: Annotated[
        str, typer.Option(help="every:STEP over each series' span, or times t1,t2,...")
    ] = "",
    level: Annotated[float, typer.Option(help="Level of the intervals, from 0.5.")] = 0.9,
    device: Device = "auto",
) -> None:
    """Predict values at any time and channel, with calibrated intervals.

    Writes the query's rows in their order plus value, lower, upper and trust; trust is
    "low" beyond what held-out series could calibrate.

    Example: `caesura interpolate run --data new.parquet --at every:0.5 -o filled.parquet`
    """
    from caesura.data.queries import lay_out_queries, read_queries
    from caesura.data.write import check_writable, write_table
    from caesura.errors import RecipeError
    from caesura.run import load

    if (query is None) == (not at):
        raise RecipeError("give either --query FILE or --at every:STEP|t1,t2,...")
    trained = load(run)
    check_writable(output, query, data or trained.recipe.data.path)
    store = trained.open(data)
    if query is not None:
        queries, table = read_queries(query, store, trained.schema)
    else:
        queries, table = lay_out_queries(at, store, trained.schema)
    with console.counting_bar("interpolating") as show:
        answered = trained.answer(store, queries, table, level, show)
    write_table(answered, output)
    low = sum(value == "low" for value in answered.column(answered.num_columns - 1).to_pylist())
    console.table(trained.coverage, "Coverage of 90 % intervals on held-out series of the training")
    console.result(f"{answered.num_rows} values, {low} with low trust: {output}")


def probe(
    run: RunFolder,
    labels: Labels,
    data: Data = None,
    target: Target = "",
    label_id: LabelId = "",
    rare: Rare = "keep",
    folds: Annotated[int, typer.Option(help="Grouped folds.")] = 5,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the tables as JSON.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Also draw score by level, an .svg; several targets: a map.")
    ] = None,
    spans: Annotated[
        str,
        typer.Option(
            help='Irregular series: by spans of time, "auto" or A,B,... in the unit of the '
            "table's times (seconds for dates), in place of layers."
        ),
    ] = "",
    head: Annotated[
        Path | None, typer.Option(help="Keep the linear model, for `caesura export --head`.")
    ] = None,
    head_on: Annotated[
        str, typer.Option(help='What it reads: chosen, "all levels", "level 4", ...')
    ] = "chosen",
    device: Device = "auto",
) -> None:
    """Ask which level or layer of a frozen encoder knows a label, beside its random twin.

    Several targets (A,B) are probed one by one. With --spans: which span of time carries it.

    Example: `caesura probe run --labels labels.csv --target type --figure probe.svg`
    """
    import numpy as np

    from caesura.errors import RecipeError
    from caesura.files import write_json, write_text
    from caesura.run import load
    from caesura.study.resolution import probe_figure
    from caesura.tasks.linear import folds as check_folds
    from caesura.tasks.probe import CHOSEN, probe_label
    from caesura.tasks.probe_head import fit_head, save_head
    from caesura.tasks.probe_sources import probe_sources
    from caesura.tasks.spans import chosen_spans

    trained = load(run)
    store = trained.open(data)
    targets = split_names(target) or ("",)
    if head is not None and len(targets) > 1:
        raise RecipeError("--head keeps the probe of one label; give one --target")
    if head is not None and spans:
        raise RecipeError("--head keeps a probe of levels or layers; leave out --spans")
    chosen_times = chosen_spans(spans, trained, store) if spans else ()
    levels = len(chosen_times) + 1 if spans else trained.probe_levels
    tables: dict[str, Any] = {}
    found: dict[str, Any] = {}
    embedded = np.zeros(0, np.int64)
    for one in targets:
        known = trained.read_labels(
            labels, store, (one,) if one else (), id_column=label_id, rare=checked_rare(rare)
        )
        labelled = store.take(known.series)
        check_folds(known, labelled.group_codes, folds, 0)  # too few labels: said before any work
        with console.bar("probing") as progress:
            show = console.stepping(progress, 2 * (levels + 4) + (levels if spans else 0))
            if not np.array_equal(known.series, embedded):  # targets mostly share their series
                sources = probe_sources(trained, labelled, on_progress=show, spans=chosen_times)
                embedded = known.series
            groups = labelled.group_codes
            result = probe_label(sources, known, groups, num_folds=folds, watch=show)
            show("")
        name = known.target.names[0]
        tables[name], found[name] = result.tables["probe"], result.tables
        several = f"{name}: " if len(targets) > 1 else ""
        title = f"{several}{len(known.series)} labelled series, {folds} folds"
        console.table(result.tables["probe"], title)
        console.result("")
        console.table(
            result.tables["differences"], "Paired differences, 95 % intervals over groups"
        )
        for row in result.tables["differences"]:
            console.result(found_in_words(row))
        console.result(f"{several}{carrier_in_words(result.names)}\n")
        if head is not None:
            chosen = result.names[CHOSEN] if head_on == "chosen" else head_on
            save_head(fit_head(sources, known, groups, chosen), head)
            console.result(f"probe on {chosen}, fitted to all labelled series: {head}")
    if output is not None:
        write_json(output, {n: {k: _plain(r) for k, r in t.items()} for n, t in found.items()})
    if figure is not None:
        write_text(figure, probe_figure(tables))
        console.result(f"figure: {figure}")


def carrier_in_words(names: Mapping[str, str]) -> str:
    """Say which level carries a label, or that most folds name none."""
    from caesura.tasks.probe import CHOSEN, NAMED_IN, SURE

    if SURE in names:
        return f"the label is carried by {names[SURE]}"
    return f"no level is named by most folds ({names[CHOSEN]} in {names[NAMED_IN]})"


def found_in_words(row: dict[str, object]) -> str:
    """Say whether a paired difference's interval excludes 0."""
    from caesura.metrics.bootstrap import Interval

    (name, gap) = next((k, v) for k, v in row.items() if isinstance(v, Interval))
    verdict = "undecided: the interval holds 0"
    if gap.excludes_zero:
        verdict = "the first is better" if gap.value > 0 else "the second is better"
    return f"{row['comparison']} ({name}): {verdict}"


def _plain(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    from dataclasses import asdict, is_dataclass

    return [
        {k: asdict(v) if is_dataclass(v) and not isinstance(v, type) else v for k, v in r.items()}
        for r in rows
    ]
