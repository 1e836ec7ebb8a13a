"""The scores of a fine-tuning beside those of linear models, all on the same held-out part."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from caesura.data.schema import Target
from caesura.metrics.classify import all_scores, score_name
from caesura.objectives.supervised import SupervisedConfig
from caesura.tasks.linear_start import EMBEDDING, MAXIMA, METHODS, PLAIN
from caesura.tasks.needs import Trained
from caesura.types import as_encoder

THIS = "this fine-tuning"
SCRATCH = "scratch"
"""`start_from` of the control, in the recipe so that a resume stays the control."""
_TIE = 0.005
"""Difference of two scores that nobody would choose a method by."""


def scored(
    target: Target, truth: NDArray[Any], predicted: Mapping[str, NDArray[Any]]
) -> dict[str, float]:
    """Return the scores of each method by name; those of this fine-tuning as "validation ..."."""
    found: dict[str, float] = {}
    for method, outputs in predicted.items():
        begin = "validation " if method == THIS else f"{method}, "
        scores = all_scores(target.task, truth, outputs, target.weights)
        found |= {f"{begin}{name}": value for name, value in scores.items()}
    return found


def comparison(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each method that was scored on the held-out part, this fine-tuning first."""
    rows = [{"method": THIS} | _scores_of(metrics, "validation ")]
    rows += [{"method": name} | _scores_of(metrics, f"{name}, ") for name in METHODS]
    return [row for row in rows if len(row) > 1]


def without_comparison(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that are no scores of the held-out part."""
    begins = ("validation ", *METHODS)
    return {name: value for name, value in metrics.items() if not name.startswith(begins)}


def better_linear(tuned: Trained, metrics: Mapping[str, Any]) -> str | None:
    """Say in a sentence where a linear model is better on the held-out part, and how to get it.

    By AUROC of two classes or several labels, macro F1 of more classes, R2 of a regression.
    """
    target, stage = tuned.schema.target, tuned.recipe.stages[-1]
    rows = {row.pop("method"): row for row in comparison(metrics)}
    if target is None or len(rows) < 2 or not isinstance(stage.objective, SupervisedConfig):
        return None
    score = score_name(target.task)
    score = "macro F1" if target.task == "classification" and len(target.classes) > 2 else score
    own = rows.pop(THIS)[score]
    best = max(rows, key=lambda name: rows[name][score])
    if not rows[best][score] > own + _TIE:
        return None
    text = (
        f"{best} is better than this fine-tuning on the same "
        f"{metrics['validation_series']} held-out series ({score} {rows[best][score]:.3f} "
        f"for {own:.3f})"
    )
    if not stage.objective.tune:
        return text.replace(THIS, "this head")
    if best == PLAIN:
        return f"{text}: plain statistics know more of this label than the encoder does"
    start, whole = stage.start_from, as_encoder(tuned.parts["encoder"]).summary_width
    source = "RUN" if start in ("", SCRATCH) else shlex.quote(start)
    read = {EMBEDDING: "cls+mean" if whole else "levels", MAXIMA: "levels+max"}
    options = ["--from-scratch"] if start == SCRATCH else []
    options += [f"--set stages.0.objective.pooling={read[best]}"] if best in read else []
    options += [f"--set stages.0.objective.statistics={0 if best in read else -1}"]
    return (
        f"{text}; for it: caesura finetune {source} --labels FILE --out DIR --head linear "
        f"{' '.join(options)}"
    )


def _scores_of(metrics: Mapping[str, Any], begin: str) -> dict[str, Any]:
    names = ("AUROC", "R2", "accuracy", "macro F1")
    return {name: metrics[begin + name] for name in names if begin + name in metrics}
