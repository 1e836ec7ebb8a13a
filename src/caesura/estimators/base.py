"""What all estimators share: three states, series in, where they start, and their folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from caesura.errors import CheckpointError, RecipeError
from caesura.estimators.frames import as_series
from caesura.files import contents, locked, write_json
from caesura.run import Run, load
from caesura.training.checkpoint import read_json
from caesura.workflow import pretrain

_ABOUT = "estimator.json"
_RUNS = ("run_", "pretrained_")


class Pretrained(BaseEstimator):  # type: ignore[misc]  # untyped base
    """New, pretrained, fitted: `fit` starts from `run`, or from what `pretrain` left, or itself
    pre-trains on the series that it is given.

    Series X are an array (cases, channels, time) with NaN where nothing was observed, (cases,
    time), a list of (channels, time_i), or a table (a path, pandas, polars or Arrow) whose columns
    `columns` names, as in `caesura.pretrain`. What comes back is of the same kind, a series after
    the other in the order in which the table first names them.

    run: a run or its folder to start from. settings: "path=value" changes of the recipe. n_jobs:
    threads of a training; None: those that there are. device: "cpu", "cuda", "cuda:N", or "auto":
    CUDA where there is one, and a `run` that is no folder stays where it is.
    """

    _remembers: ClassVar[tuple[str, ...]] = ()
    """Attributes beside the run that a fit leaves: arrays and what JSON knows."""

    def __init__(
        self,
        recipe: str,
        steps: int,
        run: Run | str | Path | None,
        columns: Mapping[str, Any] | None,
        settings: tuple[str, ...],
        random_state: Any,
        n_jobs: int | None,
        device: str,
    ) -> None:
        self.recipe = recipe
        self.steps = steps
        self.run = run
        self.columns = columns
        self.settings = settings
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.device = device

    def pretrain(self, X: Any, y: Any = None) -> Self:
        """Pre-train on series that need no labels; later fits start from these weights.

        A clone (as in GridSearchCV) starts anew: pass `run` to share one pre-training.
        """
        self.pretrained_: Run = self._trained_on(X)
        return self

    def save(self, folder: str | Path) -> None:
        """Write parameters and weights (safetensors) to a folder that is new or empty.

        `load` of the same class reads it. An estimator in no state but new is a CheckpointError.
        """
        folder = Path(folder)
        if folder.is_file() or contents(folder):
            raise RecipeError(f"{folder} is not empty; choose another folder, or remove it")
        runs = [name for name in _RUNS if hasattr(self, name)]
        if not runs:
            raise CheckpointError("nothing to save; pretrain or fit this estimator first")
        own = self.get_params(deep=False)
        own["run"] = None if isinstance(self.run, Run) else self.run and str(self.run)
        own["device"] = "auto"  # who loads it has another machine
        kept = {name: getattr(self, name) for name in self._remembers if hasattr(self, name)}
        tree = {"class": type(self).__name__, "parameters": own, "fitted": _plain(kept)}
        with locked(folder, option="folder"):
            for name in runs:
                getattr(self, name).save(folder / name.strip("_"))
            write_json(folder / _ABOUT, _plain(tree))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return the estimator that `save` wrote; another class or no such folder is a
        CheckpointError."""
        folder = Path(folder)
        if not (folder / _ABOUT).is_file():
            raise CheckpointError(f"{folder} holds no {_ABOUT}; it was not saved by an estimator")
        tree = read_json(folder / _ABOUT)
        try:
            name, own, fitted = tree["class"], dict(tree["parameters"]), dict(tree["fitted"])
        except (KeyError, TypeError, ValueError):
            raise CheckpointError(
                f"{folder / _ABOUT} is not an estimator's; save it anew"
            ) from None
        if name != cls.__name__:
            raise CheckpointError(f"{folder} holds a {name}; load it with {name}.load")
        for key, value in own.items():
            own[key] = tuple(value) if isinstance(value, list) else value
        try:
            made = cls(**own)
        except TypeError as error:
            raise CheckpointError(f"{folder / _ABOUT}: {error}") from None
        for run in _RUNS:
            if (folder / run.strip("_")).is_dir():
                setattr(made, run, load(folder / run.strip("_"), device=made.device))
        for key in cls._remembers:
            if key in fitted:
                value = fitted[key]
                setattr(made, key, np.array(value) if isinstance(value, list) else value)
        return made

    def _implied(self) -> tuple[str, ...]:
        """Return changes of the recipe that parameters of this estimator stand for."""
        return ()

    def _trained_on(self, X: Any, y: Any = None) -> Run:
        """Return a run that was pre-trained on series; y: what a generator is conditioned on."""
        threads = () if self.n_jobs is None else (f"training.threads={self.n_jobs}",)
        return pretrain(
            as_series(X),
            self.recipe,
            columns=self.columns,
            steps=self.steps,
            seed=self._seed(),
            settings=(*self._implied(), *threads, *self.settings),
            y=y,
            device=self.device,
        )

    def _start(self, X: Any, y: Any = None) -> Run:
        """Return what a fit to series starts from."""
        if isinstance(self.run, Run):
            return self.run if self.device == "auto" else self.run.to(self.device)
        if self.run is not None:
            return load(self.run, device=self.device)
        if hasattr(self, "pretrained_"):
            return self.pretrained_
        return self._trained_on(X, y)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _fitted(self) -> Run:
        check_is_fitted(self, "run_")
        found: Run = self.run_  # set by each fit
        return found


def regular(window: int) -> tuple[str, ...]:
    """Return settings for regular series: their own rate, and the steps of a window."""
    return ("data.own_rate=true", f"data.window={window}")


def _plain(tree: Any) -> Any:
    """Return arrays, tuples and paths as JSON knows them."""
    return json.loads(json.dumps(tree, default=lambda one: getattr(one, "tolist", one.__str__)()))
