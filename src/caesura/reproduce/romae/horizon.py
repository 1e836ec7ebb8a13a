"""Appendix B.3: forecasting by hiding the end, and how far it can be trusted.

arXiv 2505.20535, B.3. The paper finds its model weak beyond the observed times, since in training
every hidden place had neighbours on both sides. Here the same model is trained with uniform
masks and with masks at the end, and asked for the last 30 of 100 steps of waves. The trust
region is the horizon up to which its error is below half of the variance of the series.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.data.synthetic.smooth import SmoothCurves
from caesura.data.synthetic.waves import waves
from caesura.objectives.masked_tokens import MaskedTokens
from caesura.reproduce.experiment import Comparison, Context, Experiment, Outcome
from caesura.reproduce.romae.masked import MaskedSettings, predict, train_masked

Array = NDArray[np.float64]
_STEPS, _AHEAD, _NOISE = 100, 30, 0.1
_TRUSTED = 0.5
"""Share of the series' variance up to which a forecast counts as one."""
UNIFORM, END = "uniform masks (paper)", "masks at the end"


def _series(kind: str, count: int, seed: int) -> tuple[Array, Array]:
    """Return clean and noisy series of 100 steps."""
    times = np.linspace(0, 1, _STEPS)
    if kind == "smooth curves":
        curves = SmoothCurves(times, np.linspace(0, 1, 10), noise=_NOISE)
        return curves.draw(count, seed)
    rng = np.random.default_rng(seed)
    modes = rng.integers(1, 9, (count, 2)).astype(np.float64)
    modes[rng.random(count) < 0.5, 1] = np.nan
    if kind == "trend and wave":
        modes[:, 1] = np.nan
    clean = waves(modes, times, rng)
    if kind == "trend and wave":
        clean = clean + rng.standard_normal((count, 1)) * 3 * (times - 0.5)
    return clean, clean + _NOISE * rng.standard_normal(clean.shape)


def _run(cell: str, context: Context) -> Outcome:
    own: MaskedSettings = context.settings
    times = np.linspace(0, 1, _STEPS)
    _, noisy = _series(cell, own.train + own.validation, 100 + context.seed)
    clean, test = _series(cell, own.test, 90_000 + context.seed)
    hidden = np.zeros(test.shape, dtype=np.bool_)
    hidden[:, -_AHEAD:] = True
    variance = float(clean.var())
    rows: dict[str, dict[str, float]] = {}
    curves: dict[str, list[float]] = {}
    for name, mask in ((UNIFORM, "uniform"), (END, "end")):
        ratios = {"mask_ratio": 0.5, "mask_ratio_to": 0.0}
        if mask == "end":
            ratios = {"mask_ratio": 0.1, "mask_ratio_to": 0.5}
        settings = own.model_copy(update={"mask": mask, **ratios})
        model = train_masked(context, noisy[..., None], times, settings=settings, name=name)
        error = _by_step(model, test, clean, times, hidden, own.unit)
        rows[f"{cell}, {name}"] = _horizon(error, variance)
        curves[f"{name}: MSE by step ahead"] = error.tolist()
    held = np.square(test[:, -_AHEAD - 1, None] - clean[:, -_AHEAD:]).mean(0)
    rows[f"{cell}, last value"] = _horizon(held, variance)
    mean = np.square(test[:, :-_AHEAD].mean(1, keepdims=True) - clean[:, -_AHEAD:]).mean(0)
    rows[f"{cell}, mean of the seen"] = _horizon(mean, variance)
    return Outcome(rows, curves)


def _by_step(
    model: MaskedTokens,
    test: Array,
    clean: Array,
    times: Array,
    hidden: NDArray[np.bool_],
    unit: float,
) -> Array:
    guess = predict(model, test[..., None], times, hidden, unit)[..., 0]
    return np.asarray(np.square(guess - clean)[:, -_AHEAD:].mean(0))


def _horizon(error: Array, variance: float) -> dict[str, float]:
    """Return mean errors and the trust region, in steps ahead."""
    beyond = np.flatnonzero(error > _TRUSTED * variance)
    return {
        "MSE / variance": float(error.mean()) / variance,
        "trusted steps ahead": float(beyond[0] if len(beyond) else _AHEAD),
    }


_KINDS = ("waves", "trend and wave", "smooth curves")
_OWN = MaskedSettings(train=4_000, validation=200, test=1_000, steps=1_200, lr=2e-3, unit=0.0025,
                      cls=True)  # fmt: skip
HORIZON = Experiment(
    name="romae-extrapolation",
    title="Appendix B.3: the last 30 of 100 steps, by kind of mask in training",
    settings={
        "quick": _OWN.model_copy(update={"steps": 15, "train": 200, "test": 50}),
        "medium": _OWN,
        "full": _OWN.model_copy(update={"steps": 20_000}),
    },
    seeds={"quick": 1, "medium": 3, "full": 3},
    cells={"quick": _KINDS[:1], "medium": _KINDS, "full": _KINDS},
    cost={"quick": "10 s", "medium": "4 min a cell and seed", "full": "an hour a cell and seed"},
    run=_run,
    comparisons=tuple(
        Comparison(f"{kind}, {END}", f"{kind}, {UNIFORM}", "MSE / variance") for kind in _KINDS
    ),
    goal="how far ahead an answer can be trusted, and whether masks at the end help",
    notes=(
        "Errors are to the clean series. A forecast is trusted while its error is below half of "
        f"the variance, {_AHEAD} steps at most. Smooth curves have no future beyond their "
        "correlation: the mean is the best there.",
    ),
)
