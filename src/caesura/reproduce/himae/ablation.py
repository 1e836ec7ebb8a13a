"""What of HiMAE matters: skips, hierarchy, mask, sizes, scaling; and a Transformer instead.

arXiv 2510.25785, ablations (printed there as directions). One change at a time, equal steps, on
ECG: the masked error of whole windows in [-1, 1], random patches, and the probe of all levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome
from caesura.reproduce.himae.generative import filling_errors
from caesura.reproduce.himae.mitbih import DATA, MIT_BIH, STAND_IN, read_parts
from caesura.reproduce.himae.transformer import pretrained_transformer
from caesura.reproduce.himae.windows import (
    PyramidSettings,
    feature_sets,
    held_out_groups,
    pretrained,
    probed,
    scored,
)

BASE, TRANSFORMER = "as published in size, scaling by visible samples", "a Transformer (RoMAE)"
_CHANGES: dict[str, dict[str, Any]] = {
    BASE: {},
    "scaling by the whole window (paper)": {"scale_from": "window"},
    "batch statistics anew on whole windows": {"recalibrate": 40},
    "group normalisation": {"norm": "group"},
    "absent samples flagged": {"absent": "flag"},
    "absent samples learned": {"absent": "learned"},
    "absent samples the mean": {"absent": "mean"},
    "without skips": {"skips": False},
    "without hierarchy": {"strides": (8, 1, 1, 1, 1), "kernel": 9, "widths": (56,) * 5},
    "4 levels (small)": {"widths": (16, 32, 64, 128)},
    "kernel 3": {"kernel": 3},
    "kernel 7": {"kernel": 7},
    "strides of 3": {"strides": (3, 3, 3, 3), "widths": (16, 32, 64, 256)},
    "patches of 20 ms": {"patch_ms": 20.0},
    "patches of 200 ms": {"patch_ms": 200.0},
    "half hidden": {"mask_ratio": 0.5},
    "mixed masks": {"mask": "mixed"},
}


class AblationSettings(PyramidSettings):
    """Test windows whose hidden samples are compared."""

    test_windows: int = 600
    transformer_width: int = 160
    transformer_depth: int = 4


def _run(cell: str, context: Context) -> Outcome:
    _, _, name = cell.partition(": ")
    own: AblationSettings = context.settings
    data, test = read_parts(cell, context)
    train, held = held_out_groups(data.groups, 0.2, context.seed)
    few = np.linspace(0, len(test.values) - 1, min(own.test_windows, len(test.values)))
    rows = few.astype(np.int64)
    if name == TRANSFORMER:
        found = pretrained_transformer(
            context, data, train, held, own, (own.transformer_width, own.transformer_depth)
        )
        sets = found.features(data), found.features(test)
        error = found.error(test, rows, context.seed)
        count = found.parameters
    else:
        changed = own.model_copy(update=_CHANGES[name])
        objective = pretrained(context, data, train, held, changed)
        encoder: Any = objective.encoder
        sets = feature_sets(encoder, data)["all levels"], feature_sets(encoder, test)["all levels"]
        error = filling_errors(objective, test, rows, "random", 0.8, context.seed, own)["model"]
        count = sum(p.numel() for p in objective.parameters())
    guess = probed(sets[0], data, np.arange(len(data.labels)), sets[1], context.seed)
    score = scored(test.labels, guess, test.groups)["AUROC"]
    return Outcome({name: {"MSE, 80 % hidden": error["MSE"], "AUROC": score,
                           "parameters": float(count)}})  # fmt: skip


_NAMES = (*_CHANGES, TRANSFORMER)
ABLATION = Experiment(
    name="himae-ablation",
    title="HiMAE with one thing changed, equal steps: filling in, and the probe, on ECG",
    settings={
        "quick": AblationSettings(steps=3, batch=32, test_windows=40, transformer_width=32,
                                  transformer_depth=1, widths=(8, 16, 32, 32, 32)),
        "medium": AblationSettings(steps=150),
        "full": AblationSettings(steps=3_000, batch=256),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={
        "quick": (f"{STAND_IN}: without skips", f"{STAND_IN}: {TRANSFORMER}"),
        "medium": tuple(f"{MIT_BIH}: {name}" for name in _NAMES),
        "full": tuple(f"{MIT_BIH}: {name}" for name in _NAMES),
    },
    cost={"quick": "15 s", "medium": "1 min a cell and seed", "full": "hours"},
    run=_run,
    comparisons=tuple(
        Comparison(name, BASE, metric)
        for name in _NAMES[1:]
        for metric in ("MSE, 80 % hidden", "AUROC")
    ),
    goal="which of the published parts and sizes matter",
    data=DATA,
    free=("quick",),
    notes=(
        "150 steps: what learns fast is ahead here. MSE is of one kind of hiding, 80 % in patches "
        "of 50 ms, whatever a model was trained with.",
    ),
)  # fmt: skip
