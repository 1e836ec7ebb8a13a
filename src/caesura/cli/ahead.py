"""Verbs on regular series: forecast and detect."""

from __future__ import annotations

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
    truth: Annotated[
        str, typer.Option(help="Column of --data that is 1 in anomalies: also score the scores.")
    ] = "",
    level: Annotated[float, typer.Option(help="p-value below which a time is listed.")] = 0.001,
    device: Device = "auto",
) -> None:
    """Score every time stamp by how unlike normal data it is: id, time, score, p_value.

    p_value: share of held-out normal time stamps that score as high; it means what it says
    where normal data resemble what comes.

    Example: `caesura detect run --data new.parquet --normal old.parquet -o scores.parquet`
    """
    import numpy as np

    from caesura.answers import detection_table
    from caesura.data.marks import read_marks
    from caesura.data.write import check_writable, write_table
    from caesura.run import load
    from caesura.tasks.detect import compare_detectors
    from caesura.tasks.detect import detect as detect_store
    from caesura.tasks.forecast import regular_view

    trained = load(run)
    check_writable(output, data or trained.recipe.data.path)
    store = trained.open(data)
    known = trained.open(normal)
    marks = []
    if truth:
        view = regular_view(trained, store)
        source = data or trained.recipe.data.path
        marks = read_marks(source, view, trained.schema.columns, truth)
    found = detect_store(trained, store, known)
    write_table(detection_table(trained.schema, store, found), output)
    p_value = np.concatenate(found.p_value)
    flagged = p_value <= max(level, found.least)
    if truth:
        rows = compare_detectors(trained, store, known, marks, found)
        console.table(rows, "Against the labels; point-adjusted F1 flatters: see that of noise")
    if found.least > level:
        console.result(
            f"p-values begin at {found.least:.2g}: so few normal time stamps were held out; give "
            "longer --normal data"
        )
    console.result(
        f"{len(p_value)} time stamps, {int(flagged.sum())} with p of {max(level, found.least):.2g} "
        f"or less ({max(level, found.least) * len(p_value):.0f} expected of normal data): {output}"
    )
