"""Verbs on regular series: forecast and detect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from caesura.cli import console
from caesura.cli.options import Data, RunFolder
from caesura.cli.use import Output

if TYPE_CHECKING:
    from caesura.run import Run


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
        typer.Option(help="Of a run that generates, whose median is taken; 0: the linear head."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
) -> None:
    """Forecast each series beyond its end, with 90 % intervals, beside what it must beat.

    Writes id, time, channel, value, lower, upper. A head on the frozen encoder is fitted to
    the earlier parts of the series; a run of timemar draws what follows, 64 times, where the
    horizon is shorter than its window. The table is a backtest on the latest fifth.

    Example: `caesura forecast run --horizon 24 -o next.parquet`
    """
    import numpy as np
    import pyarrow as pa

    from caesura.data.write import check_writable, write_table
    from caesura.run import load
    from caesura.tasks.forecast import forecast as forecast_store
    from caesura.tasks.forecast import regular_view

    check_writable(output)
    trained = load(run)
    store = trained.open(data)
    view = regular_view(trained, store)
    if draws is None:
        draws = 64 if "prior" in trained.parts and horizon < view.window else 0
    found = forecast_store(trained, store, horizon, season, draws, seed)
    steps = view.lengths[:, None] + np.arange(horizon)
    series, channels = len(store), found.value.shape[1]
    which = np.repeat(np.arange(series), channels * horizon)
    table = {
        trained.schema.columns.id: store.ids.take(pa.array(which)),
        trained.schema.columns.time: times_of(trained, store, which, np.repeat(steps, channels, 0)),
        "channel": np.tile(np.repeat(trained.schema.variables, horizon), series),
    }
    table |= {name: getattr(found, name).ravel() for name in ("value", "lower", "upper")}
    write_table(pa.table(table), output)
    title = f"Backtest on the latest fifth, {horizon} steps ahead, season {found.season}"
    console.table(found.backtest, title)
    best = min(found.backtest, key=lambda row: row["MASE"])["forecast"]
    console.result(f"best in the backtest: {best}")
    console.result(f"{len(which)} values with 90 % intervals: {output}")


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
) -> None:
    """Score every time stamp by how unlike normal data it is: id, time, score, p_value.

    p_value: share of held-out normal time stamps that score as high; it means what it says
    where normal data resemble what comes.

    Example: `caesura detect run --data new.parquet --normal old.parquet -o scores.parquet`
    """
    import numpy as np
    import pyarrow as pa

    from caesura.data.marks import read_marks
    from caesura.data.write import check_writable, write_table
    from caesura.run import load
    from caesura.tasks.detect import compare_detectors
    from caesura.tasks.detect import detect as detect_store
    from caesura.tasks.forecast import regular_view

    check_writable(output)
    trained = load(run)
    store = trained.open(data)
    known = trained.open(normal)
    marks = []
    if truth:
        view = regular_view(trained, store)
        source = data or trained.recipe.data.path
        marks = read_marks(source, view, trained.schema.columns, truth)
    found = detect_store(trained, store, known)
    lengths = [len(one) for one in found.score]
    which = np.repeat(np.arange(len(lengths)), lengths)
    steps = np.concatenate([np.arange(n) for n in lengths])
    p_value = np.concatenate(found.p_value)
    table = {
        trained.schema.columns.id: store.ids.take(pa.array(which)),
        trained.schema.columns.time: times_of(trained, store, which, steps),
        "score": np.concatenate(found.score),
        "p_value": p_value,
    }
    write_table(pa.table(table), output)
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
        f"{len(which)} time stamps, {int(flagged.sum())} with p of {max(level, found.least):.2g} "
        f"or less ({max(level, found.least) * len(which):.0f} expected of normal data): {output}"
    )


def times_of(run: Run, store: Any, which: Any, steps: Any) -> Any:
    """Return times of grid steps in the table's own clock."""
    import numpy as np
    import pyarrow as pa

    sampling = run.schema.sampling
    rate = 1.0 if sampling is None else sampling.rate_hz
    since = np.asarray(steps).ravel() / rate
    origin = store.origins[which]
    if store.time_kind == "timestamp":
        clock = origin + np.round(since * store.ticks).astype(np.int64)
        return pa.array(clock).cast(pa.timestamp("us", tz=store.time_zone or None))
    return origin + since
