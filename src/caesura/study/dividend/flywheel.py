"""Can synthetic series stand in for one's own in a pre-training, how many, and are they copies?

Generate, pre-train, ask what it bought, and twice as many, until more buy nothing. The pre-training
dividend (arXiv 2605.19462) finds that the origin of the data matters little; where it holds, series
that nobody may see need not leave their place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.answers import synthetic_table
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.data.grid import GridStore
from caesura.data.store import RaggedStore
from caesura.data.synthetic.kernels import kernel_synth, lmc
from caesura.data.view import view_store
from caesura.errors import DataError, RecipeError
from caesura.files import locked, remove_scratch, write_json, write_text
from caesura.metrics.bootstrap import Interval, bootstrap
from caesura.run import Run
from caesura.study.dividend.plan import Cell
from caesura.study.dividend.task import Part, Said
from caesura.study.dividend.work import Study
from caesura.tasks.generate import generate, in_units, sampling_of
from caesura.tasks.needs import need
from caesura.tasks.pretrain import split_of
from caesura.tasks.synthetic_scores import Measured, copying
from caesura.tasks.window_features import bridged_rows

TWIN, NO_ORIGIN, OWN, SYNTHETIC = "no training", "no origin", "own series", "synthetic x "
_AUDITED = 3000
Floats = NDArray[np.floating[Any]]
Answers = tuple[list[Said], list[Said]]
"""What a linear model says on the part that chooses and on the one that reports, by seed."""


@dataclass(frozen=True)
class Fuel:
    """What an encoder was pre-trained on: its frozen skill on cases that chose nothing, what that
    is over no training, and over own series."""

    name: str
    windows: int
    skill: Interval
    dividend: Interval | None = None
    over_own: Interval | None = None


@dataclass(frozen=True)
class Flywheel:
    """All that was tried, how many synthetic windows were enough, and the audit of copies."""

    tried: list[Fuel]
    chosen: str
    audit: Measured | None
    windows: int

    def of(self, name: str) -> Fuel:
        """Return what was tried by its name."""
        return next(one for one in self.tried if one.name == name)

    def sentence(self) -> str:
        """Return the answer in a sentence or two."""
        ours, own = self.of(self.chosen), self.of(OWN)
        text = (
            f"Pre-trained on {self.windows} synthetic windows alone the encoder gains "
            f"{_signed(ours.dividend)} over no training, on own series {_signed(own.dividend)}"
        )
        if not any(_is_gain(one.dividend) for one in (ours, own)):
            return f"{text}: neither is a gain beyond doubt, so there is nothing to stand in for."
        gap = ours.over_own
        verdict = "no worse than own series beyond doubt"
        if gap is not None and gap.excludes_zero:
            verdict = "better than own series" if gap.value > 0 else "short of own series"
        last = [one.name for one in self.tried if one.name.startswith(SYNTHETIC)][-1]
        more = "More were not tried" if last == self.chosen else "More gained nothing further"
        return f"{text}; {verdict} ({_signed(gap)}). {more}."

    def warning(self) -> str:
        """Say whether windows are nearer to those that trained than unseen real ones are."""
        if self.audit is None:
            return "Copies were not looked for: no series was kept from the generator's training."
        ratio, floor = float(self.audit.synthetic.mean()), float(self.audit.floor.mean())
        text = (
            f"Their distance to windows that trained the generator, by that to unseen ones, is "
            f"{ratio:.2f}; {floor:.2f} for real windows that it did not see"
        )
        close = ratio < 0.9 * floor
        return text + (": they are too near, some may be copies." if close else ": no copies.")

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of a table for each."""
        return [
            {
                "pre-trained on": one.name,
                "windows": one.windows or "",
                "frozen skill": str(one.skill),
                "over no training": _signed(one.dividend),
                "over own series": _signed(one.over_own),
            }
            for one in self.tried
        ]


def _is_gain(found: Interval | None) -> bool:
    return found is not None and found.excludes_zero and found.value > 0


def _signed(found: Interval | None) -> str:
    if found is None:
        return ""
    return f"{found.value:+.3f} [{found.lower:+.3f}, {found.upper:+.3f}]"


