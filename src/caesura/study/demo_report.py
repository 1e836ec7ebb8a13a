"""The demo's page: what was done, what came out, and in words who won."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from caesura.metrics.bootstrap import Interval
from caesura.study.classification import RANDOM, SCRATCH, STATISTICS
from caesura.study.demo import DemoResult
from caesura.study.figures import bars, interpolated_series, loss_curves
from caesura.study.interpolation import CONTROLS, MODEL
from caesura.study.report import Section, Table, write_report

SHOWN = (MODEL, "last value", "linear in time", "mean")
TITLE = "caesura demo: intensive-care records with gaps"


def write_demo_report(result: DemoResult, path: Path) -> None:
    """Write the report of a demo."""
    counts = result.counts
    lead = (
        f"{counts['stays']:,} stays of PhysioNet 2012 with {counts['values']:,} measurements at "
        "irregular times. A small RoMAE was pre-trained without labels, then asked for "
        f"measurements it never saw and for in-hospital death, on {counts['test']:,} stays kept "
        f"apart. {_seed_count(result)}, {result.seconds:.0f} s in all. "
        "Not for clinical use."
    )
    sections = [_done(result), _interpolation(result), _by_variable(result)]
    sections += [_classification(result), _source()]
    write_report(path, TITLE, lead, sections)


def _seed_count(result: DemoResult) -> str:
    return "One seed" if len(result.runs) == 1 else f"{len(result.runs)} seeds"


def _done(result: DemoResult) -> Section:
    run, counts = result.runs[0], result.counts
    encoder: Any = run.recipe.encoder
    text = [
        f"Of the {counts['pool']:,} stays that are not test stays, "
        f"{run.metrics['train_series']:,} trained the model, {run.metrics['validation_series']:,} "
        f"chose its weights and {run.metrics['calibration_series']:,} calibrated its intervals. "
        "Scaling statistics and the time unit come from the training stays alone.",
        f"The model ({run.metrics['parameters']:,} parameters: width {encoder.width}, "
        f"{encoder.depth} layers, and a decoder of one) sees half of a stay's measurements, each "
        "a token at its hour and variable, and predicts the other half. One rotary unit is "
        f"{run.schema.time_unit:g} h, a quarter of the median gap between measurements of a "
        f"variable. {run.metrics['steps']} steps took {run.metrics['seconds']:.0f} s.",
    ]
    curve = (loss_curves(result.histories), "Loss on masked measurements while pre-training.")
    return Section("What was done", text, [curve])


def _interpolation(result: DemoResult) -> Section:
    overall = {
        name: float(np.mean([i.overall()[name] for i in result.interpolations]))
        for name in (MODEL, *CONTROLS)
    }
    first = result.interpolations[0]
    gaps = {c: first.difference(c) for c in ("linear in time", "ridge, all variables")}
    text = [
        "Half of each test stay's measurements were hidden at random, the same ones for every "
        "method. Errors are squared, in units of each variable's deviation; 1 is what the mean of "
        "the training stays gets.",
        *(
            _first_seed(result) + in_words("RoMAE", control, gap, higher_is_better=False)
            for control, gap in gaps.items()
        ),
        "The ridge on all variables is the strongest simple control: it sees every other variable "
        "interpolated to the asked time.",
        f"The 90 % intervals, calibrated on other stays, hold {first.coverage:.1%} of the hidden "
        "test values.",
    ]
    figures = [(bars(overall, "mean squared error, lower is better"), _seeds(result))]
    figures += [
        (interpolated_series(plot["panels"], "hours since admission"), f"Test stay {plot['stay']}.")
        for plot in result.drawn
    ]
    return Section("Interpolating hidden measurements", text, figures)


def _seeds(result: DemoResult) -> str:
    values = [i.overall()[MODEL] for i in result.interpolations]
    if len(values) == 1:
        return "All hidden values of the test stays; one seed."
    listed = ", ".join(f"{v:.3f}" for v in values)
    return f"Means over {len(values)} seeds; RoMAE by seed: {listed}."


def _by_variable(result: DemoResult) -> Section:
    tables = [i.by_variable() for i in result.interpolations]
    rows: list[dict[str, Any]] = []
    bold = set()
    for place, row in enumerate(tables[0]):
        errors = {m: float(np.mean([t[place][m] for t in tables])) for m in (*SHOWN, CONTROLS[-1])}
        rows.append({"variable": row["variable"], "hidden values": row["hidden"], **errors})
        bold.add((place, min(errors, key=lambda m: errors[m])))
    wins = sum((place, MODEL) in bold for place in range(len(rows)))
    text = [
        f"RoMAE has the smallest error on {wins} of {len(rows)} variables; the best figure of each "
        "row is bold, whoever reaches it."
    ]
    return Section("Variable by variable", text, (), [Table(rows, "", frozenset(bold))])


def _classification(result: DemoResult) -> Section:
    first = result.classifications[0]
    rows: list[dict[str, Any]] = []
    for name in first.scores:
        values = [c.auroc(name).value for c in result.classifications]
        row: dict[str, Any] = {"method": name, "AUROC": float(np.mean(values))}
        if len(values) > 1:
            row["deviation over seeds"] = float(np.std(values, ddof=1))
        interval = first.auroc(name)
        row["95 % interval (first seed)"] = f"{interval.lower:.3f} to {interval.upper:.3f}"
        rows.append(row)
    best = max(range(len(rows)), key=lambda place: rows[place]["AUROC"])
    text = [
        f"{first.labels:,} labelled stays; the same ones for every method. "
        f"{int(first.truth.sum())} of the {len(first.truth):,} test stays ended in death.",
        f"Best here: {rows[best]['method']}.",
        *(
            _first_seed(result)
            + in_words("Fine-tuning", other, first.difference(other), higher_is_better=True)
            for other in (SCRATCH, RANDOM, STATISTICS)
        ),
        "Intervals come from resampling the test stays, in pairs for differences; they do not "
        "hold the spread over trainings, for which there is --seeds.",
    ]
    table = Table(rows, "", frozenset({(best, "AUROC")}))
    return Section("Foreseeing in-hospital death", text, (), [table])


def in_words(name: str, other: str, gap: Interval, *, higher_is_better: bool) -> str:
    """Say in a sentence whether a paired difference is decided, whoever wins."""
    found = (
        f"the difference is {gap.value:+.3f}, its 95 % interval from {gap.lower:+.3f} to "
        f"{gap.upper:+.3f}"
    )
    if not gap.excludes_zero:
        return f"{name} against {other}: undecided; {found} holds 0."
    winner = name if (gap.value > 0) == higher_is_better else other
    return f"{name} against {other}: {winner} is better; {found} excludes 0."


def _first_seed(result: DemoResult) -> str:
    return "First seed: " if len(result.runs) > 1 else ""


def summary_rows(result: DemoResult) -> list[dict[str, Any]]:
    """Return the two tables in short, for a terminal: means, and deviations over seeds."""
    rows: list[dict[str, Any]] = []
    for name in (MODEL, *CONTROLS):
        values = [i.overall()[name] for i in result.interpolations]
        rows.append({"task": "interpolation, MSE", "method": name, **_spread(values)})
    for name in result.classifications[0].scores:
        scores = [c.auroc(name).value for c in result.classifications]
        rows.append({"task": "in-hospital death, AUROC", "method": name, **_spread(scores)})
    return rows


def _spread(values: list[Any]) -> dict[str, float]:
    found = {"mean": float(np.mean(values))}
    return found | ({"deviation": float(np.std(values, ddof=1))} if len(values) > 1 else {})


def _source() -> Section:
    text = [
        "PhysioNet/Computing in Cardiology Challenge 2012, set A (Silva et al. 2012; Goldberger "
        "et al. 2000), ODC-BY 1.0; a cleaned subset, averaged over 4 hours. Every change is in "
        "scripts/make_demo_data.py.",
        "Not for clinical use: the figures say how methods compare on these data, nothing about "
        "any patient.",
        "The same on your own data: caesura pretrain romae --data FILE --id ... --time ... "
        "--channel ... --value ... --out RUN; each run folder holds a recipe.toml that repeats it.",
    ]
    return Section("Source and licence", text)
