"""Runs a study's cells: each result is kept as soon as it is there, by several processes if asked.

A cell is locked while it runs; one whose rate is not chosen yet waits for the cells that choose.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from caesura.data.grid import GridStore
from caesura.data.schema import Schema
from caesura.data.split import Split
from caesura.data.store import RaggedStore
from caesura.data.view import View, view_store
from caesura.errors import CheckpointError, DataError, DivergedError, RecipeError, StorageError
from caesura.files import claim, locked, read_limited, remove_scratch, write_json
from caesura.recipes.build import build_encoder, build_objective
from caesura.recipes.presets import completed
from caesura.recipes.schema import Recipe
from caesura.signal.wavelet import most_levels
from caesura.study.dividend.plan import TRIAL_SEED, Cell, DividendPlan
from caesura.study.dividend.task import Part
from caesura.tasks.bands import BAND_LEVELS, BAND_WAVELET, band_decodability
from caesura.tasks.budget import operations_a_row, tokens_a_row
from caesura.tasks.pretrain import Pretrained, prepare, split_of
from caesura.training.arithmetic import resolved
from caesura.training.batches import pretraining_batches
from caesura.training.loop import BatchSource, Progress, Trainer
from caesura.training.state import CHECKPOINT
from caesura.types import Batch, as_module

Watch = Callable[[Progress], None]
_WAIT_S = 2.0
_BAND_WINDOWS = 400


def _silent(progress: Progress) -> None:
    """Show progress to nobody."""


@dataclass(frozen=True)
class Training:
    """What a cell trains. tokens, operations: of a series in a step, forward and back."""

    objective: Any
    source: BatchSource
    recipe: Recipe
    schema: Schema
    tokens: float
    operations: float


@dataclass
class Study:
    """A folder with a plan, the data it is about, and the results so far.

    Raises RecipeError where the folder holds another study, DataError where series or labels do
    not fit the plan.
    """

    folder: Path
    plan: DividendPlan
    store: RaggedStore
    choice: Part
    report: Part
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    fitted: tuple[Split, Schema, View] | None = None
    """Roles of the series, what is fitted to those that train, and the data seen so."""

    def open(self, *, resume: bool) -> None:
        """Take the folder: a new one, or that of this very study."""
        path, plan = self.folder / "plan.json", json.loads(self.plan.model_dump_json())
        if not self.plan.asked:  # as in folders from before there was this field
            del plan["asked"]
        if path.is_file():
            there = json.loads(read_limited(path))
            if there != plan:
                differs = sorted(k for k in plan if there.get(k) != plan[k])
                raise RecipeError(
                    f"{self.folder} holds another study (it differs in {', '.join(differs)}); "
                    "choose another --out, or the same settings and --resume"
                )
            if not resume:
                raise RecipeError(
                    f"{self.folder} holds this study; pass --resume to go on, or another --out"
                )
        claim(self.folder, ("plan.json",))
        write_json(path, plan)

    def pending(self) -> list[Cell]:
        """Return the cells without a result, in the order in which they can be done."""
        return [cell for cell in self.plan.cells() if not self.path(cell).exists()]

    def path(self, cell: Cell) -> Path:
        """Return the file of a cell's result."""
        return self.folder / "cells" / f"{cell.name(self.plan)}.json"

    def result(self, cell: Cell) -> dict[str, Any]:
        """Return what a finished cell found."""
        name = cell.name(self.plan)
        if name not in self.done:
            try:
                self.done[name] = json.loads(read_limited(self.path(cell)))
            except ValueError as error:
                raise CheckpointError(
                    f"{self.path(cell)} cannot be read ({error}); remove it"
                ) from None
        return self.done[name]

    def run(self, watch: Callable[[str, int, int], None] = lambda title, done, total: None) -> None:
        """Run what is pending until nothing is, beside other processes on the same folder."""
        total = len(list(self.plan.cells()))
        while pending := self.pending():
            moved = False
            for cell in pending:
                if not self._ready(cell) or self.path(cell).exists():
                    continue
                watch(cell.title, total - len(self.pending()), total)
                moved |= self._run_locked(cell)
            if not moved:
                time.sleep(_WAIT_S)  # another process has what is left
        watch("", total, total)
        for cell in self.plan.cells():  # encoders that trials read
            remove_scratch(self.folder / "work" / cell.name(self.plan))
        with suppress(OSError):
            (self.folder / "work").rmdir()

    def _run_locked(self, cell: Cell) -> bool:
        work = self.folder / "work" / cell.name(self.plan)
        try:
            with locked(work, scratch=True):
                if self.path(cell).exists():
                    return False
                begun = time.monotonic()
                found = self._found(cell, work)
                found |= {
                    "kind": cell.kind, "encoder": cell.encoder, "objective": cell.objective,
                    "augmentation": cell.view, "seed": cell.seed,
                    "seconds": round(time.monotonic() - begun, 2),
                }  # fmt: skip
                found.setdefault("rate", cell.rate)
                write_json(self.path(cell), found)
        except StorageError as error:
            if "another process" in str(error):
                return False
            raise
        if cell.kind != "rate":  # the trials' encoders are read by the trials of tuning
            remove_scratch(work)
        return True

    def _ready(self, cell: Cell) -> bool:
        return all(self.path(other).exists() for other in self._needed(cell))

    def _needed(self, cell: Cell) -> list[Cell]:
        """Return the cells that choose what a cell depends on."""
        if cell.kind == "tuning rate":
            return self._trials("rate", cell)
        if cell.kind == "scratch":
            return self._trials("scratch rate", cell)
        if cell.kind == "arm":
            return self._trials("rate", cell) + self._trials("tuning rate", cell)
        return []

    def _trials(self, kind: Any, cell: Cell) -> list[Cell]:
        grid = self.plan.rates if kind == "rate" else self.plan.tuning_rates
        return [Cell(kind, *cell.arm, TRIAL_SEED, rate) for rate in grid]

    def best(self, kind: Any, cell: Cell) -> Cell:
        """Return the trial of an arm with the highest skill on the part that chooses."""
        return max(self._trials(kind, cell), key=lambda one: float(self.result(one)["skill"]))

    def _found(self, cell: Cell, work: Path) -> dict[str, Any]:
        if cell.kind == "beside":
            return self._beside()
        try:
            return self._trained(cell, work)
        except DivergedError as error:  # a rate that is too high is a result, not a failure
            if cell.kind in ("rate", "tuning rate", "scratch rate"):
                return {"skill": -1.0, "diverged": str(error)}
            raise

    def _trained(self, cell: Cell, work: Path) -> dict[str, Any]:
        plan = self.plan
        if cell.kind in ("scratch rate", "scratch"):
            rate = cell.rate or self.best("scratch rate", cell).rate
            start, steps = self.untrained(cell), plan.tuning_steps
            if cell.kind == "scratch rate":
                skill = self.choice.tuned_once(start, rate, steps, cell.seed, from_scratch=True)
                return {"skill": skill}
            said = self.report.tuned(start, rate, steps, cell.seed, from_scratch=True)
            return {"skill": self.report.skill(said), "tuned": said.tolist(), "rate": rate}
        if cell.kind == "tuning rate":
            chosen = self.best("rate", cell)
            run, _ = self.pretrained(chosen, self.folder / "work" / chosen.name(plan), plan.trial)
            return {"skill": self.choice.tuned_once(run, cell.rate, plan.tuning_steps, cell.seed)}
        if cell.kind == "rate":
            run, cost = self.pretrained(cell, work, plan.trial)
            said = self.choice.probed(run, 0)
            return {"skill": self.choice.skill(said), **cost}
        chosen = self.best("rate", cell)
        own = Cell("arm", *cell.arm, cell.seed, chosen.rate)
        run, cost = self.pretrained(own, work, 1.0)
        tuning = self.best("tuning rate", cell).rate
        frozen, twin = (self.report.probed(one, 0) for one in (run, self.untrained(cell)))
        tuned = self.report.tuned(run, tuning, plan.tuning_steps, cell.seed)
        found = {
            "frozen": frozen.tolist(), "twin": twin.tolist(), "tuned": tuned.tolist(),
            "frozen skill": self.report.skill(frozen), "twin skill": self.report.skill(twin),
            "tuned skill": self.report.skill(tuned),
            "rate": chosen.rate, "tuning rate": tuning,
        }  # fmt: skip
        return found | cost | {"bands": self._bands(run)}

    def _prepared(self, cell: Cell) -> tuple[Recipe, tuple[Split, Schema, View]]:
        """Return an arm's recipe, completed by the data, and the schema; both split once."""
        recipe = self.plan.recipe(cell)
        if self.fitted is None:
            split = split_of(self.store, recipe.model_copy(update={"seed": 0}))
            _, schema = prepare(self.store, recipe, split)
            self.fitted = split, schema, view_store(self.store, schema)
        return completed(recipe, self.fitted[1]), self.fitted

    def untrained(self, cell: Cell) -> Pretrained:
        """Return an arm's encoder as its seed draws it."""
        recipe, (_, schema, _) = self._prepared(cell)
        return Pretrained(recipe, schema, {"encoder": build_encoder(recipe, cell.seed)})

    def training(self, cell: Cell, share: float) -> Training:
        """Return what a cell trains: its objective, batches, and settings for its tokens."""
        recipe, (split, schema, view) = self._prepared(cell)
        made = build_objective(recipe.stages[0], build_encoder(recipe, cell.seed), cell.seed)
        settings = recipe.training.model_copy(
            update={"batch_tokens": self._batch_size(view), "epochs": 0.0, "patience": 0}
        )
        source = pretraining_batches(
            view, split.train, split.validation, recipe.data, settings, cell.seed,
            "whole" if made.needs_random_batches else "random",
        )  # fmt: skip
        sample = whole_batch(source)
        own = tokens_a_row(made, sample)
        once = float(made.encoder.tokenise(sample.inputs).valid.sum()) / len(sample.index)
        steps = max(2, round(share * self.plan.steps * once / own))
        settings = resolved(
            settings.model_copy(update={"steps": steps, "lr": cell.rate, "evaluate_every": steps})
        )
        recipe = recipe.model_copy(update={"training": settings})
        return Training(made, source, recipe, schema, own, operations_a_row(made, sample))

    def pretrained(
        self, cell: Cell, work: Path, share: float, watch: Watch = _silent
    ) -> tuple[Pretrained, dict[str, Any]]:
        """Pre-train a cell's encoder on a share of the budget, from where a kill stopped it."""
        one = self.training(cell, share)
        settings = one.recipe.training
        work.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(
            one.objective, one.source, settings, cell.seed, folder=work, on_progress=watch
        )
        state = trainer.fit(resume=(work / CHECKPOINT).is_file())
        rows = len(whole_batch(one.source).index)
        encoder = one.objective.parts()["encoder"]
        cost = {
            "steps": settings.steps,
            "tokens a row": one.tokens,
            "TFLOP": one.operations * rows * settings.steps / 1e12,
            "training seconds": round(state.seconds, 2),
            "parameters": sum(p.numel() for p in as_module(encoder).parameters()),
            "effective rank": state.history[-1].get("effective_rank", float("nan")),
        }
        return Pretrained(one.recipe, one.schema, {"encoder": encoder}), cost

    def seconds_a_step(self, cell: Cell, steps: int) -> float:
        """Return the time of one reference step of an arm, measured on a few of its own."""
        one = self.training(cell, 1.0)
        settings = one.recipe.training.model_copy(
            update={"steps": steps + 2, "evaluate_every": 10 * steps}
        )
        moments: list[float] = []
        Trainer(
            one.objective, one.source, settings, 0,
            on_progress=lambda progress: moments.append(time.monotonic()),
        ).fit()  # fmt: skip
        # the first step prepares, the last one validates
        return float(np.median(np.diff(moments[:-1]))) * one.recipe.training.steps / self.plan.steps

    def _batch_size(self, view: Any) -> int:
        """Return the batch in the loader's unit: samples of a grid, observations else."""
        if isinstance(view, GridStore):
            return self.plan.batch_tokens * max(self.plan.patch, 1)
        return self.plan.batch_tokens

    def _bands(self, run: Pretrained) -> dict[str, float]:
        """Return the decodability of wavelet bands where series are regular and long enough."""
        _, (_, _, view) = self._prepared(next(self.plan.cells_of("rate")))
        if not isinstance(view, GridStore) or len(run.schema.variables) > 1:
            return {}
        windows = view.tiles(np.arange(len(view)))
        few = windows.take(
            np.linspace(0, len(windows) - 1, min(_BAND_WINDOWS, len(windows))).astype(int)
        )
        values = view.collate(few).inputs.values.numpy()
        encoder: nn.Module = run.parts["encoder"]
        if most_levels(BAND_WAVELET, view.window) < BAND_LEVELS:
            return {}  # the page has no table of bands then
        return band_decodability(encoder, values, self.plan.patch, rate_hz=view.rate_hz)

    def _beside(self) -> dict[str, Any]:
        """Score what needs no pre-training."""
        _, (_, schema, _) = self._prepared(next(self.plan.cells_of("rate")))
        said = self.report.beside(schema)
        return {
            "predicted": {name: one.tolist() for name, one in said.items()},
            "skills": {name: self.report.skill(one) for name, one in said.items()},
        }


def whole_batch(source: BatchSource) -> Batch:
    """Return the first micro-batch of the first step."""
    parts = source.training(0, 0, 1)
    if not parts:
        raise DataError("no training series is left for a batch; give more series")
    return parts[0]
