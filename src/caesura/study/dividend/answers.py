"""What a study's results say: dividends with intervals, what matters, what to run next."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.bootstrap import Interval, group_resamples
from caesura.metrics.compare import variance_shares
from caesura.recipes.dividend import name_of
from caesura.study.dividend.plan import Cell
from caesura.study.dividend.work import Study

_DRAWS = 1000


@dataclass(frozen=True)
class Arm:
    """An objective under an augmentation on an encoder, over seeds."""

    encoder: str
    objective: str
    view: str
    frozen: Interval
    twin: Interval
    frozen_dividend: Interval
    tuned: Interval
    scratch: Interval
    tuned_dividend: Interval
    cost: dict[str, float]
    bands: dict[str, float]

    @property
    def name(self) -> str:
        """Objective and augmentation in words."""
        return f"{self.objective}, {self.view}"


@dataclass(frozen=True)
class Answer:
    """The whole of a study: arms, the one that the other part chose, baselines, shares."""

    arms: list[Arm]
    chosen: Arm
    baselines: dict[str, Interval]
    shares: dict[str, float]
    seeds: int
    cases: str
    nothing: str
    seconds: float

    @property
    def best_baseline(self) -> str:
        """Name of the baseline with the highest skill."""
        return max(self.baselines, key=lambda name: self.baselines[name].value)

    def sentence(self) -> str:
        """Return the answer in a sentence."""
        gain, baseline = self.chosen.tuned_dividend, self.baselines[self.best_baseline]
        return (
            f"On this task pre-training with {self.chosen.objective} "
            f"(augmentation: {self.chosen.view}) gives {gain.value:+.3f} "
            f"[{gain.lower:+.3f}, {gain.upper:+.3f}] (tuned) over training from scratch "
            f"({self.chosen.scratch.value:.3f}); a classical baseline ({self.best_baseline}) gives "
            f"{baseline.value:.3f}."
        )

    def certainty(self) -> str:
        """Say how sure the answer is."""
        gain = self.chosen.tuned_dividend
        verdict = "Undecided: the interval holds 0"
        if gain.excludes_zero:
            verdict = "Pre-training pays" if gain.value > 0 else "Pre-training costs"
        frozen = self.chosen.frozen_dividend
        both = max(self.chosen.tuned.value, self.chosen.scratch.value)
        if self.baselines[self.best_baseline].value > both:
            verdict += f"; the baseline ({self.best_baseline}) is ahead of both"
        return (
            f"{verdict}. Frozen, the same encoder is worth {frozen.value:+.3f} "
            f"[{frozen.lower:+.3f}, {frozen.upper:+.3f}] over its twin that was never trained. "
            f"Skill runs from 0 ({self.nothing}) to 1; intervals of 95 % over {self.seeds} seeds "
            f"and {self.cases}."
        )


def answer(study: Study) -> Answer:
    """Read a finished study.

    The arm of the headline is the one whose fine-tuning was best on the part that chooses; the
    report part has no say in it.
    """
    plan = study.plan
    arms = [
        _arm(study, (encoder, objective, view))
        for encoder in plan.encoders
        for objective in plan.objectives
        for view in plan.views
    ]

    def by_choice(arm: Arm) -> float:
        cell = Cell("arm", arm.encoder, arm.objective, arm.view)
        return float(study.result(study.best("tuning rate", cell))["skill"])

    beside = study.result(next(iter(plan.cells())))
    baselines = {
        name: _interval(study, [np.asarray(said)], None)
        for name, said in beside["predicted"].items()
    }
    table = np.array(
        [
            [
                [
                    [
                        study.result(Cell("arm", e, o, v, s))["frozen skill"]
                        for s in range(plan.seeds)
                    ]
                    for v in plan.views
                ]
                for o in plan.objectives
            ]
            for e in plan.encoders
        ]
    )
    names = ("encoder", "objective", "augmentation", "seed")
    kept = [k for k in range(4) if table.shape[k] > 1]
    shares = variance_shares(
        table.reshape([table.shape[k] for k in kept]), [names[k] for k in kept]
    )
    seconds = sum(float(study.result(cell)["seconds"]) for cell in plan.cells())
    return Answer(
        arms, max(arms, key=by_choice), baselines, shares, plan.seeds,
        study.report.cases, study.report.nothing, seconds,
    )  # fmt: skip


def _arm(study: Study, which: tuple[str, str, str]) -> Arm:
    cells = [Cell("arm", *which, seed) for seed in range(study.plan.seeds)]
    found = [study.result(cell) for cell in cells]
    scratch = [np.asarray(study.result(study.plan.start_of(cell))["tuned"]) for cell in cells]
    frozen, twin, tuned = (
        [np.asarray(one[key]) for one in found] for key in ("frozen", "twin", "tuned")
    )
    costs = ("steps", "tokens a row", "TFLOP", "training seconds", "parameters", "effective rank",
             "rate", "tuning rate")  # fmt: skip
    bands = found[0].get("bands", {})
    return Arm(
        *which,
        frozen=_interval(study, frozen, None),
        twin=_interval(study, twin, None),
        frozen_dividend=_interval(study, frozen, twin),
        tuned=_interval(study, tuned, None),
        scratch=_interval(study, scratch, None),
        tuned_dividend=_interval(study, tuned, scratch),
        cost={key: float(np.mean([one[key] for one in found])) for key in costs},
        bands={key: float(np.mean([one["bands"][key] for one in found])) for key in bands},
    )


def _interval(
    study: Study, ours: list[NDArray[Any]], theirs: list[NDArray[Any]] | None
) -> Interval:
    """Return the mean skill over seeds, or the mean paired difference, with its interval.

    Seeds are drawn with return, then groups of cases: the same draw on both sides of a pair.
    """
    part, seeds = study.report, len(ours)

    def gap(seed: int, cases: NDArray[np.int64]) -> float:
        own = part.skill(ours[seed], cases)
        return own if theirs is None else own - part.skill(theirs[seed], cases)

    everything = np.arange(len(part.groups))
    value = float(np.mean([gap(s, everything) for s in range(seeds)]))
    rng = np.random.default_rng(0)
    means = [
        float(np.mean([gap(int(s), cases) for s in rng.integers(0, seeds, seeds)]))
        for cases in group_resamples(part.groups, _DRAWS, 0)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    return Interval(value, float(low), float(high))


def advice(found: Answer, study: Study) -> list[str]:
    """Say what to run next, by rules that are stated here."""
    plan, arm, gain, lines = study.plan, found.chosen, found.chosen.tuned_dividend, []
    rate = f" --rate {plan.data.rate:g}" if plan.data.rate else ""
    window = f" --window {plan.data.window:g}" if plan.data.window else ""
    columns = plan.data.columns.as_options()
    command = f"caesura pretrain {name_of(arm.objective)} --data {quote(plan.data.path or 'DATA')}"
    command += (f" {columns}" if columns else "") + rate + window
    labelled = not (plan.horizon or plan.truth)
    if not gain.excludes_zero:
        width = (gain.upper - gain.lower) / 2
        material = "or longer series" if plan.horizon else "series with anomalies"
        lines.append(
            f"The interval is +-{width:.3f} wide. More "
            f"{'labelled series' if labelled else material} narrow it most; more seeds "
            f"(--seeds {2 * found.seeds}) and a longer budget (--minutes) come next."
        )
    if labelled and gain.excludes_zero and gain.value > 0:
        lines.append(f"Pre-train for long: `{command} --out run`, then `caesura finetune run`.")
    frozen = arm.frozen_dividend
    if not labelled and frozen.excludes_zero and frozen.value > 0:
        verb = f"forecast run --horizon {plan.horizon}" if plan.horizon else "detect run"
        lines.append(
            f"Pre-train for long: `{command} --out run`, then `caesura {verb} -o found.parquet`, "
            "which reads the encoder frozen."
        )
    best = found.baselines[found.best_baseline]
    if best.value > max(arm.tuned.value, arm.frozen.value):
        lines.append(
            f"The baseline ({found.best_baseline}) is ahead of every figure of this arm: use it"
            f"{', or join its features with the embedding' if labelled else ''}."
        )
    if labelled and arm.frozen.value > arm.tuned.value:
        lines.append(
            "The frozen probe is ahead of fine-tuning: with so few labels use `caesura probe`."
        )
    return lines
