"""From a user's data and labels to a study that fits into a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from caesura.data.columns import numeric
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.labels import Rare, read_labels
from caesura.data.read import read_table
from caesura.data.regular import full_rate
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

MIN_STEPS, MIN_TUNING_STEPS = 60, 30
"""Steps of a pre-training and of a fine-tuning below which their figures mean nothing."""
_SMALL = "32x2"
"""Encoder of a study whose time does not hold the one that was asked for."""
_TUNING_SHARE = 0.45
"""Of the time, for fine-tuning; pre-training gets the rest."""
_SURE = 0.42
"""Of the time, planned for: probes, reading and drift take what is left."""
_MEASURED = 6
_FEWER = ("objectives", "views", "encoders", "seeds")
"""Fields of a plan that a short time makes fewer."""
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
    path = out / "plan.json"
    if not path.is_file():
        question = replace(question, config=laid_out(store, question.config))
        study = made(question, store, out, settings)
        if minutes:
            study.plan = fitted(study, minutes, processes)
        return study
    there = DividendPlan.model_validate_json(path.read_text(encoding="utf-8"))
    if not question.config.rate and len(store.channels) > 1:
        config = question.config.model_copy(update={"rate": there.data.rate})
        question = replace(question, config=config)
    study = made(question, store, out, {"patch": there.patch, **settings})
    return _as_begun(study, there)


def _as_begun(study: Study, there: DividendPlan) -> Study:
    """Give a resumed study the lengths, and the arms, that were fitted to its time."""
    begun = {"steps": there.steps, "tuning_steps": there.tuning_steps}
    asked = {name: _json(getattr(study.plan, name)) for name in there.asked}
    if there.asked and asked == there.asked:
        begun |= {name: getattr(there, name) for name in (*there.asked, "asked")}
    study.plan = study.plan.model_copy(update=begun)
    return study


def _json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def laid_out(store: RaggedStore, config: DataConfig) -> DataConfig:
    """Return the settings with the data's own rate where a long table holds regular series.

    There a token is a patch of all channels; a token a value would cost as many times more as a
    patch holds values. What is given (a rate), irregular, or of one channel stays as it is.
    """
    rate = 0.0 if config.rate else full_rate(store)
    if not rate:
        return config
    log.info(
        "the series are regular (%.5g steps a unit of time): a token is a patch of all %d channels",
        rate,
        len(store.channels),
    )
    return config.model_copy(update={"rate": rate})


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
    steps = float(np.median(store.spans)) * config.rate + 1  # rows of a long table are of channels
    samples = config.window * config.rate if config.window else steps
    return int(min(PATCH, max(1, samples // 8)))


def fitted(study: Study, minutes: float, processes: int = 1) -> DividendPlan:
    """Return the plan that fits into a time: all arms, or fewer of them and a smaller encoder.

    A few steps of every arm, one fine-tuning and one probe are timed. Fine-tuning gets 45 % of
    42 % of the time, 30 to 200 steps each; pre-training what is left, the same tokens each, 60
    steps at least. Where these do not fit, augmentations go first, then the size of the encoder,
    then objectives and seeds; what is left out is said.
    """
    asked, until = study.plan, time.monotonic() + 60 * minutes
    costs = _Costs(study)
    for plan in _smaller(asked):
        study.plan = plan
        steps, tuning_steps = costs.lengths(plan, _SURE * processes * (until - time.monotonic()))
        if steps >= MIN_STEPS:
            break
    changed = [name for name in _FEWER if getattr(plan, name) != getattr(asked, name)]
    if changed:
        said = "; ".join(f"{name}: {_said(getattr(plan, name))}" for name in changed)
        log.warning(
            "%.3g minutes hold no %d steps of every arm that was asked for: the study has fewer "
            "(%s). Give more --minutes for all",
            minutes, MIN_STEPS, said,
        )  # fmt: skip
    if steps < MIN_STEPS:
        steps, tuning_steps = MIN_STEPS, MIN_TUNING_STEPS
        log.warning(
            "%.3g minutes are too short for one arm with %d steps of pre-training and %d of "
            "fine-tuning, which takes about %.2g minutes: give --minutes %d, or fewer labelled "
            "series (--most)",
            minutes,
            steps,
            tuning_steps,
            costs.minutes(plan) / processes,
            int(np.ceil(costs.minutes(plan) / processes)),
        )
    lengths = {"steps": steps, "tuning_steps": tuning_steps}
    before = {name: _json(getattr(asked, name)) for name in _FEWER} if changed else {}
    return plan.model_copy(update=lengths | {"asked": before})


def _said(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _smaller(plan: DividendPlan) -> Iterator[DividendPlan]:
    """Yield a plan and ever cheaper ones, down to one arm of a small encoder and one seed."""
    yield plan
    plan = plan.model_copy(update={"views": plan.views[:1]})
    yield plan
    width = int(plan.encoders[0].partition("x")[0])
    small = _SMALL if width > int(_SMALL.partition("x")[0]) else plan.encoders[0]
    plan = plan.model_copy(update={"encoders": (small,)})
    yield plan
    for count in range(len(plan.objectives) - 1, 0, -1):
        plan = plan.model_copy(update={"objectives": plan.objectives[:count]})
        yield plan
    yield plan.model_copy(update={"seeds": 1})


class _Parts(NamedTuple):
    """Seconds of a step of all arms, numbers of fine-tunings and of pre-trainings of each, seconds
    of all probes, and of a fine-tuning before and by its steps.
    """

    each: float
    tunings: float
    runs: float
    probes: float
    fixed: float
    by_step: float


class _Costs:
    """Seconds of a study's parts, each measured once."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._steps: dict[tuple[str, str, str], float] = {}
        self._tunings: dict[tuple[str, str, str], tuple[float, float, float]] = {}

    def lengths(self, plan: DividendPlan, seconds: float) -> tuple[int, int]:
        """Return the steps of a pre-training and of a fine-tuning that fit."""
        cost = self._parts(plan)
        room = _TUNING_SHARE * (seconds - cost.probes) / cost.tunings - cost.fixed
        tuning_steps = int(np.clip(room / cost.by_step, MIN_TUNING_STEPS, 200))
        tuning = cost.tunings * (cost.fixed + tuning_steps * cost.by_step)
        return int((seconds - cost.probes - tuning) / (cost.each * cost.runs)), tuning_steps

    def minutes(self, plan: DividendPlan) -> float:
        """Return the time of a plan with the least lengths."""
        cost = self._parts(plan)
        tuning = cost.tunings * (cost.fixed + MIN_TUNING_STEPS * cost.by_step)
        return (MIN_STEPS * cost.each * cost.runs + cost.probes + tuning) / 60 / _SURE

    def _parts(self, plan: DividendPlan) -> _Parts:
        arms = [(e, o, v) for e in plan.encoders for o in plan.objectives for v in plan.views]
        for arm in arms:
            if arm not in self._steps:
                cell = Cell("rate", *arm, 0, plan.rates[0])
                self._steps[arm] = self.study.seconds_a_step(cell, _MEASURED)
        start = next(c for c in plan.cells() if c.kind == "scratch")
        if start.arm not in self._tunings:
            short, long = (
                _tuning_seconds(self.study, start, steps) for steps in (2, 2 + _MEASURED)
            )
            by_step = max((long - short) / _MEASURED, 1e-4)
            begun = time.monotonic()
            self.study.report.probed(self.study.untrained(start), 0)
            probe = time.monotonic() - begun
            self._tunings[start.arm] = (max(short - 2 * by_step, 0.0), by_step, probe)
        fixed, by_step, probe = self._tunings[start.arm]
        kinds = [cell.kind for cell in plan.cells()]
        # all folds in the report, one in a trial, on the smaller part
        trials = sum(kind in ("tuning rate", "scratch rate") for kind in kinds)
        tunings = sum(kind in ("arm", "scratch") for kind in kinds) + trials / plan.folds
        runs = len(plan.rates) * plan.trial + plan.seeds
        probes = probe * (2 * kinds.count("arm") + plan.choice * kinds.count("rate"))
        each = sum(self._steps[arm] for arm in arms)
        return _Parts(each, tunings, runs, probes, fixed, by_step)


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
