"""Verbs of generators: generate, impute and evaluate."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Data, Device, RunFolder, given_columns, split_names
from caesura.cli.tables import Channel, Id, Missing, Time, Value
from caesura.cli.use import Output

if TYPE_CHECKING:
    from caesura.run import Run
    from caesura.tasks.generate import SamplingSettings

scores = typer.Typer(help="Score what was made.", no_args_is_help=True)


@scores.callback()
def evaluate() -> None:
    """Score what was made."""


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(generate)
    app.command()(impute)
    app.add_typer(scores, name="evaluate")


def generate(
    run: RunFolder,
    output: Output,
    number: Annotated[
        int,
        typer.Option(
            "-n", "--number", help="Windows to make, or draws of each sketch; 0: 1000, 1."
        ),
    ] = 0,
    temperature: Annotated[
        str, typer.Option(help="Of the draws; several are of the scales, coarse to fine.")
    ] = "1",
    top_k: Annotated[int, typer.Option(help="Draw from the likeliest codes only; 0: all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest share only.")] = 1.0,
    condition: Annotated[
        str, typer.Option(help="Static values of what is made: age=60,kind=a. Default: any.")
    ] = "",
    conditions: Annotated[
        str | None,
        typer.Option(help="Table from whose series (that have --condition) they are drawn."),
    ] = None,
    guidance: Annotated[float, typer.Option(help="Strength of the condition, 0: as learned.")] = 0,
    from_coarse: Annotated[
        str | None,
        typer.Option(help="Table of sketches: keep their coarsest codes, draw the finer ones."),
    ] = None,
    scales: Annotated[int, typer.Option(help="Scales kept with --from-coarse.")] = 2,
    known: Annotated[
        str | None,
        typer.Option(
            "--given", help="Table of what is known, e.g. some channels: kept, all else is drawn."
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(help="Length, tile after tile where it is beyond a window; 0: a window.")
    ] = 0,
    plan: Annotated[
        Path | None,
        typer.Option(help="Run at a lower rate (--set data.every=8) that tiles of --steps follow."),
    ] = None,
    noise: Annotated[bool, typer.Option(help="Draw the noise that codes cannot hold.")] = True,
    gaps: Annotated[
        bool | None,
        typer.Option(help="Leave samples out as the data do. Default: where times are irregular."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    device: Device = "auto",
) -> None:
    """Write synthetic windows in the columns, units and steps of the training data.

    With --given covariates that vary in time rule what is made: -n draws of each window.

    Example: `caesura generate run -n 1000 -o synthetic.parquet`
    """
    import time

    from caesura.answers import synthetic_table
    from caesura.data.write import check_writable, write_table
    from caesura.errors import RecipeError
    from caesura.run import load
    from caesura.tasks.conditions import condition_of, drawn_conditions
    from caesura.tasks.generate import SamplingSettings, redraw, sampling_of
    from caesura.tasks.generate import generate as generate_windows
    from caesura.tasks.generate_long import generate_long

    check_writable(output, known, from_coarse)
    try:
        each = tuple(float(part) for part in temperature.split(","))
    except ValueError:
        raise RecipeError(f"--temperature {temperature!r} is no number, e.g. 0.9") from None
    settings = SamplingSettings(each, top_k, top_p, guidance, noise, gaps)
    trained = load(run)
    if known is not None:
        if from_coarse or condition or conditions or steps or plan:
            raise RecipeError("--given has all that is known; leave out other sources and lengths")
        return _complete(trained, known, number or 1, output, seed, settings)
    if from_coarse is not None and (condition or conditions):
        raise RecipeError("--condition with --from-coarse: a sketch's own static columns are taken")
    if from_coarse is not None and (steps or plan):
        raise RecipeError("--from-coarse makes windows; leave out --steps and --plan")
    number = number or (1000 if from_coarse is None else 1)
    given = _condition(condition)
    if conditions is None:
        asked = condition_of(trained, given, number)
    else:
        asked = drawn_conditions(trained, trained.open(conditions), number, seed, given)
    begun = time.monotonic()
    if from_coarse is not None:
        store = trained.open(from_coarse)
        values = redraw(trained, store, scales, draws=number, seed=seed, settings=settings)
    elif steps or plan:
        values = generate_long(
            trained, number, steps or sampling_of(trained).window,
            plan=load(plan) if plan else None, seed=seed, settings=settings,
            condition=asked.numbers,
        )  # fmt: skip
    else:
        values = generate_windows(
            trained, number, seed=seed, settings=settings, condition=asked.numbers
        )
    seconds = time.monotonic() - begun
    write_table(synthetic_table(trained, values, seed, asked.columns), output)
    count, channels, length = values.shape
    made = f"{count} {'series' if steps else 'windows'} of {length} steps x {channels} variables"
    console.result(f"{made} in {seconds:.1f} s: {output}")
    place = quote(str(output))
    console.result(f"next: caesura evaluate generation --real DATA --synthetic {place}")


def _complete(
    run: Run, known: str, draws: int, output: Path, seed: int, settings: SamplingSettings
) -> None:
    """Write draws of all that a table leaves open in its windows."""
    from caesura.answers import completed_table
    from caesura.data.write import write_table
    from caesura.tasks.generate_given import generate_given

    store = run.open(known, partial=True, exact=True)
    found = generate_given(run, store, draws, seed=seed, settings=settings)
    write_table(completed_table(run.schema, store, found), output)
    _, channels, length = found.values.shape
    windows = f"{len(found.windows)} windows of {length} steps x {channels} variables"
    console.result(f"{draws} draws of {windows}: {output}")


def _condition(text: str) -> dict[str, str]:
    """Return the values by name of NAME=VALUE,..."""
    from caesura.errors import RecipeError

    found = {}
    for part in split_names(text):
        name, equals, value = part.partition("=")
        if not equals:
            raise RecipeError(f"--condition {part!r} is not name=value, e.g. age=60")
        found[name.strip()] = value.strip()
    return found


def impute(
    run: RunFolder,
    output: Output,
    data: Data = None,
    draws: Annotated[int, typer.Option(help="Draws of each gap.")] = 64,
    level: Annotated[float, typer.Option(help="Share of draws within the intervals.")] = 0.9,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    device: Device = "auto",
) -> None:
    """Fill the gaps of regular series: id, time, channel, value, lower, upper, imputed.

    What was measured stays as it was. Every step of the grid between a series' first and last
    measurement has a row for each variable.

    Example: `caesura impute run --data gaps.parquet -o whole.parquet`
    """
    from caesura.answers import imputed_table
    from caesura.data.write import check_writable, write_table
    from caesura.run import load
    from caesura.tasks.impute import impute as impute_store

    trained = load(run)
    check_writable(output, data or trained.recipe.data.path)
    store = trained.open(data, exact=True)
    found = impute_store(trained, store, draws, level, seed)
    table = imputed_table(trained.schema, store, found)
    write_table(table, output)
    filled = sum(table["imputed"].to_pylist())
    console.result(
        f"{filled} of {len(table)} values filled, with {100 * level:g} % intervals: {output}"
    )


@scores.command()
def generation(
    real: Annotated[str, typer.Option(help="Table that the generator was trained on.")],
    synthetic: Annotated[str, typer.Option(help="Table of what it made.")],
    holdout: Annotated[
        str | None,
        typer.Option(help="Real table that it did not see. Default: blocks of --real."),
    ] = None,
    id: Id = "",
    time: Time = "",
    channel: Channel = "",
    value: Value = "",
    missing: Missing = "",
    rate: Annotated[
        float, typer.Option(help="Steps a second (or unit of time) of irregular series; 0: own.")
    ] = 0,
    protocol: Annotated[
        str, typer.Option(help="caesura, or timegan: the literature's way, without a hold-out.")
    ] = "caesura",
    predict: Annotated[
        str, typer.Option(help="Channel of the predictive score (timegan). Default: the last one.")
    ] = "",
    repeats: Annotated[int, typer.Option(help="Seeds of critics and encoders.")] = 5,
    critics: Annotated[
        str, typer.Option(help="Classifiers of the discriminative score: timegan, gru, conv.")
    ] = "timegan,gru,conv",
    label: Annotated[
        str,
        typer.Option(help="Column with a class of each series: train on synthetic, test on real."),
    ] = "",
    report: Annotated[Path | None, typer.Option(help="Also write a page (.html).")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write the scores (.parquet, .csv).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 0,
) -> None:
    """Tell synthetic windows from real ones, each score beside that of real against real.

    Example: `caesura evaluate generation --real train.parquet --synthetic synthetic.parquet
    --holdout later.parquet --report report.html`
    """
    from dataclasses import replace

    import pyarrow as pa

    from caesura.data.config import Columns, DataConfig
    from caesura.data.write import check_writable, write_table
    from caesura.errors import RecipeError
    from caesura.study.generation.report import lead_of, write_page
    from caesura.study.generation.windows import read_sets
    from caesura.tasks.synthetic_labels import score_labels
    from caesura.tasks.synthetic_scores import Scoring, score_synthetic

    scoring = Scoring(repeats, split_names(critics), protocol, seed=seed)
    if predict and protocol != "timegan":
        raise RecipeError("--predict is the predictive score's channel: add --protocol timegan")
    if output is not None:
        check_writable(output, real, synthetic, holdout)
    given = given_columns(id=id, time=time, channel=channel, value=value, missing=missing)
    config = DataConfig(columns=Columns(**given), rate=rate)
    sets = read_sets(real, synthetic, holdout, config, label)
    scoring = replace(scoring, target=sets.target(predict))
    console.say(
        f"{len(sets.train)} training, {len(sets.unseen)} unseen, {len(sets.synthetic)} synthetic "
        f"windows of {sets.synthetic.shape[2]} steps x {len(sets.names)} channels"
    )
    found = score_synthetic(*sets[:3], scoring, show=console.say)
    if sets.labels is not None:
        found.append(score_labels(*sets[:3], sets.labels, scoring))
    rows = [one.row() for one in found]
    console.table(rows, "Against unseen real windows; 'real': windows that trained, the floor")
    console.result(lead_of(found))
    if output is not None:
        write_table(pa.Table.from_pylist(rows), output)
    if report is not None:
        write_page(report, sets, found)
        console.result(f"report: {report}")
