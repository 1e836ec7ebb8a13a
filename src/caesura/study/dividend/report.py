"""The study's page: the answer in its first sentence, how sure, at what cost, what next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from caesura.drawing import ACCENT, INK, SOFT, as_svg, new_figure
from caesura.files import write_text
from caesura.metrics.bootstrap import Interval
from caesura.study.dividend.answers import Answer, advice
from caesura.study.dividend.work import Study
from caesura.study.report import Section, Table, write_report

TITLE = "Does pre-training pay here?"


def result_rows(found: Answer) -> list[dict[str, Any]]:
    """Return a row an arm: skills and both dividends with their intervals."""
    several = len({arm.encoder for arm in found.arms}) > 1
    rows = []
    for arm in found.arms:
        row: dict[str, Any] = {"objective": arm.objective, "augmentation": arm.view}
        if several:
            row["encoder"] = arm.encoder
        row |= {
            "frozen": f"{arm.frozen.value:.3f}",
            "never trained": f"{arm.twin.value:.3f}",
            "frozen dividend": _signed(arm.frozen_dividend),
            "tuned": f"{arm.tuned.value:.3f}",
            "from scratch": f"{arm.scratch.value:.3f}",
            "tuned dividend": _signed(arm.tuned_dividend),
        }
        rows.append(row)
    return rows


def baseline_rows(found: Answer) -> list[dict[str, Any]]:
    """Return a row a baseline."""
    return [{"baseline": name, "skill": str(value)} for name, value in found.baselines.items()]


def cost_rows(found: Answer) -> list[dict[str, Any]]:
    """Return a row an arm: what its pre-training took."""
    return [
        {
            "objective": arm.objective,
            "augmentation": arm.view,
            "rate": f"{arm.cost['rate']:g}",
            "steps": round(arm.cost["steps"]),
            "tokens a series": round(arm.cost["tokens a row"], 1),
            "TFLOP": round(arm.cost["TFLOP"], 3),
            "seconds": round(arm.cost["training seconds"], 1),
            "effective rank": "" if np.isnan(arm.cost["effective rank"])
            else f"{arm.cost['effective rank']:.1f}",
        }
        for arm in found.arms
    ]  # fmt: skip


def write_study(study: Study, found: Answer) -> Path:
    """Write report.html and results.jsonl; returns the page."""
    lines = [
        json.dumps(
            {"objective": a.objective, "augmentation": a.view, "encoder": a.encoder}
            | {k: _plain(getattr(a, k)) for k in ("frozen", "twin", "frozen_dividend", "tuned",
                                                  "scratch", "tuned_dividend")}
            | {"cost": a.cost, "bands": a.bands}
        )
        for a in found.arms
    ]  # fmt: skip
    write_text(study.folder / "results.jsonl", "\n".join(lines) + "\n")
    page = study.folder / "report.html"
    sections = [_answer(study, found), _arms(found), _matters(found), _cost(study, found)]
    sections += [_bands(found)] if found.chosen.bands else []
    sections.append(Section("What to run next", advice(found, study)))
    write_report(page, TITLE, found.sentence(), sections)
    return page


def _answer(study: Study, found: Answer) -> Section:
    text = [
        found.certainty(),
        f"The arm of this sentence was chosen on {study.choice.cases} that the report does not "
        "use, like every learning rate (three for each pre-training and each fine-tuning, from "
        f"scratch too). {study.report.protocol}",
    ]
    return Section("How sure", text)


def _arms(found: Answer) -> Section:
    text = [
        "Two dividends. Frozen: a linear probe on the pre-trained encoder less the same probe on "
        "the same encoder never trained (same seed). Tuned: fine-tuning from the pre-trained "
        "weights less the same fine-tuning from scratch."
    ]
    return Section(
        "Both dividends",
        text,
        [
            (
                dividend_figure(found),
                "Dividends, 95 % intervals; 0: pre-training changes nothing.",
            )
        ],
        (
            Table(result_rows(found)),
            Table(baseline_rows(found), "Baselines, skill with intervals."),
        ),
    )


def dividend_figure(found: Answer) -> str:
    """Draw both dividends of each arm with their intervals."""
    count = len(found.arms)
    figure, axes = new_figure(6.4, 0.42 * count + 1.0)
    axis = axes[0, 0]
    for place, arm in enumerate(found.arms[::-1]):
        for shift, gap, colour, label in (
            (0.12, arm.tuned_dividend, ACCENT, "tuned"),
            (-0.12, arm.frozen_dividend, SOFT, "frozen"),
        ):
            axis.plot([gap.lower, gap.upper], [place + shift] * 2, color=colour, lw=1.6)
            axis.plot([gap.value], [place + shift], "o", color=colour, ms=4.5,
                      label=label if place == count - 1 else None)  # fmt: skip
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(range(count), [arm.name for arm in found.arms[::-1]])
    axis.set(xlabel="dividend (difference of skill)", ylim=(-0.6, count - 0.4))
    axis.legend(frameon=False, loc="best")
    return as_svg(figure)


def _matters(found: Answer) -> Section:
    rows = [{"factor": name, "share of variance": value} for name, value in found.shares.items()]
    text = ["Shares of the variance of the frozen skill over the cells of the study."]
    return Section("What matters", text, (), (Table(rows),))


def _cost(study: Study, found: Answer) -> Section:
    plan, arm = study.plan, found.chosen
    text = [
        f"{found.seconds / 60:.1f} minutes in all, the choice of rates included; the encoder has "
        f"{arm.cost['parameters']:,.0f} parameters. All arms read the same number of tokens, "
        f"views and teachers counted: that of {plan.steps} steps in which each token is read "
        f"once. A fine-tuning takes {plan.tuning_steps} steps.",
    ]
    return Section("At what cost", text, (), (Table(cost_rows(found)),))


def _bands(found: Answer) -> Section:
    rows = [
        {"objective": a.objective, "augmentation": a.view, "frozen": a.frozen.value} | a.bands
        for a in found.arms
    ]
    text = [
        "How much of each wavelet band (db4, from coarse to fine) the frozen tokens still tell, as "
        "R2 of a linear read-out, beside the frozen skill. An objective that gives fine bands away "
        "and gains skill trades precision for invariance."
    ]
    return Section("Precision and invariance", text, (), (Table(rows),))


def _signed(gap: Interval) -> str:
    return f"{gap.value:+.3f} [{gap.lower:+.3f}, {gap.upper:+.3f}]"


def _plain(value: Interval) -> list[float]:
    return [value.value, value.lower, value.upper]
