"""What a wrist is doing: HMP accelerometer, people left out.

14 activities of 16 people, recordings of unequal length cut into windows of 4 s; a recording's
answer is the mean over its windows. Pre-training and probe never see the people tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.metrics.classify import accuracy, macro_f1
from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome
from caesura.reproduce.himae.windows import (
    ALL,
    PyramidSettings,
    Windows,
    encoder_of,
    feature_sets,
    held_out_groups,
    new_encoder,
    pretrained,
    probed,
    trained_supervised,
)

HMP, STAND_IN = "HMP", "tones (generated)"
TWIN, SCRATCH = f"never trained, {ALL}", "from scratch"
STATISTICS = "statistics and spectra"
_RATE, _LENGTH, _HOP = 32.0, 128, 64


class ActivitySettings(PyramidSettings):
    """Number of parts that the people are drawn into."""

    folds: int = 4


def _run(cell: str, context: Context) -> Outcome:
    own: ActivitySettings = context.settings
    data, trial = _generated() if cell == STAND_IN else read_hmp(context)
    people = np.random.default_rng(500 + context.seed).permutation(np.unique(data.groups))
    found: dict[str, NDArray[np.float64]] = {}
    for place, some in enumerate(np.array_split(people, own.folds)):
        test = np.flatnonzero(np.isin(data.groups, some))
        others = np.flatnonzero(~np.isin(data.groups, some))
        for name, guess in _fold(context, own, data, others, test, place).items():
            shape = (len(data.labels), guess.shape[1])
            found.setdefault(name, np.zeros(shape))[test] = guess
    first = np.unique(trial, return_index=True)[1]
    truth = data.labels[first]
    rows = {}
    for name, guess in found.items():
        mean = np.stack([np.bincount(trial, column) for column in guess.T], axis=1)
        rows[name] = {"accuracy": accuracy(truth, mean), "macro F1": macro_f1(truth, mean)}
    rows["most frequent class"] = {
        "accuracy": float((truth == np.bincount(truth).argmax()).mean()),
        "macro F1": 0.0,
    }
    return Outcome(rows)


def _fold(
    context: Context,
    own: ActivitySettings,
    data: Windows,
    others: NDArray[np.int64],
    test: NDArray[np.int64],
    place: int,
) -> dict[str, NDArray[np.float64]]:
    train, held = held_out_groups(data.groups[others], 0.15, context.seed)
    train, held = others[train], others[held]
    objective = pretrained(context, data, train, held, own, f"pretraining-{place}")
    encoder = encoder_of(objective)
    channels = data.values.shape[1]
    blank = new_encoder(own, channels, 10_000 + context.seed)
    tested = Windows(data.values[test], data.labels[test], data.groups[test], data.rate_hz)
    sets: dict[str, NDArray[Any]]
    sets = {ALL: feature_sets(encoder, data)[ALL], TWIN: feature_sets(blank, data)[ALL],
            STATISTICS: _statistics(data.values)}  # fmt: skip
    found = {k: probed(x, data, others, x[test], context.seed) for k, x in sets.items()}
    scratch = new_encoder(own, channels, context.seed)
    logits = trained_supervised(context, scratch, data, train, held, tested, f"scratch-{place}")
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return found | {SCRATCH: shifted / shifted.sum(1, keepdims=True)}


def read_hmp(context: Context) -> tuple[Windows, NDArray[np.int64]]:
    """Read the recordings, in g, as windows of 4 s every 2 s, and each window's recording.

    Recordings shorter than a window are padded with what was not observed.
    """
    with np.load(context.file("wearable/hmp_adl_accel.npz"), allow_pickle=False) as arrays:
        own = dict(arrays)
    values = own["values"].astype(np.float32) / 63 * 3 - 1.5  # codes of 6 bits, -1.5 to 1.5 g
    values = values if values.shape[0] == 3 else values.T
    classes = np.unique(own["y"].astype(str), return_inverse=True)[1]
    people = np.unique(own["subject"].astype(str), return_inverse=True)[1]
    windows, trial = [], []
    for number, (first, last) in enumerate(zip(own["offsets"][:-1], own["offsets"][1:],
                                               strict=True)):  # fmt: skip
        part = values[:, first:last]
        short = max(0, _LENGTH - part.shape[1])
        part = np.pad(part, ((0, 0), (0, short)), constant_values=np.nan)
        for start in range(0, part.shape[1] - _LENGTH + 1, _HOP):
            windows.append(part[:, start : start + _LENGTH])
            trial.append(number)
    which = np.array(trial)
    return Windows(np.stack(windows), classes[which], people[which], _RATE), which


def _generated() -> tuple[Windows, NDArray[np.int64]]:
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 2
    time = np.arange(_LENGTH) / _RATE
    turns = np.where(labels == 0, 1.0, 3.0)[:, None] * time + rng.random((160, 1))
    wave = np.sin(2 * np.pi * turns) + 0.3 * rng.standard_normal((160, _LENGTH))
    values = np.repeat(wave[:, None].astype(np.float32), 3, axis=1)
    return Windows(values, labels, np.arange(160) // 20, _RATE), np.arange(160)


def _statistics(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return mean, deviation, quantiles and log spectrum in 8 bands of each channel."""
    seen = np.where(np.isfinite(values), values, np.nan)
    mean = np.nanmean(seen, axis=-1)
    found = [mean, np.nanstd(seen, axis=-1)]
    found += list(np.nanquantile(seen, (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0), axis=-1))
    centred = np.nan_to_num(seen - mean[..., None])
    power = np.abs(np.fft.rfft(centred)) ** 2
    found += [np.log10(b.sum(-1) + 1e-6) for b in np.array_split(power[..., 1:], 8, axis=-1)]
    return np.concatenate(found, axis=1)


ACTIVITY = Experiment(
    name="himae-activity",
    title="Activities from a wrist's acceleration, people left out",
    settings={
        "quick": ActivitySettings(widths=(8, 16), steps=4, tuning_steps=3, batch=32, folds=2,
                                  patch_ms=160),
        "medium": ActivitySettings(steps=250, tuning_steps=200, patch_ms=160),
        "full": ActivitySettings(steps=6_000, tuning_steps=2_000, patch_ms=160),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": (STAND_IN,), "medium": (HMP,), "full": (HMP,)},
    cost={"quick": "10 s", "medium": "5 min a seed", "full": "hours"},
    run=_run,
    comparisons=(
        Comparison(ALL, TWIN, "macro F1"),
        Comparison(ALL, STATISTICS, "macro F1"),
        Comparison(ALL, SCRATCH, "macro F1"),
    ),
    goal="above the untrained encoder and statistics",
    data="wearable/hmp_adl_accel.npz (HMP, 14 activities of 16 people)",
    free=("quick",),
    notes=(
        "Each seed draws other parts of the people. Min-max scaling by window takes away the "
        "level and the size of a movement, which statistics see.",
    ),
)  # fmt: skip
