"""Runs an experiment's cells one after the other; each result is kept as soon as it is there.

Several processes may work off one queue: a cell is locked while it runs, and skipped by others.
"""

from __future__ import annotations

import datetime
import json
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caesura.errors import CheckpointError, DataError, RecipeError, StorageError
from caesura.files import check_claimable, claim, locked, read_limited, write_json
from caesura.reproduce.experiment import Context, Experiment, Scale

if TYPE_CHECKING:
    from caesura.training.loop import Progress

Bar = Callable[[str], AbstractContextManager[Callable[["Progress"], None]]]


class Queue:
    """The cells of one experiment at one scale, in a folder of their own.

    A folder with results is a RecipeError unless `resume`; results of other settings are a
    CheckpointError. `cells` chooses some by name (RecipeError where unknown). An experiment
    that reads data and is given none is a DataError.
    """

    def __init__(
        self,
        experiment: Experiment,
        scale: Scale,
        folder: Path,
        *,
        seeds: int = 0,
        cells: Sequence[str] = (),
        data: Path | None = None,
        resume: bool = False,
    ) -> None:
        known = experiment.cells[scale]
        unknown = [name for name in cells if name not in known]
        if unknown:
            raise RecipeError(
                f"unknown cell {unknown[0]!r} of {experiment.name} at scale {scale}; "
                f"known: {'; '.join(known)}"
            )
        if data is None and experiment.reads_data(scale):
            raise DataError(f"{experiment.name} reads {experiment.data}; pass --data FOLDER")
        self.experiment, self.scale, self.data = experiment, scale, data
        self.settings = experiment.settings[scale]
        self.folder = folder / experiment.name / scale
        self.names = tuple(cells) or known
        self.seeds = seeds or experiment.seeds[scale]
        if not self.results():
            check_claimable(self.folder)
        elif not resume:
            raise RecipeError(
                f"{self.folder} holds results; pass --resume to go on, or choose another --out"
            )

    def pending(self) -> list[tuple[str, int]]:
        """Return the (cell, seed) pairs without a result, seed by seed."""
        pairs = [(name, seed) for seed in range(self.seeds) for name in self.names]
        return [pair for pair in pairs if not self._path(*pair).exists()]

    def results(self) -> list[dict[str, Any]]:
        """Return what all finished cells found, in order of cells and seeds."""
        found = [self._read(path) for path in sorted((self.folder / "cells").glob("*.json"))]
        order = {name: place for place, name in enumerate(self.experiment.cells[self.scale])}
        return sorted(found, key=lambda one: (order.get(one["cell"], 0), one["seed"]))

    def run(self, bar: Bar) -> bool:
        """Run what is pending; returns whether nothing is left, also with other processes."""
        if not self.results():
            claim(self.folder)
        for name, seed in self.pending():
            work = self.folder / "work" / f"{_plain(name)}-{seed}"
            try:
                with locked(work, scratch=True):
                    if not self._path(name, seed).exists():
                        with bar(f"{name}, seed {seed}") as watch:
                            self._run_cell(name, seed, work, watch)
                        for left in work.iterdir():
                            if left.is_dir():
                                shutil.rmtree(left)
            except StorageError as error:
                if "another process" not in str(error):
                    raise
        return not self.pending()

    def _run_cell(
        self, name: str, seed: int, work: Path, watch: Callable[[Progress], None]
    ) -> None:
        begun = time.monotonic()
        context = Context(self.settings, seed, self.data, work, watch)
        outcome = self.experiment.run(name, context)
        write_json(
            self._path(name, seed),
            {
                "cell": name,
                "seed": seed,
                "rows": {row: dict(metrics) for row, metrics in outcome.rows.items()},
                "curves": {key: list(values) for key, values in outcome.curves.items()},
                "settings": self.settings.model_dump(mode="json"),
                "seconds": round(time.monotonic() - begun, 1),
                "hardware": hardware(),
                "date": datetime.date.today().isoformat(),
            },
        )

    def _path(self, name: str, seed: int) -> Path:
        return self.folder / "cells" / cell_file(name, seed)

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            result: dict[str, Any] = json.loads(read_limited(path))
            same = result["settings"] == self.settings.model_dump(mode="json")
        except (ValueError, KeyError) as error:
            raise CheckpointError(f"{path} cannot be read ({error}); remove it") from None
        if not same:
            raise CheckpointError(
                f"{path} was made with other settings of {self.experiment.name}; remove it, or "
                "choose another --out"
            )
        return result


def hardware() -> str:
    """Return the class of machine, without its name: processor or accelerator, and threads."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    family = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} CPU ({family}), {torch.get_num_threads()} thread"


def cell_file(name: str, seed: int) -> str:
    """Return the file name of a cell's result."""
    return f"{_plain(name)}-{seed}.json"


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name).strip("-").lower()
