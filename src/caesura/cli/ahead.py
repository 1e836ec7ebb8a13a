"""Verbs on regular series: forecast and detect."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Data, Device, RunFolder
from caesura.cli.use import Output


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    for verb in (forecast, detect):
        app.command()(verb)


def forecast(
    run: RunFolder,
    output: Output,
    horizon: Annotated[int, typer.Option(help="Steps ahead.")],
    data: Data = None,
    season: Annotated[int, typer.Option(help="Steps of a season; 0: found in the data.")] = 0,
    draws: Annotated[
        int | None,
        typer.Option(
            help="Of a run that generates, whose median is one way to forecast; default 64 where "
            "its window is longer than the horizon; 0: without them."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    way: Annotated[
        str, typer.Option(help="The way to write, a name of the table. Default: the best.")
    ] = "",
    device: Device = "auto",
) -> None:
    """Forecast each series beyond its end, with 90 % intervals, by the best of several ways.

    Writes id, time, channel, value, lower, upper, way. Ways: a head on the frozen encoder, draws of
    a run of timemar, DLinear, the last season again, the last value, an average. The best of each
    channel on earlier windows is written; the table is a backtest on the latest ones.

    Example: `caesura forecast run --horizon 24 -o next.parquet`
    """
    from caesura.answers import forecast_table
    from caesura.data.write import check_writable, write_table
    from caesura.run import load
    from caesura.tasks.forecast import ForecastSettings
    from caesura.tasks.forecast import forecast as forecast_store

    settings = ForecastSettings(horizon, season, draws, seed, way)
    trained = load(run)
    check_writable(output, data or trained.recipe.data.path)
    store = trained.open(data)
    found = forecast_store(trained, store, settings)
    write_table(forecast_table(found.schema, store, found.lengths, found), output)
    title = f"Backtest on the latest windows, {horizon} steps ahead, season {found.season}"
    console.table(found.backtest, title)
    console.result(f"written: {', '.join(dict.fromkeys(found.written))}")
    console.result(f"{found.value.size} values with 90 % intervals: {output}")


def detect(
    run: RunFolder,
    output: Output,
    data: Data = None,
    normal: Annotated[
        str | None, typer.Option(help="Normal data. Default: what the run was trained on.")
    ] = None,
    by: Annotated[
        str,
        typer.Option(help="Detector that scores, e.g. KNN; auto: what normal data support best."),
    ] = "auto",
    truth: Annotated[
        str, typer.Option(help="Column of --data that is 1 in anomalies: also score the scores.")
    ] = "",
    level: Annotated[float, typer.Option(help="p-value below which a time is listed.")] = 0.001,
    table: Annotated[
        Path | None,
        typer.Option(help="File of the table of detectors. Default: OUTPUT.detectors.csv."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the anomalies put into normal data.")] = 0,
    device: Device = "auto",
) -> None:
    """Score every time stamp by how unlike normal data it is: id, time, score, p_value.

    Detectors are this run's encoder and others that read samples. Each is fitted to parts of the
    normal data and finds anomalies that are put into the part left out; what finds them best is
    written, and the table of all goes to a file, with --truth scored against the labels.

    p_value: share of normal time stamps, not fitted, that score as high; it means what it says
    where normal data resemble what comes.

    Example: `caesura detect run --data new.parquet --normal old.parquet -o scores.parquet`
    """
    import numpy as np
    import pyarrow as pa

    from caesura.answers import detection_table
    from caesura.data.marks import read_marks
    from caesura.data.write import check_writable, write_table
    from caesura.errors import RecipeError
    from caesura.run import load
    from caesura.tasks.detect import DetectSettings, compare_detectors
    from caesura.tasks.detect import detect as detect_store
    from caesura.tasks.forecast import regular_view

    if table is None:
        table = output.with_suffix(".detectors.csv")
        if table.exists() and not table.read_text(errors="replace").startswith('"detector"'):
            raise RecipeError(f"{table} is no table of detectors; name another one by --table FILE")
    trained = load(run)
    for path in (output, table):
        check_writable(path, data or trained.recipe.data.path, normal)
    store = trained.open(data)
    known = trained.open(normal)
    marks = []
    if truth:
        view = regular_view(trained, store)
        source = data or trained.recipe.data.path
        marks = read_marks(source, view, trained.schema.columns, truth)
    detected = detect_store(trained, store, known, DetectSettings(by, seed))
    write_table(detection_table(trained.schema, store, detected), output)
    rows, title = detected.table, "Anomalies put into normal data: average precision of each kind"
    if truth:
        rows = compare_detectors(trained, store, known, marks, detected)
        title = "Against the labels; point-adjusted F1 flatters: see that of noise"
    console.table(rows, title)
    write_table(pa.Table.from_pylist(rows), table)
    scores, bound = np.concatenate(detected.score), max(level, detected.least)
    flagged = int((scores > detected.normality.null.threshold(level)).sum())
    if detected.least > level:
        console.result(
            f"p-values begin at {detected.least:.2g}: so few independent normal time stamps were "
            "held out; give longer --normal data"
        )
    console.result(f"written: {detected.by}; all detectors: {table}")
    console.result(
        f"{len(scores)} time stamps, {flagged} with p of {bound:.2g} or less "
        f"({bound * np.isfinite(scores).sum():.0f} expected of normal data): {output}"
    )
