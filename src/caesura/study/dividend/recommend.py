"""A few minutes that propose an objective, an augmentation and a resolution, with evidence."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.bootstrap import Interval, group_resamples
from caesura.study.dividend.plan import Cell
from caesura.study.dividend.task import Part
from caesura.study.dividend.work import Study

_DRAWS = 500
_SURE = 0.7
"""Of the time, planned for."""
_FEWEST = 10
_TIE = 0.01
"""Difference of skill that nobody would choose by."""


@dataclass(frozen=True)
class Candidate:
    """One way to pre-train, tried for a short while: its frozen skill and what it adds."""

    objective: str
    view: str
    patch: int
    skill: Interval
    dividend: Interval
    seconds: float


@dataclass(frozen=True)
class Recommendation:
    """What is proposed, and all that was tried; `pays` where the interval excludes 0."""

    chosen: Candidate
    tried: list[Candidate]

    @property
    def pays(self) -> bool:
        """Whether the proposal beats an untrained encoder beyond its interval."""
        return self.chosen.dividend.excludes_zero and self.chosen.dividend.value > 0

    def sentence(self) -> str:
        """Return the proposal in a sentence."""
        one = self.chosen
        how = "without augmentation" if one.view == "none" else f"with augmentation {one.view}"
        where = f" and patches of {one.patch} samples" if one.patch else ""
        verdict = (
            "and beats the same encoder untrained"
            if self.pays
            else "but does not beat the same encoder untrained beyond doubt"
        )
        return (
            f"Proposed: {one.objective} {how}{where}. Frozen skill {one.skill.value:.3f}, "
            f"{one.dividend.value:+.3f} [{one.dividend.lower:+.3f}, {one.dividend.upper:+.3f}] "
            f"over no training, {verdict}."
        )


def recommend(study: Study, minutes: float, patches: tuple[int, ...] = ()) -> Recommendation:
    """Try every objective of a study's plan under its first augmentation and at one resolution,
    then the best objective under the other augmentations, then what is best at other resolutions.

    All are trained on as many tokens, and of the time half is for objectives, the rest for both
    others. Scored by a linear probe on the part that chooses and the report part joined: a
    proposal, whose score has been chosen by itself and is no estimate (`study dividend` gives
    one). Of scores within 0.01 the one that was tried first is taken.
    """
    plan = study.plan
    rate = plan.rates[len(plan.rates) // 2]

    def cell(objective: str, view: str) -> Cell:
        return Cell("rate", plan.encoders[0], objective, view, 0, rate)

    first, *views = plan.views
    others = [p for p in patches if p != plan.patch] if plan.patch else []
    cost = sum(study.seconds_a_step(cell(one, first), 4) for one in plan.objectives)
    rounds = 1 + (len(views) + len(others)) / len(plan.objectives)
    steps = max(_FEWEST, int(60 * minutes * _SURE / (rounds * max(cost, 1e-6))))
    with TemporaryDirectory() as scratch:
        work = Path(scratch)
        tried = [_try(study, cell(one, first), plan.patch, steps, work) for one in plan.objectives]
        best = _best(tried).objective
        tried += [_try(study, cell(best, view), plan.patch, steps, work) for view in views]
        view = _best(tried).view
        tried += [_try(study, cell(best, view), patch, steps, work) for patch in others]
        return Recommendation(_best(tried), tried)


def _best(tried: list[Candidate]) -> Candidate:
    most = max(one.skill.value for one in tried)
    return next(one for one in tried if one.skill.value >= most - _TIE)


def _try(study: Study, cell: Cell, patch: int, steps: int, work: Path) -> Candidate:
    begun = time.monotonic()
    own = replace(
        study, plan=study.plan.model_copy(update={"steps": steps, "patch": patch}), fitted=None
    )
    run, _ = own.pretrained(cell, work / f"{cell.objective}-{cell.view}-{patch}", 1.0)
    twin = own.untrained(cell)
    parts = (own.choice, own.report)
    ours, theirs = ([part.probed(model, 0) for part in parts] for model in (run, twin))
    skill, gain = _interval(parts, ours, None), _interval(parts, ours, theirs)
    seconds = time.monotonic() - begun
    return Candidate(cell.objective, cell.view, patch, skill, gain, seconds)


def _interval(
    parts: tuple[Part, Part], ours: list[NDArray[Any]], theirs: list[NDArray[Any]] | None
) -> Interval:
    """Return the skill over both parts, or its paired difference, weighted by cases."""
    sizes = np.array([len(part.groups) for part in parts], dtype=float)
    shares = sizes / sizes.sum()

    def gap(k: int, cases: NDArray[np.int64]) -> float:
        own = parts[k].skill(ours[k], cases)
        return own if theirs is None else own - parts[k].skill(theirs[k], cases)

    everything = [np.arange(int(n)) for n in sizes]
    value = sum(shares[k] * gap(k, everything[k]) for k in range(2))
    draws = [group_resamples(part.groups, _DRAWS, 0) for part in parts]
    means = [sum(shares[k] * gap(k, draws[k][i]) for k in range(2)) for i in range(_DRAWS)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))
