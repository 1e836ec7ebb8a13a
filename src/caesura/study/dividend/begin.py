"""From a user's data and labels to a study that fits into a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from caesura.data.columns import numeric
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.labels import Rare, read_labels
from caesura.data.read import read_table
from caesura.data.store import RaggedStore
from caesura.errors import DataError, RecipeError
from caesura.recipes.dividend import PATCH
from caesura.study.dividend.anomalies import anomaly_parts
from caesura.study.dividend.forecasting import forecasting_parts
from caesura.study.dividend.labelled import LabelledPart, fingerprint, parts_of
from caesura.study.dividend.plan import Cell, DividendPlan
from caesura.study.dividend.work import Study
from caesura.tasks.pretrain import resolve_tokens

log = logging.getLogger("caesura")

_FEWEST_STEPS = 10
_TUNING_SHARE = 0.45
"""Of the time, for fine-tuning; pre-training gets the rest."""
_SURE = 0.65
"""Of the time, planned for: probes, reading and drift take what is left."""
_MEASURED = 6
_MOST_WINDOWS = 3000
"""Windows of a forecasting part, those that fit its heads included."""


def data_config(
    data: str, columns: Mapping[str, Any], rate: float = 0.0, window: float = 0.0
) -> DataConfig:
    """Return the settings of the door for a study's data."""
    config = DataConfig.model_validate(
        {
            "path": str(Path(data).resolve()),
            "columns": dict(columns),
            "rate": rate,
            "window": window,
        }
    )
    return resolve_tokens(config, True)


@dataclass(frozen=True)
class Question:
    """What a user asks about: data and one task, and how to read them.

    labels: a table. horizon: steps ahead of a forecast. truth: column that marks anomalies;
    normal: share of each series before which there are none. features: a table of the id column
    and numbers, scored beside labels. season: steps, of forecasts; 0: found in the data.
    """

    data: str
    config: DataConfig
    labels: str = ""
    target: tuple[str, ...] = ()
    label_id: str = ""
    rare: Rare = "keep"
    features: str | None = None
    horizon: int = 0
    season: int = 0
    truth: str = ""
    normal: float = 0.4

    def __post_init__(self) -> None:
        given = sum(map(bool, (self.labels, self.horizon, self.truth)))
        if given != 1:
            raise RecipeError(
                f"a study has one task, got {given}: pass --labels TABLE, --forecast STEPS, or "
                "--truth COLUMN that marks anomalies"
            )
        if self.features and not self.labels:
            raise RecipeError("--features are of labelled series; this task takes none")


def begin(
    question: Question,
    out: Path,
    settings: Mapping[str, Any],
    *,
    minutes: float = 0.0,
    processes: int = 1,
) -> Study:
    """Read data and labels, split off the part that chooses, and fit the plan to the time.

    settings: fields of the plan. minutes: 0 keeps the plan's steps. Labels that match no series,
    classes with fewer cases than folds, and unknown names are errors here, before anything is
    trained.
    """
    store, _ = open_data(question.data, question.config)
    made = _labelled if question.labels else _forecasting if question.horizon else _detecting
    study = made(question, store, out, settings)
    path = out / "plan.json"
    if path.is_file():  # a resumed study keeps the budget that was fitted to its time
        there = DividendPlan.model_validate_json(path.read_text(encoding="utf-8"))
        kept = {"steps": there.steps, "tuning_steps": there.tuning_steps}
        study.plan = study.plan.model_copy(update=kept)
    elif minutes:
        study.plan = fitted(study, minutes, processes)
    return study


def _labelled(
    question: Question, store: RaggedStore, out: Path, settings: Mapping[str, Any]
) -> Study:
    """Return a study of labelled series, which reads all series in its pre-training."""
    config, features = question.config, question.features
    known = read_labels(
        question.labels,
        store,
        question.label_id or config.columns.id,
        question.target,
        rare=question.rare,
    )
    series = fingerprint(store, known, features)
    plan = _plan(store, config, settings, {"series": series})
    choice, report = parts_of(store, known, plan.choice, plan.folds, plan.most)
    if features is not None:
        report = replace(report, foreign=_foreign(features, config.columns.id, report))
    return Study(out, plan, store, choice, report)


def _forecasting(
    question: Question, store: RaggedStore, out: Path, settings: Mapping[str, Any]
) -> Study:
    """Return a study of what follows, whose pre-training reads the earlier part alone."""
    asked = {"horizon": question.horizon, "season": question.season}
    early, config, choice, report = forecasting_parts(
        store, question.config, question.horizon, question.season, _MOST_WINDOWS
    )
    series = fingerprint(store)
    return Study(out, _plan(store, config, settings, asked | {"series": series}), early, choice,
                 report)  # fmt: skip