@dataclass
class _Mill:
    """A study, the generator, and what was answered so far; answers are kept in the folder."""

    study: Study
    maker: Run
    watch: Callable[[str], None]

    def cell(self, seed: int) -> Cell:
        plan = self.study.plan
        rate = plan.rates[len(plan.rates) // 2]
        return Cell("rate", plan.encoders[0], plan.objectives[0], plan.views[0], seed, rate)

    def answers(self, name: str, store: Callable[[], RaggedStore] | None) -> Answers:
        """Return what an encoder knows that was trained on a store; None: never trained."""
        found: Answers = ([], [])
        fuel: Study | None = None
        for seed in range(self.study.plan.seeds):
            path = self.study.folder / "answers" / f"{name.replace(' ', '-')}-{seed}.json"
            if not path.is_file():
                self.watch(f"{name}, seed {seed}")
                if fuel is None:
                    fuel = self._fuelled(store)
                work = self.study.folder / "work" / path.stem
                with locked(work, scratch=True):
                    run = (
                        fuel.untrained(self.cell(seed))
                        if store is None
                        else fuel.pretrained(self.cell(seed), work, 1.0)[0]
                    )
                    parts = (self.study.choice, self.study.report)
                    write_json(path, [part.probed(run, 0).tolist() for part in parts])
                remove_scratch(work)
            for said, kept in zip(found, json.loads(path.read_text(encoding="utf-8")), strict=True):
                said.append(np.asarray(kept))
        return found

    def _fuelled(self, store: Callable[[], RaggedStore] | None) -> Study:
        return self.study if store is None else replace(self.study, store=store(), fitted=None)

    def own(self) -> tuple[Floats, Floats]:
        """Return own windows that trained the generator, and those that did not, with gaps.

        None is unseen where the generator was trained on other data than these.
        """
        view = view_store(self.study.store, self.maker.schema)
        assert isinstance(view, GridStore)
        split = split_of(self.study.store, self.maker.recipe)
        trained = self.maker.metrics.get("train_series")
        unseen = split.validation if trained == len(split.train) else split.validation[:0]
        if not set(split.train.tolist()).isdisjoint(unseen.tolist()):
            unseen = unseen[:0]  # validated by time, in series that train
        return _windows(view, split.train), _windows(view, unseen)

    def made(self, count: int, first: int) -> Floats:
        """Return synthetic windows, other ones for each `first`."""
        self.watch(f"generating {count} windows")
        return generate(self.maker, count, seed=self.maker.recipe.seed + first)

    def without_origin(self, own: Floats) -> Floats:
        """Return as many windows of kernels, at the level and spread of the own channels."""
        count, channels, length = own.shape
        drawn = (
            kernel_synth(count, length, 0)[:, None]
            if channels == 1
            else lmc(count, length, channels, 0)
        )
        level, spread = (f(own, axis=(0, 2))[:, None] for f in (np.nanmean, np.nanstd))
        return in_units(drawn * spread + level, sampling_of(self.maker))

    def store(self, windows: Floats) -> RaggedStore:
        """Return windows as the study's data."""
        table = synthetic_table(self.maker, windows)
        return open_data(table, self.study.plan.data, lenient=True)[0]


def reading(maker: Run, source: str) -> DataConfig:
    """Return how a study reads the data of a generator: in windows of its length.

    A generator of irregular series, or of every n-th step, is a RecipeError.
    """
    sampling = sampling_of(maker)
    if sampling.binned or sampling.every > 1:
        raise RecipeError(
            "this generator makes irregular series or plans of longer ones; a flywheel is of "
            "regular series: pre-train `timemar` on such, at all of their steps"
        )
    if not source:
        raise DataError("the generator was trained on data in memory; pass the data (--data PATH)")
    window = sampling.window / sampling.rate_hz
    config = maker.reading().model_copy(update={"path": str(Path(source).resolve())})
    return config.model_copy(update={"window": window})


def bind(study: Study, maker: Run) -> None:
    """Make the plan that of this generator, so that a folder holds the study of one."""
    digest = hashlib.sha256()
    for name, tensor in sorted(need(maker, "prior").state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().numpy().tobytes())
    series = f"{study.plan.series}-{digest.hexdigest()[:16]}"
    study.plan = study.plan.model_copy(update={"series": series})


def flywheel(
    study: Study, maker: Run, most: int = 16, watch: Callable[[str], None] = lambda name: None
) -> tuple[Flywheel, pa.Table]:
    """Try synthetic windows, 1, 2, 4, ... up to `most` times the own ones, until more gain nothing.

    study: of labels, on the data that the generator was trained on. All encoders are alike and are
    trained for as many tokens; only what they read differs. More is a gain where the paired
    interval on the part that chooses lies above 0; all figures are of the part that reports. Beside
    stand no training, kernels of no origin (KernelSynth; LMC for several channels), own series, and
    own with synthetic ones. Returns what was found and the synthetic windows that were enough.
    """
    if most < 1:
        raise RecipeError(f"--most {most}: as many synthetic windows as own ones are the least")
    mill = _Mill(study, maker, watch)
    train, unseen = mill.own()
    count = len(train)
    if not count:
        raise DataError(
            f"no series is as long as a window of {sampling_of(maker).window} steps; the generator "
            "was trained on other data: pass --data"
        )
    answers = {
        TWIN: mill.answers(TWIN, None),
        NO_ORIGIN: mill.answers(NO_ORIGIN, lambda: mill.store(mill.without_origin(train))),
        OWN: mill.answers(OWN, lambda: study.store),
    }
    sizes = {TWIN: 0, NO_ORIGIN: count, OWN: count}
    made, chosen, times = np.zeros((0, *train.shape[1:])), "", 1
    while times <= most:
        name = f"{SYNTHETIC}{times}"
        made = np.concatenate([made, mill.made(times * count - len(made), len(made))])
        answers[name], sizes[name] = mill.answers(name, partial(mill.store, made)), len(made)
        if chosen:
            gain = _interval(study.choice, answers[name][0], answers[chosen][0])
            if not _is_gain(gain):
                break
        chosen, times = name, 2 * times
    enough = made[: sizes[chosen]]
    both = f"own and {chosen}"
    joined = np.concatenate([train, enough])
    answers[both] = mill.answers(both, partial(mill.store, joined))
    sizes[both] = len(joined)
    tried = [_fuel(study.report, name, sizes[name], answers) for name in answers]
    audit = None if len(unseen) < 2 else copying(*map(_bridged, (train, unseen, enough)))
    return Flywheel(tried, chosen, audit, len(enough)), synthetic_table(maker, enough)


def _fuel(part: Part, name: str, windows: int, answers: dict[str, Answers]) -> Fuel:
    ours, twin, own = (answers[one][1] for one in (name, TWIN, OWN))
    return Fuel(
        name,
        windows,
        _interval(part, ours, None),
        None if name == TWIN else _interval(part, ours, twin),
        None if name in (TWIN, OWN) else _interval(part, ours, own),
    )


def _interval(part: Part, ours: list[Said], theirs: list[Said] | None) -> Interval:
    """Return the mean skill over seeds, or its paired difference, with its interval by group."""

    def gap(cases: NDArray[np.int64]) -> float:
        found = np.mean([part.skill(said, cases) for said in ours])
        if theirs is not None:
            found -= np.mean([part.skill(said, cases) for said in theirs])
        return float(found)

    return bootstrap(gap, part.groups)


def _windows(view: GridStore, series: NDArray[np.int64]) -> Floats:
    """Return whole windows (count, channels, time) of some series, NaN where not measured."""
    tiles = view.tiles(series)
    if not len(tiles):
        return np.zeros((0, len(view.signal.values), view.window))
    inputs = view.collate(tiles).inputs
    values = view.units.table(inputs.values.numpy())
    return np.where(inputs.observed.numpy(), values, np.nan)


def _bridged(windows: Floats) -> Floats:
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), _AUDITED)).astype(int)
    return np.stack([bridged_rows(one) for one in windows[chosen]])


def write_flywheel(folder: Path, found: Flywheel) -> None:
    """Write results.jsonl: a line for each that was tried, and one for the audit."""
    lines: list[dict[str, Any]] = [
        {"pre-trained on": one.name, "windows": one.windows}
        | {
            key: None if value is None else [value.value, value.lower, value.upper]
            for key, value in (("skill", one.skill), ("over no training", one.dividend),
                               ("over own series", one.over_own))
        }
        for one in found.tried
    ]  # fmt: skip
    audit = found.audit
    lines.append({"enough": found.chosen, "windows": found.windows,
                  "copying ratio": None if audit is None else float(audit.synthetic.mean()),
                  "of unseen": None if audit is None else float(audit.floor.mean())})  # fmt: skip
    write_text(folder / "results.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
