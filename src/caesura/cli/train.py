"""Verbs that make runs: pretrain, finetune, distil."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from caesura.cli import console
from caesura.cli.options import (
    Data,
    Device,
    Epochs,
    LabelId,
    Labels,
    Minutes,
    Rare,
    Resume,
    RunFolder,
    Seed,
    Set,
    Steps,
    Target,
    checked_rare,
    given_columns,
    split_names,
)


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(pretrain)
    app.command()(finetune)
    app.command()(distil)


def pretrain(
    recipe: Annotated[str, typer.Argument(help="Recipe: romae, romae-tiny, ..., or a .toml.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new run.")],
    data: Annotated[
        str | None, typer.Option(help="Table: Parquet file or folder, CSV, Arrow.")
    ] = None,
    id: Annotated[str, typer.Option(help="Column that names the series.")] = "",
    time: Annotated[str, typer.Option(help="Column of times: numbers or dates.")] = "",
    channel: Annotated[str, typer.Option(help="Column that names the channel, if any.")] = "",
    value: Annotated[str, typer.Option(help="Value column, or several of a wide table.")] = "",
    error: Annotated[str, typer.Option(help="Column of measurement errors.")] = "",
    group: Annotated[
        str, typer.Option(help="Column whose groups splits must not cut (subject, field).")
    ] = "",
    static: Annotated[str, typer.Option(help="Columns that are constant in a series: A,B.")] = "",
    classes: Annotated[
        str, typer.Option(help="Such columns that name a class also where they hold numbers.")
    ] = "",
    rate: Annotated[
        float,
        typer.Option(
            help="Samples a second, for recipes of regular series (himae); timemar "
            "takes the data's own."
        ),
    ] = 0.0,
    window: Annotated[
        float,
        typer.Option(
            help="Seconds of a window, for recipes of regular series; steps, with "
            "timemar and no --rate."
        ),
    ] = 0.0,
    missing: Annotated[str, typer.Option(help="Values that mean 'not measured', e.g. -1.")] = "",
    duplicates: Annotated[
        str, typer.Option(help="Rows of the same id, time and channel: mean, last or error.")
    ] = "",
    labels: Annotated[
        str | None, typer.Option(help="Labels for an online probe: reports, never selects.")
    ] = None,
    target: Target = "",
    label_id: LabelId = "",
    steps: Steps = 0,
    epochs: Epochs = 0,
    minutes: Minutes = 0,
    seed: Seed = None,
    resume: Resume = False,
    set_: Set = None,
    device: Device = "auto",
) -> None:
    """Pre-train on unlabelled series.

    Example: `caesura pretrain romae --data stars.parquet --id star --time mjd
    --channel band --value flux --error flux_err --out run`
    """
    from caesura import workflow

    columns = given_columns(
        id=id, time=time, channel=channel, value=value, error=error, group=group,
        static=static, classes=classes, missing=missing, duplicates=duplicates,
    )  # fmt: skip
    given = {"data.rate": rate, "data.window": window}
    settings = [f"{path}={value:g}" for path, value in given.items() if value] + (set_ or [])
    with console.training_bar("pre-training") as show:
        run = workflow.pretrain(
            data,
            recipe,
            out,
            columns=columns,
            steps=steps,
            epochs=epochs,
            minutes=minutes,
            seed=seed,
            settings=settings,
            labels=labels,
            target=split_names(target),
            label_id=label_id,
            resume=resume,
            on_progress=show,
        )
    _report(run.metrics)
    if run.coverage:
        console.table(run.coverage, "Coverage of 90 % intervals on held-out series")
    place = quote(str(out))
    if "prior" in run.parts:
        console.result(f"\nrun: {out}\nnext: caesura generate {place} -n 1000 -o synthetic.parquet")
        return
    other = f"caesura interpolate {place} --at every:{run.schema.time_unit * 4:g} -o FILE"
    if run.schema.sampling is not None:
        other = f"caesura embed {place} -o FILE"
    console.result(f"\nrun: {out}\nnext: caesura probe {place} --labels FILE, or {other}")


def finetune(
    run: RunFolder,
    labels: Labels,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new run.")],
    data: Data = None,
    target: Target = "",
    label_id: LabelId = "",
    rare: Rare = "keep",
    task: Annotated[
        str, typer.Option(help="classification or regression; default: by the column.")
    ] = "",
    freeze: Annotated[bool, typer.Option(help="Train the head alone.")] = False,
    head: Annotated[
        str,
        typer.Option(
            help="trained, or linear: no step, a linear model of the frozen encoder's features."
        ),
    ] = "trained",
    from_scratch: Annotated[
        bool, typer.Option(help="The control: the same model without pre-trained weights.")
    ] = False,
    steps: Steps = 0,
    epochs: Epochs = 0,
    minutes: Minutes = 0,
    seed: Seed = None,
    resume: Resume = False,
    set_: Set = None,
    device: Device = "auto",
) -> None:
    """Fine-tune a run on labelled series, beside linear models of the same held-out part.

    Example: `caesura finetune run --labels labels.csv --target type --out tuned`
    """
    from caesura import workflow
    from caesura.errors import RecipeError
    from caesura.run import load
    from caesura.tasks.finetune_scores import comparison, without_comparison

    if head not in ("trained", "linear"):
        raise RecipeError(f"unknown --head {head!r}; known: trained, linear")

    base = load(run)
    with console.training_bar("fine-tuning") as show:
        tuned = workflow.finetune(
            base,
            labels,
            out,
            data=data,
            target=split_names(target),
            label_id=label_id,
            rare=checked_rare(rare),
            task=task,
            freeze=freeze,
            head="linear" if head == "linear" else "trained",
            steps=steps,
            epochs=epochs,
            minutes=minutes,
            seed=seed,
            settings=set_ or (),
            resume=resume,
            from_scratch=from_scratch,
            on_progress=show,
        )
    held_out = tuned.metrics["validation_series"]
    console.table(comparison(tuned.metrics), f"On the same {held_out} held-out series")
    _report(without_comparison(tuned.metrics))
    console.result(
        f"\nrun: {out}\nnext: caesura predict {quote(str(out))} --data FILE -o predictions.parquet"
    )


def distil(
    teacher: Annotated[Path, typer.Argument(help="Folder of the run that teaches.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the new run.")],
    student: Annotated[
        str, typer.Option(help="Recipe whose encoder learns: himae-small, ..., or a .toml.")
    ] = "himae-small",
    data: Data = None,
    rate: Annotated[
        float, typer.Option(help="Samples a second, where the teacher has none.")
    ] = 0.0,
    labels: Annotated[
        str | None, typer.Option(help="Labels: print what a probe loses with the student.")
    ] = None,
    target: Target = "",
    label_id: LabelId = "",
    rare: Rare = "keep",
    steps: Steps = 0,
    epochs: Epochs = 0,
    minutes: Minutes = 0,
    seed: Seed = None,
    resume: Resume = False,
    set_: Set = None,
    device: Device = "auto",
) -> None:
    """Teach a small encoder to say what a large one says of the same series.

    Example: `caesura distil run --student himae-small --labels labels.csv --out small`
    """
    from caesura import workflow
    from caesura.cli.use import found_in_words
    from caesura.run import load
    from caesura.tasks.distil import probe_gap

    run = load(teacher)
    settings = ([f"data.rate={rate:g}"] if rate else []) + (set_ or [])
    with console.training_bar("distilling") as show:
        small = workflow.distil(
            run,
            student,
            out,
            data=data,
            steps=steps,
            epochs=epochs,
            minutes=minutes,
            seed=seed,
            settings=settings,
            resume=resume,
            on_progress=show,
        )
    _report(small.metrics)
    if labels is not None:
        store = run.open(data)
        known = run.read_labels(
            labels, store, split_names(target), id_column=label_id, rare=checked_rare(rare)
        )
        console.say("probing teacher and student")
        rows = probe_gap(run, small, store, known)
        console.table(rows, "What a linear probe finds, grouped folds, 95 % intervals")
        for row in rows[3:]:
            console.result(found_in_words({"comparison": row["probe of"], **row}))
    place = quote(str(out))
    console.result(
        f"\nrun: {out}\nnext: caesura export {place} --onnx FILE --int8, or caesura probe {place} "
        "--labels FILE"
    )


def _report(metrics: Mapping[str, Any]) -> None:
    console.table([{"figure": name, "value": value} for name, value in metrics.items()])
