"""What a reproduction is made of: an experiment, its cells, what a cell finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from caesura.errors import DataError

if TYPE_CHECKING:
    from caesura.training.loop import BatchSource, Progress, TrainingState
    from caesura.types import Objective

Scale = Literal["quick", "medium", "full"]
SCALES: tuple[Scale, ...] = ("quick", "medium", "full")


class Settings(BaseModel):
    """Base of an experiment's settings at one scale; kept with each result, so that results
    of other settings are never mixed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Published(NamedTuple):
    """A figure of the paper; `std` is its spread, if printed."""

    value: float
    std: float | None = None


class Comparison(NamedTuple):
    """Two rows whose difference in a metric is shown with its interval, paired by seed."""

    row: str
    other: str
    metric: str


@dataclass(frozen=True)
class Outcome:
    """What a cell found: metrics by row of the table, and curves for the figure by name."""

    rows: Mapping[str, Mapping[str, float]]
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a cell is given. `folder` is its own: a training there resumes after a kill."""

    settings: Any
    seed: int
    data: Path | None
    folder: Path
    watch: Callable[[Progress], None] = lambda progress: None

    def file(self, path: str) -> Path:
        """Return a path below the data folder; a DataError says what is missing."""
        if self.data is None or not (self.data / path).exists():
            raise DataError(
                f"{path} is not in the data folder ({self.data}); `caesura reproduce list` says "
                "what it must hold"
            )
        return self.data / path

    def folder_of(self, experiment: str) -> Path:
        """Return the folder of any experiment of the same --out and scale."""
        own = self.folder.parents[1]  # a cell works two folders below its experiment and scale
        return own.parents[1] / experiment / own.name

    def train(
        self, objective: Objective, source: BatchSource, training: Mapping[str, Any], name: str
    ) -> TrainingState:
        """Train to the end, from where a killed run stopped; the best weights are kept."""
        from caesura.training.arithmetic import resolved
        from caesura.training.config import TrainingConfig
        from caesura.training.loop import Trainer
        from caesura.training.state import CHECKPOINT

        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(
            objective,
            source,
            resolved(TrainingConfig(**training)),
            self.seed,
            folder=folder,
            on_progress=self.watch,
        )
        return trainer.fit(resume=(folder / CHECKPOINT).is_file())


@dataclass(frozen=True)
class Experiment:
    """One table or figure of a paper.

    settings, seeds, cells, cost: by scale; a cell is one unit of at most half an hour, run
    for each seed. published: the paper's figures by (row, metric). goal: what we aim at, in
    words. data: what the data folder must hold, empty where nothing is read. free: scales that
    do without it. notes: what a reader must know to compare.
    """

    name: str
    title: str
    settings: Mapping[Scale, Settings]
    seeds: Mapping[Scale, int]
    cells: Mapping[Scale, tuple[str, ...]]
    cost: Mapping[Scale, str]
    run: Callable[[str, Context], Outcome]
    published: Mapping[tuple[str, str], Published] = field(default_factory=dict)
    comparisons: tuple[Comparison, ...] = ()
    goal: str = ""
    data: str = ""
    free: tuple[Scale, ...] = ()
    notes: tuple[str, ...] = ()

    def reads_data(self, scale: Scale) -> bool:
        """Say whether a run at this scale needs a data folder."""
        return bool(self.data) and scale not in self.free