def _detecting(
    question: Question, store: RaggedStore, out: Path, settings: Mapping[str, Any]
) -> Study:
    """Return a study of marked time stamps, whose pre-training reads normal parts alone."""
    share = float(settings.get("choice", DividendPlan.model_fields["choice"].default))
    early, config, marks, choice, report = anomaly_parts(
        store, question.data, question.config, question.truth, question.normal, share
    )
    asked = {"truth": question.truth, "normal": question.normal}
    asked["series"] = fingerprint(store, marks=marks)
    return Study(out, _plan(store, config, settings, asked), early, choice, report)


def _plan(
    store: RaggedStore, config: DataConfig, settings: Mapping[str, Any], own: Mapping[str, Any]
) -> DividendPlan:
    patch = _patch_for(store, config) if config.rate else 0
    try:
        plan = DividendPlan.model_validate({"data": config, "patch": patch, **own, **settings})
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError("; ".join(faults)) from None
    plan.check()
    return plan


def _patch_for(store: RaggedStore, config: DataConfig) -> int:
    """Return 16 samples, or fewer where a window would have less than eight patches."""
    samples = config.window * config.rate if config.window else float(np.median(store.lengths))
    return int(min(PATCH, max(1, samples // 8)))


def fitted(study: Study, minutes: float, processes: int = 1) -> DividendPlan:
    """Return the plan with as many steps as fit.

    The rule: a few steps of every arm and of one fine-tuning are timed. Fine-tuning gets 45 % of
    65 % of the time, 10 to 200 steps each; pre-training what is left, the same tokens each.
    """
    plan = study.plan
    seconds = 60 * minutes * _SURE * processes
    arms = [(e, o, v) for e in plan.encoders for o in plan.objectives for v in plan.views]
    each = sum(
        study.seconds_a_step(Cell("rate", *arm, 0, plan.rates[0]), _MEASURED) for arm in arms
    )
    start = next(c for c in plan.cells() if c.kind == "scratch")
    short, long = (_tuning_seconds(study, start, steps) for steps in (2, 2 + _MEASURED))
    by_step = max((long - short) / _MEASURED, 1e-4)
    fixed = max(short - 2 * by_step, 0.0)
    kinds = [cell.kind for cell in plan.cells()]
    # all folds in the report, one in a trial, on the smaller part
    trials = sum(kind in ("tuning rate", "scratch rate") for kind in kinds)
    tunings = sum(kind in ("arm", "scratch") for kind in kinds) + trials / plan.folds
    room = _TUNING_SHARE * seconds / tunings - fixed
    tuning_steps = int(np.clip(room / by_step, _FEWEST_STEPS, 200))
    left = seconds - tunings * (fixed + tuning_steps * by_step)
    runs = len(plan.rates) * plan.trial + plan.seeds
    steps = int(left / (each * runs))
    if steps < _FEWEST_STEPS:
        log.warning(
            "%.1f minutes are too short for %d arms and %d seeds: the study takes longer, with %d "
            "steps each; give more --minutes, fewer --objectives, or fewer --seeds",
            minutes, len(arms), plan.seeds, _FEWEST_STEPS,
        )  # fmt: skip
        steps = _FEWEST_STEPS
    return plan.model_copy(update={"steps": steps, "tuning_steps": tuning_steps})


def _tuning_seconds(study: Study, cell: Cell, steps: int) -> float:
    """Return the time of one fine-tuning over all folds, on the larger of both parts."""
    start = study.untrained(cell)
    begun = time.monotonic()
    study.report.tuned(start, 1e-3, steps, 0, from_scratch=True)
    return time.monotonic() - begun


def _foreign(path: str, id_column: str, report: LabelledPart) -> NDArray[np.float64]:
    """Return the report part's rows of a table of features, NaN where a series has none."""
    table = read_table(path)
    if id_column not in table.column_names:
        raise DataError(f"{path} has no column {id_column!r}; columns: {table.column_names}")
    names = [n for n in table.column_names if n != id_column]
    if not names:
        raise DataError(f"{path} has no features beside {id_column!r}")
    columns = np.stack([numeric(table, n) for n in names], axis=1).astype(np.float64)
    place = {str(one): k for k, one in enumerate(table[id_column].to_pylist())}
    ids = [str(one) for one in report.store.ids.to_pylist()]
    rows = np.array([place.get(one, -1) for one in ids])
    if (rows < 0).all():
        raise DataError(f"{path} has features of none of the labelled series")
    found = np.full((len(ids), columns.shape[1]), np.nan)
    found[rows >= 0] = columns[rows[rows >= 0]]
    return found
