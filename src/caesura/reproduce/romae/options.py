"""Past the paper: each option with and without, on three kinds of series, all else equal.

Smooth curves (3 to 10 of 51 points seen), spirals (30 of 75) and waves (50 of 100), each with
the same model, steps and test series. One row an option: the error of the hidden points divided
by that of the plain model of the same seed. Negative results stay in the table.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.schema import GAP_IN_UNITS
from caesura.data.synthetic.smooth import hetvae_curves
from caesura.data.synthetic.spirals import spirals
from caesura.data.synthetic.waves import waves
from caesura.nn.likelihood import crps, deviation
from caesura.objectives.masked_tokens import MaskedTokens
from caesura.reproduce.experiment import Context, Experiment, Outcome, Settings
from caesura.reproduce.romae.masked import (
    MaskedSettings,
    batch_of,
    predict,
    random_hidden,
    train_masked,
)
from caesura.types import Batch

Array = NDArray[np.float64]
PLAIN = "plain"
_OPTIONS: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "times as they come (no unit chosen)": {"unit": 0.0},
    "error weighting": {"weighted": True},
    "no error weighting": {"weighted": False},
    "Gaussian likelihood": {"likelihood": "gaussian"},
    "CRPS": {"likelihood": "crps"},
    "cross-attention decoder": {"decoder": "cross_attention"},
    "mask tokens see one another (paper)": {"queries": "joint"},
    "[CLS]": {"cls": True},
    "sines and cosines besides": {"absolute_positions": True},
}
"""`unit` 0 leaves times as they are; the plain model takes the advisor's unit."""
_WEIGHTING = ("error weighting", "no error weighting")


class OptionSettings(Settings):
    """The model that all options share, and how much they train."""

    model: MaskedSettings
    options: tuple[str, ...] = tuple(_OPTIONS)


@dataclass(frozen=True)
class Set:
    """Series of one kind: values (series, steps, size), truth of the test part, what is seen.

    noise: deviation of the noise, in the unit of the values.
    """

    values: Array
    times: Array
    test: Array
    clean: Array
    seen: NDArray[np.int64]
    ratio: tuple[float, float] = (0.5, 0.0)
    noise: float = 0.1


def _smooth(own: MaskedSettings, seed: int) -> Set:
    curves = hetvae_curves()
    _, noisy = curves.draw(own.train + own.validation, 100 + seed)
    clean, test = curves.draw(own.test, 90_000 + seed)
    rng = np.random.default_rng(90_500 + seed)
    seen = rng.integers(3, 11, own.test)
    return Set(noisy[..., None], curves.times, test[..., None], clean[..., None], seen,
               (1 - 11 / 51, 1 - 3 / 51))  # fmt: skip


def _spirals(own: MaskedSettings, seed: int) -> Set:
    train = spirals(own.train + own.validation, 100 + seed)
    test = spirals(own.test, 90_100 + seed)
    scale = float(train.noisy.std())
    return Set(train.noisy / scale, train.times, test.noisy / scale, test.clean / scale,
               np.full(own.test, 30), (0.6, 0.0), 0.1 / scale)  # fmt: skip


def _waves(own: MaskedSettings, seed: int) -> Set:
    rng = np.random.default_rng(100 + seed)
    times = np.linspace(0, 1, 100)
    count = own.train + own.validation + own.test
    modes = rng.integers(1, 13, (count, 2)).astype(np.float64)
    modes[rng.random(count) < 0.5, 1] = np.nan
    clean = waves(modes, times, rng)[..., None]
    noisy = clean + 0.1 * rng.standard_normal(clean.shape)
    first = own.train + own.validation
    return Set(noisy[:first], times, noisy[first:], clean[first:], np.full(own.test, 50))


_SETS = {"smooth curves": _smooth, "spirals": _spirals, "waves": _waves}


def _run(cell: str, context: Context) -> Outcome:
    """Train the plain model and each option on one set."""
    whole: OptionSettings = context.settings
    data = _SETS[cell](whole.model, context.seed)
    advised = float(np.median(np.diff(data.times))) / GAP_IN_UNITS
    rng = np.random.default_rng(90_600 + context.seed)
    hidden = random_hidden(rng, len(data.test), len(data.times), data.seen)
    rows: dict[str, dict[str, float]] = {}
    plain: MaskedTokens | None = None
    for name in whole.options:
        change = dict(_OPTIONS[name])
        weighted = change.pop("weighted", None)
        change["unit"] = 1.0 if change.get("unit") == 0.0 else advised
        low, high = data.ratio
        own = whole.model.model_copy(update={"mask_ratio": low, "mask_ratio_to": high, **change})
        if weighted is None:
            model = train_masked(context, data.values, data.times, settings=own, name=name)
            guess = predict(model, data.test, data.times, hidden, own.unit)
        else:
            model, guess = _with_errors(context, data, own, hidden, weighted=weighted, name=name)
        found = _figures(guess, data, hidden, own)
        if plain is not None and weighted is None:
            batch = batch_of(data.values, data.times / own.unit, np.arange(own.batch))
            found["time of a step / control"] = _time_ratio(model, plain, batch)
        plain = model if name == PLAIN else plain
        rows[f"{cell}: {name}"] = found
    return Outcome(_relative(rows, cell))


