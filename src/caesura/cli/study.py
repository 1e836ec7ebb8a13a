"""Verbs that ask whether and how to pre-train: study dividend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from caesura.cli import console
from caesura.cli.options import Data as RunData
from caesura.cli.options import (
    Device,
    LabelId,
    Labels,
    Rare,
    Resume,
    RunFolder,
    Target,
    checked_rare,
    given_columns,
)
from caesura.cli.options import split_names as names_of
from caesura.cli.tables import (
    Channel,
    Classes,
    Data,
    Error,
    Group,
    Id,
    Missing,
    Static,
    Time,
    Value,
)

Forecast = Annotated[
    int, typer.Option(help="Steps ahead: the task is a forecast, and takes no labels.")
]
Truth = Annotated[
    str,
    typer.Option(help="Column of --data that is 1 in anomalies: the task is to find them."),
]
Normal = Annotated[
    float, typer.Option(help="Share of each series that is normal, with --truth: its beginning.")
]
Season = Annotated[
    int, typer.Option(help="Steps of a season, with --forecast; 0: found in the data.")
]

verbs = typer.Typer(help="Ask whether pre-training pays, and which.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.add_typer(verbs, name="study")


@verbs.command()
def dividend(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study.")],
    labels: Labels = "",
    forecast: Forecast = 0,
    season: Season = 0,
    truth: Truth = "",
    normal: Normal = 0.4,
    id: Id = "",
    time: Time = "",
    channel: Channel = "",
    value: Value = "",
    error: Error = "",
    group: Group = "",
    static: Static = "",
    classes: Classes = "",
    missing: Missing = "",
    target: Target = "",
    label_id: LabelId = "",
    rare: Rare = "keep",
    rate: Annotated[
        float,
        typer.Option(help="Samples a second of regular series; 0: irregular ones."),
    ] = 0.0,
    window: Annotated[float, typer.Option(help="Seconds of a window, with --rate.")] = 0.0,
    objectives: Annotated[
        str,
        typer.Option(
            help="Of masked_tokens, next_patch, denoise, jepa, lejepa, dino, vicreg: A,B,..."
        ),
    ] = "masked_tokens,lejepa",
    augmentations: Annotated[
        str, typer.Option(help="none, jitter, crop, dwt, time_mask, scale, drop, ...: A,B,...")
    ] = "none,jitter",
    encoders: Annotated[str, typer.Option(help="WIDTHxDEPTH: A,B,...")] = "64x3",
    seeds: Annotated[int, typer.Option(help="Seeds of the report.")] = 2,
    folds: Annotated[int, typer.Option(help="Folds by group.")] = 3,
    most: Annotated[int, typer.Option(help="Labelled series that are used at most.")] = 500,
    features: Annotated[
        str | None, typer.Option(help="Table of id and numbers of your own, scored beside.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="Time for the whole study.")] = 5.0,
    steps: Annotated[int, typer.Option(help="Pre-training steps instead of --minutes.")] = 0,
    tuning_steps: Annotated[int, typer.Option(help="Fine-tuning steps, with --steps.")] = 60,
    processes: Annotated[int, typer.Option(help="Processes that share the cells.")] = 1,
    resume: Resume = False,
    device: Device = "auto",
) -> None:
    """Ask what pre-training buys on your own data and task, with controls and intervals.

    Objectives x augmentations x seeds on one encoder, the same tokens each; every learning rate
    from a grid of three, chosen on cases that the report does not use. The task: labels, a
    forecast of regular series, or marked anomalies in them.

    Example: `caesura study dividend --data ecg.parquet --rate 1 --labels labels.csv --out study`
    """
    from caesura.study.dividend.answers import answer
    from caesura.study.dividend.begin import Question, begin, data_config
    from caesura.study.dividend.report import baseline_rows, result_rows, write_study

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, group=group,
        static=static, classes=classes, missing=missing,
    )  # fmt: skip
    settings = {
        "objectives": names_of(objectives), "views": names_of(augmentations),
        "encoders": names_of(encoders), "seeds": seeds, "folds": folds,
        "most": most,
    } | ({"steps": steps, "tuning_steps": tuning_steps} if steps else {})  # fmt: skip
    question = Question(
        data, data_config(data, columns, rate, window), labels, names_of(target), label_id,
        checked_rare(rare), features, forecast, season, truth, normal,
    )  # fmt: skip
    study = begin(question, out, settings, minutes=0.0 if steps else minutes, processes=processes)
    study.open(resume=resume)
    plan = study.plan
    console.say(
        f"{len(list(plan.cells()))} cells; {plan.steps} steps of pre-training for an objective "
        f"that reads each token once, {plan.tuning_steps} of fine-tuning"
    )
    helpers = [] if processes < 2 else _helpers(processes - 1)
    try:
        with console.bar("study") as progress:
            job = progress.task_ids[0]
            study.run(
                lambda title, done, total: progress.update(job, note=title, completed=done / total)
            )
    finally:
        for helper in helpers:
            helper.terminate()
    found = answer(study)
    page = write_study(study, found)
    console.table(result_rows(found), f"{found.cases}, {plan.seeds} seeds")
    console.result("")
    console.table(baseline_rows(found), "Baselines")
    console.result(f"\n{found.sentence()}\n{found.certainty()}")
    console.result(f"report: {page}")


def _helpers(count: int) -> list[subprocess.Popen[bytes]]:
    """Start the same command again, to share the cells of the folder."""
    again = [a for a in sys.argv[1:] if a != "--resume"]
    command = [sys.executable, "-m", "caesura.cli.main", "--quiet", *again, "--resume"]
    command += ["--processes", "1"]
    return [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(count)
    ]


@verbs.command()
def recommend(
    data: Data,
    labels: Labels = "",
    forecast: Forecast = 0,
    season: Season = 0,
    truth: Truth = "",
    normal: Normal = 0.4,
    id: Id = "",
    time: Time = "",
    channel: Channel = "",
    value: Value = "",
    error: Error = "",
    group: Group = "",
    missing: Missing = "",
    target: Target = "",
    label_id: LabelId = "",
    rare: Rare = "keep",
    rate: Annotated[
        float, typer.Option(help="Samples a second of regular series; 0: irregular ones.")
    ] = 0.0,
    window: Annotated[float, typer.Option(help="Seconds of a window, with --rate.")] = 0.0,
    objectives: Annotated[
        str, typer.Option(help="What is tried: A,B,...")
    ] = "masked_tokens,next_patch,jepa,lejepa",
    augmentations: Annotated[
        str, typer.Option(help="Tried with the best of them: A,B,...")
    ] = "none,jitter",
    most: Annotated[int, typer.Option(help="Labelled series that are used at most.")] = 500,
    minutes: Annotated[float, typer.Option(help="Time for all of it.")] = 5.0,
    device: Device = "auto",
) -> None:
    """Propose an objective, an augmentation and a resolution, after a short try of each.

    Example: `caesura study recommend --data ecg.parquet --rate 1 --labels labels.csv`
    """
    import tempfile

    from caesura.study.dividend.begin import Question, begin, data_config
    from caesura.study.dividend.recommend import recommend as propose

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, group=group, missing=missing
    )
    question = Question(
        data, data_config(data, columns, rate, window), labels, names_of(target), label_id,
        checked_rare(rare), horizon=forecast, season=season, truth=truth, normal=normal,
    )  # fmt: skip
    settings = {
        "objectives": names_of(objectives), "views": names_of(augmentations), "seeds": 1,
        "most": most,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, console.bar("trying"):
        study = begin(question, Path(folder) / "study", settings)
        patch = study.plan.patch
        patches = tuple(p for p in (patch // 2, 2 * patch) if p > 0) if patch else ()
        found = propose(study, minutes, patches)
    rows = [
        {
            "objective": one.objective,
            "augmentation": one.view,
            "patch": one.patch or "",
            "frozen skill": str(one.skill),
            "over no training": str(one.dividend),
            "seconds": round(one.seconds, 1),
        }
        for one in found.tried
    ]
    console.table(rows, "Tried for a short while")
    console.result(f"\n{found.sentence()}")
    console.result("It chose by its own score; `caesura study dividend` measures what it is worth.")


@verbs.command()
def flywheel(
    run: RunFolder,
    labels: Labels,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the study.")],
    data: RunData = None,
    target: Target = "",
    label_id: LabelId = "",
    rare: Rare = "keep",
    objective: Annotated[
        str, typer.Option(help="Of the pre-training: masked_tokens, next_patch, lejepa, ...")
    ] = "masked_tokens",
    steps: Annotated[int, typer.Option(help="Pre-training steps of each encoder.")] = 300,
    most: Annotated[int, typer.Option(help="Times the own series that are tried at most.")] = 8,
    seeds: Annotated[int, typer.Option(help="Seeds of the encoders.")] = 2,
    folds: Annotated[int, typer.Option(help="Folds by group.")] = 3,
    labelled: Annotated[int, typer.Option(help="Labelled series that are used at most.")] = 1000,
    resume: Resume = False,
    device: Device = "auto",
) -> None:
    """Ask whether a generator's series can stand in for one's own in a pre-training.

    RUN is a `timemar` run on regular series; labels are of the series that it was trained on.
    Synthetic ones in growing number until more gain nothing; no training, kernels of no origin and
    own series beside; and an audit of copies. Writes synthetic.parquet and results.jsonl.

    Example: `caesura study flywheel maker --labels labels.csv --out wheel`
    """
    from caesura.data.write import write_table
    from caesura.files import locked
    from caesura.run import load
    from caesura.study.dividend.begin import Question, begin
    from caesura.study.dividend.flywheel import bind, reading, write_flywheel
    from caesura.study.dividend.flywheel import flywheel as spin

    maker = load(run)
    source = data or maker.recipe.data.path
    question = Question(
        source, reading(maker, source), labels, names_of(target), label_id, checked_rare(rare)
    )
    settings = {
        "objectives": (objective,), "views": ("none",), "seeds": seeds, "folds": folds,
        "most": labelled, "steps": steps,
    }  # fmt: skip
    study = begin(question, out, settings)
    bind(study, maker)
    study.open(resume=resume)
    with locked(out), console.bar("flywheel") as progress:
        job = progress.task_ids[0]
        found, table = spin(study, maker, most, lambda note: progress.update(job, note=note))
    write_table(table, out / "synthetic.parquet")
    write_flywheel(out, found)
    console.table(found.rows(), f"{study.report.cases} that chose nothing, {seeds} seeds")
    console.result(f"\n{found.sentence()}\n{found.warning()}")
    console.result(f"enough synthetic series: {out / 'synthetic.parquet'}")
