"""The ways to make a run: pre-train one from data, fine-tune or distil one from another."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from caesura.data.config import Columns
from caesura.data.door import open_data
from caesura.data.labels import Rare, read_labels
from caesura.data.panel import conditioned
from caesura.data.schema import Schema
from caesura.data.stream import Corpus, should_stream
from caesura.errors import DataError, RecipeError
from caesura.files import locked
from caesura.folder import (
    RECIPE,
    SIGNS,
    begin,
    check_free,
    finish,
    has_checkpoint,
    is_begun,
    is_whole,
    read_schema,
    take_back,
)
from caesura.recipes.build import check_buildable
from caesura.recipes.compose import compose
from caesura.recipes.presets import finetune_recipe, reads_grids
from caesura.recipes.schema import Recipe, assign, make_recipe, read_recipe
from caesura.run import Run, load
from caesura.tasks.distil import distil as distil_task
from caesura.tasks.finetune import finetune as finetune_task
from caesura.tasks.finetune_scores import SCRATCH, better_linear
from caesura.tasks.pretrain import Material, laid_out, prepare, resolve_tokens, split_of
from caesura.tasks.pretrain import pretrain as pretrain_task
from caesura.tasks.probe import QuickProbe
from caesura.training.arithmetic import resolved
from caesura.training.device import using_device
from caesura.training.loop import Progress

log = logging.getLogger("caesura")

_FREE = {"training.strategy", "training.threads", "training.track"}
Watch = Callable[[Progress], None]


def _silent(progress: Progress) -> None:
    """Show progress to nobody."""


def pretrain(
    data: Any = None,
    recipe: str | Mapping[str, Any] | Recipe = "romae",
    out: str | Path | None = None,
    *,
    columns: Mapping[str, Any] | Columns | None = None,
    steps: int = 0,
    epochs: float = 0,
    minutes: float = 0,
    seed: int | None = None,
    settings: Sequence[str] = (),
    y: Any = None,
    labels: Any = None,
    target: tuple[str, ...] = (),
    label_id: str = "",
    resume: bool = False,
    device: str = "auto",
    on_progress: Watch = _silent,
) -> Run:
    """Pre-train on unlabelled series and return the run, written to `out` if given.

    data: path, pandas, polars or Arrow table, array (series, channels, time), or list of
    (channels, time_i). columns: names as in `data.config.Columns`, e.g. {"id": "star",
    "time": "mjd", "channel": "band", "value": ["flux"]}, or one of these. settings: "path=value"
    changes of the recipe. y: of arrays, what a generator is conditioned on: a class (text, a
    whole number) or a number of each series, the static column "y". labels: an online probe that
    reports and never selects. resume: continue what is in `out`, with the recipe that is there.
    device: "cpu", "cuda", "cuda:N", or "auto": CUDA where there is one.

    Raises DataError, RecipeError, CheckpointError, DivergedError, or StoppedError after an
    interrupt.
    """
    folder = None if out is None else Path(out)
    if resume and folder is None:
        raise RecipeError("resume needs the folder of the run; pass out")
    resume = resume and (folder is None or is_begun(folder))
    with using_device(device), _writing(folder):
        length = _length(steps, epochs, minutes)
        there = _what_is_there(folder, resume, length, seed, settings)
        if isinstance(there, Run):
            return there
        chosen = there or compose(
            recipe, columns=columns, length=length, seed=seed, settings=settings
        )
        chosen, source = _with_source(chosen, data)
        corpus = None
        if not reads_grids(chosen) and should_stream(source, chosen.data):
            corpus = Corpus(Path(source), chosen.data, chosen.seed)
            split, store = corpus.split, replace(corpus.sample, groups=None)
        else:
            store, _ = open_data(source, chosen.data)
            chosen = chosen if resume else laid_out(chosen, store)
            store = store if y is None else conditioned(store, data, y)
            split = split_of(store, chosen)
        if resume and folder is not None:
            schema = read_schema(folder)
        else:
            chosen, schema = prepare(store, chosen, split)
        watch = None
        if labels is not None:
            name = label_id or chosen.data.columns.id
            watch = QuickProbe.of(store, read_labels(labels, store, name, target, rare="drop"))
        chosen = chosen.model_copy(update={"training": resolved(chosen.training)})
        check_buildable(chosen)  # what cannot be built must fail before a folder is made
        with _begun(folder, resume, chosen, schema):
            trained = pretrain_task(
                Material(store, split, chosen, schema, corpus),
                folder=folder,
                resume=resume,
                online_probe=watch,
                on_progress=on_progress,
            )
        run = Run(**vars(trained))
        return _written(run, folder)


def finetune(
    run: Run,
    labels: Any,
    out: str | Path | None = None,
    *,
    data: Any = None,
    target: tuple[str, ...] = (),
    label_id: str = "",
    rare: Rare = "keep",
    task: str = "",
    freeze: bool = False,
    head: Literal["trained", "linear"] = "trained",
    steps: int = 0,
    epochs: float = 0,
    minutes: float = 0,
    seed: int | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    from_scratch: bool = False,
    device: str = "auto",
    on_progress: Watch = _silent,
) -> Run:
    """Fine-tune a run on labelled series and return the new run, written to `out` if given.

    labels: a table with the data's id column (or `label_id`) and the target. task:
    "classification" or "regression", guessed from the column where empty. rare: classes with
    fewer than 5 series: "keep", "drop", or "other" to join them. freeze: train the head alone.
    head: "linear" takes no step: the encoder as it is, under a linear model of its features and of
    plain statistics, which a trained head begins with. from_scratch: the control, the same model
    without the pre-trained weights.

    Linear models of the frozen features and of statistics are scored on the same held-out part
    (`metrics`); a warning says where one of them is better.
    """
    folder = None if out is None else Path(out)
    resume = resume and (folder is None or is_begun(folder))
    with using_device(device), _writing(folder):
        length = _length(steps, epochs, minutes)
        there = _what_is_there(folder, resume, length, seed, settings)
        if isinstance(there, Run):
            return there
        recipe = there
        if recipe is None:
            source = SCRATCH if from_scratch else str(run.folder or "")
            tree = finetune_recipe(run.recipe, source, from_scratch=from_scratch)
            linear = head == "linear"
            tree["stages"][0]["objective"] |= {"freeze": freeze or linear, "tune": not linear}
            recipe = compose(tree, length=length, seed=seed, settings=settings)
        recipe, _ = _with_source(recipe, data)
        store = run.open(data)
        known = run.read_labels(labels, store, target, task, label_id, rare)
        recipe = recipe.model_copy(update={"training": resolved(recipe.training)})
        with _begun(folder, resume, recipe, run.schema):
            tuned = finetune_task(
                run,
                store,
                known,
                recipe,
                folder=folder,
                resume=resume and folder is not None and has_checkpoint(folder),
                from_scratch=recipe.stages[0].start_from == SCRATCH,
                on_progress=on_progress,
            )
        if (better := better_linear(tuned, tuned.metrics)) is not None:
            log.warning("%s", better)
        return _written(Run(**vars(tuned)), folder)


def distil(
    teacher: Run,
    student: str | Mapping[str, Any] | Recipe = "himae-small",
    out: str | Path | None = None,
    *,
    data: Any = None,
    steps: int = 0,
    epochs: float = 0,
    minutes: float = 0,
    seed: int | None = None,
    settings: Sequence[str] = (),
    resume: bool = False,
    device: str = "auto",
    on_progress: Watch = _silent,
) -> Run:
    """Teach a smaller encoder to give the vectors of a run, and return it, written to `out`.

    student: a recipe, whose encoder alone is used. A student of grids takes rate and window of
    a teacher that has them; else give data.rate in the settings.
    """
    folder = None if out is None else Path(out)
    resume = resume and (folder is None or is_begun(folder))
    with using_device(device), _writing(folder):
        length = _length(steps, epochs, minutes)
        there = _what_is_there(folder, resume, length, seed, settings)
        if isinstance(there, Run):
            return there
        recipe = there or _student_recipe(teacher, student, length, seed, settings)
        recipe, _ = _with_source(recipe, teacher.recipe.data.path if data is None else data)
        tokens: Any = "observation" if teacher.schema.per_observation else "step"
        recipe = recipe.model_copy(
            update={
                "data": recipe.data.model_copy(update={"tokens": tokens}),
                "training": resolved(recipe.training),
            }
        )
        store = teacher.open(data)
        split = split_of(store, recipe)
        if resume and folder is not None:
            schema = read_schema(folder)
        else:
            recipe, schema = prepare(store, recipe, split)
        with _begun(folder, resume, recipe, schema):
            taught = distil_task(
                teacher,
                store,
                recipe,
                schema,
                split,
                folder=folder,
                resume=resume and folder is not None and has_checkpoint(folder),
                on_progress=on_progress,
            )
        return _written(Run(**vars(taught)), folder)


def _student_recipe(
    teacher: Run,
    student: str | Mapping[str, Any] | Recipe,
    length: Mapping[str, float],
    seed: int | None,
    settings: Sequence[str],
) -> Recipe:
    """Return the student's recipe with the teacher's columns and, where it has one, its grid."""
    own = teacher.schema.sampling
    grid = () if own is None else (
        f"data.rate={own.rate_hz:g}",
        f"data.window={own.window / own.rate_hz:.9g}",
        f"data.band={list(own.band)}",
    )  # fmt: skip
    columns = teacher.schema.columns.model_dump(exclude_defaults=True)
    recipe = compose(
        student, columns=columns, length=length, seed=seed, settings=(*grid, *settings)
    )
    stage = recipe.stages[0].model_copy(update={"start_from": str(teacher.folder or "")})
    return recipe.model_copy(update={"name": f"{recipe.name}-distilled", "stages": (stage,)})


def _length(steps: int, epochs: float, minutes: float) -> dict[str, float]:
    """Return the lengths that were given."""
    given = {"steps": steps, "epochs": epochs, "minutes": minutes}
    return {name: value for name, value in given.items() if value}


def _what_is_there(
    folder: Path | None,
    resume: bool,
    length: Mapping[str, float],
    seed: int | None,
    settings: Sequence[str],
) -> Run | Recipe | None:
    """Return the finished run, or the recipe to go on with; None to begin, in a free folder.

    Of the settings a resume takes those that change no result: processes, threads, trackers. Of
    others that are not those of the run it says that they are not taken.
    """
    if resume and folder is not None:
        tree = read_recipe(folder / RECIPE)
        begun = make_recipe(tree)
        asked = [f"training.{name}={value:.12g}" for name, value in length.items()]
        asked += [f"seed={seed}"] if seed is not None else []
        for assignment in (*asked, *settings):
            path, _, _ = assignment.partition("=")
            if path.strip() in _FREE:
                tree = assign(tree, assignment)
            elif _asked(begun, assignment) != begun:
                log.warning(
                    "%s is not taken: %s was begun with another, and --resume goes on with what "
                    "was begun; for this one choose another --out", assignment, folder,
                )  # fmt: skip
        return load(folder) if is_whole(folder) else make_recipe(tree)
    if folder is not None and _is_first_rank():
        check_free(folder)
    return None


def _asked(begun: Recipe, assignment: str) -> Recipe:
    """Return what a begun recipe would be with a setting, if it were to begin here."""
    asked = make_recipe(assign(begun.model_dump(mode="json"), assignment))
    return asked.model_copy(update={"training": resolved(asked.training)})


@contextmanager
def _begun(folder: Path | None, resume: bool, recipe: Recipe, schema: Schema) -> Iterator[None]:
    """Begin a folder, and free it again where the input proves bad before anything was trained."""
    mine = folder if not resume and _is_first_rank() else None
    if mine is not None:
        begin(mine, recipe, schema)
    try:
        yield
    except (DataError, RecipeError):
        if mine is not None:
            take_back(mine)
        raise


def _writing(folder: Path | None) -> AbstractContextManager[None]:
    """Hold the folder alone; of several ranks the first one does."""
    if folder is None or not _is_first_rank():
        return nullcontext()
    return locked(folder, SIGNS)


def _is_first_rank() -> bool:
    """Say whether this process writes; torchrun numbers its processes."""
    return os.environ.get("RANK", "0") == "0"


def _with_source(recipe: Recipe, data: Any) -> tuple[Recipe, Any]:
    """Record a path in the recipe, resolve the token mode, and return what to read."""
    source = recipe.data.path if data is None else data
    if isinstance(source, str) and not source:
        raise RecipeError("no data; pass --data PATH, or set data.path in the recipe")
    config = recipe.data
    if isinstance(source, str | Path):
        config = config.model_copy(update={"path": str(Path(source).resolve())})
    is_table = not isinstance(source, np.ndarray | list | tuple)
    config = resolve_tokens(config, is_table)
    return recipe.model_copy(update={"data": config}), source


def _written(run: Run, folder: Path | None) -> Run:
    if folder is None:
        return run
    run = replace(run, folder=folder)
    if _is_first_rank():
        run.save(folder)
        finish(folder)
    return run