def _time_ratio(model: MaskedTokens, plain: MaskedTokens, batch: Batch) -> float:
    """Return the median ratio of processor times, forward and back, in interleaved rounds."""
    ratios = []
    for turn in range(9):
        seconds = []
        for one in (model, plain):
            begun = time.process_time()
            one(batch, torch.Generator().manual_seed(turn)).total.backward()
            seconds.append(time.process_time() - begun)
        ratios.append(seconds[0] / seconds[1])
    return float(np.median(ratios[2:]))


def _figures(
    guess: Array, data: Set, hidden: NDArray[np.bool_], own: MaskedSettings
) -> dict[str, float]:
    size = data.clean.shape[-1]
    squares = np.square(guess[..., :size] - data.clean)[hidden]
    found = {"MSE to the clean curve": float(squares.mean())}
    if own.likelihood != "squared":
        mean, raw = (torch.from_numpy(p[hidden]) for p in (guess[..., :size], guess[..., size:]))
        truth = torch.from_numpy(data.test[hidden])
        inside = (truth - mean).abs() <= 1.645 * deviation(raw)
        found["coverage of 90 %"] = float(inside.double().mean())
        found["CRPS"] = float(crps(mean, raw, truth).mean())
    return found


def _with_errors(
    context: Context,
    data: Set,
    own: MaskedSettings,
    hidden: NDArray[np.bool_],
    *,
    weighted: bool,
    name: str,
) -> tuple[MaskedTokens, Array]:
    """Train on values a third of which have ten times the noise, whose errors are known.

    The weights are those of the data door: floor^2 / (floor^2 + error^2).
    """
    rng = np.random.default_rng(500 + context.seed)

    def spoiled(values: Array) -> tuple[Array, Array]:
        bad = rng.random(values.shape[:2]) < 1 / 3
        error = data.noise * np.where(bad, 10.0, 1.0)[..., None] * np.ones(values.shape[-1])
        more = np.sqrt(np.square(error) - data.noise**2)  # beside the noise that is there
        return values + more * rng.standard_normal(values.shape), error

    values, error = spoiled(data.values)
    test, _ = spoiled(data.test)
    floor = data.noise**2
    weight = floor / (floor + np.square(error)) if weighted else None
    model = train_masked(context, values, data.times, weight, own, name)
    return model, predict(model, test, data.times, hidden, own.unit)


def _relative(rows: dict[str, dict[str, float]], cell: str) -> dict[str, dict[str, float]]:
    """Add the error as a ratio to the plain model's, or to its own control's."""
    metric = "MSE to the clean curve"
    for name, found in rows.items():
        control = _WEIGHTING[1] if name.endswith(_WEIGHTING) else PLAIN
        base = rows.get(f"{cell}: {control}")
        if base is not None and base is not found:
            found["MSE / control"] = found[metric] / base[metric]
    return rows


_MODEL = MaskedSettings(train=1_000, validation=100, test=500, steps=400, lr=2e-3)
_FEW = ("plain", "CRPS", "cross-attention decoder", "error weighting", "no error weighting")
OPTIONS = Experiment(
    name="romae-options",
    title="Past the paper: options against the plain model, equal steps",
    settings={
        "quick": OptionSettings(
            model=_MODEL.model_copy(update={"steps": 10, "test": 50, "train": 100}), options=_FEW
        ),
        "medium": OptionSettings(model=_MODEL),
        "full": OptionSettings(model=_MODEL.model_copy(update={"steps": 6_000, "lr": 1e-3})),
    },
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": tuple(_SETS)[:1], "medium": tuple(_SETS), "full": tuple(_SETS)},
    cost={
        "quick": "15 s",
        "medium": "3 to 6 min a cell and seed",
        "full": "an hour a cell and seed",
    },
    run=_run,
    goal="a ratio below 1 that all seeds share, or its absence said",
    notes=(
        "Ratios to the plain model of the same seed; error weighting to the same without weights, "
        "on values a third of which have ten times the noise.",
        "400 steps are short: an option that learns sooner wins here, whatever it does later.",
    ),
)
