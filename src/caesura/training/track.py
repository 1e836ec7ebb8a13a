"""Sends a training's figures to TensorBoard, MLflow or Weights & Biases while it runs.

`metrics.jsonl` in the run's folder is written always; these are extras (`caesura[track]`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from caesura.errors import RecipeError
from caesura.files import write_text
from caesura.training.config import Service
from caesura.training.state import EARLIER

log = logging.getLogger("caesura")

_PROJECT = "caesura"
_KEPT = "tracking-"
"""Begin of the files in which a run remembers its name with a service, for a resume."""


class Tracker(Protocol):
    """One service that shows a training."""

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Send the figures of a step."""

    def close(self) -> None:
        """Say that the training is over."""


class Tracking:
    """All services that a training asks for; one that fails is left, the training goes on."""

    def __init__(
        self, services: tuple[Service, ...], folder: Path, about: Mapping[str, Any]
    ) -> None:
        self.trackers: dict[str, Tracker] = {}
        for name in services:
            try:
                self.trackers[name] = _MAKE[name](folder, about)
            except ImportError as error:
                raise RecipeError(
                    f"training.track names {name}, which is not installed ({error}); "
                    'pip install "caesura[track]"'
                ) from error

    def log(self, step: int, row: Mapping[str, float]) -> None:
        """Send a row of the metrics to each service."""
        figures = {name: float(value) for name, value in row.items() if name != "step"}
        self._each(lambda one: one.log(step, figures))

    def close(self) -> None:
        """Say to each service that the training is over."""
        self._each(lambda one: one.close())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self.trackers.items()):
            try:
                call(tracker)
            except Exception as error:  # a service that is away must not end a training
                log.warning("%s fails and is left (%s); metrics.jsonl has all figures", name, error)
                del self.trackers[name]


class _TensorBoard:
    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        self.logger = TensorBoardLogger(folder, name="tensorboard", version="")
        _ = self.logger.experiment  # a missing package is said now

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self.logger.log_metrics(dict(figures), step)
        self.logger.save()

    def close(self) -> None:
        self.logger.finalize("success")


class _Mlflow:
    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient

        self.client = MlflowClient()
        self.run = _remembered(folder, "mlflow")
        if not self.run:
            found = self.client.get_experiment_by_name(_PROJECT)
            experiment = found.experiment_id if found else self.client.create_experiment(_PROJECT)
            self.run = self.client.create_run(experiment, run_name=_title(folder)).info.run_id
            for name, value in about.items():
                self.client.log_param(self.run, name, value)
            _remember(folder, "mlflow", self.run)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self.client.log_metric(self.run, name, value, step=step)

    def close(self) -> None:
        self.client.set_terminated(self.run)


class _Wandb:
    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        import wandb

        known = _remembered(folder, "wandb")
        self.run = wandb.init(
            project=_PROJECT, name=_title(folder), dir=str(folder), config=dict(about),
            id=known or None, resume="allow", reinit="create_new",
        )  # fmt: skip
        _remember(folder, "wandb", self.run.id)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        self.run.log(dict(figures), step=step)

    def close(self) -> None:
        self.run.finish()


_MAKE: dict[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _Mlflow,
    "wandb": _Wandb,
}


def _title(folder: Path) -> str:
    """Return the name of a run, with that of its stage where it has several."""
    earlier = folder.name.startswith(EARLIER)
    return f"{folder.parent.name}/{folder.name}" if earlier else folder.name


def _remembered(folder: Path, service: str) -> str:
    path = folder / f"{_KEPT}{service}"
    return path.read_text().strip() if path.is_file() else ""


def _remember(folder: Path, service: str, name: str) -> None:
    write_text(folder / f"{_KEPT}{service}", name + "\n")
