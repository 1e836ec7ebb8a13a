"""Appendix B.4: up to which frequency an interpolation keeps a wave.

arXiv 2505.20535, B.4. Waves of one or two whole-number frequencies up to 24 over [0, 1], 100
noisy points, half of them hidden; errors in time and of the spectrum. The even sampling's limit
is 25; the paper sees errors grow from 9 on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.data.synthetic.waves import waves
from caesura.objectives.masked_tokens import MaskedTokens
from caesura.reproduce.experiment import Context, Experiment, Outcome
from caesura.reproduce.romae.masked import MaskedSettings, predict, random_hidden, train_masked

_TIMES = np.linspace(0.0, 1.0, 100)
_HIGHEST, _NOISE = 24, 0.1
_BROKEN = 0.1
"""A frequency is lost where the error beyond the noise exceeds this share of the variance."""
OURS, PAPER = "rotary unit from the sampling", "times in [0, 1] (paper)"
_PAIRS = ((1, 5), (1, 12), (1, 24), (5, 12), (12, 18), (12, 24), (18, 24))

Array = NDArray[np.float64]


def _run(cell: str, context: Context) -> Outcome:
    own: MaskedSettings = context.settings
    own = own.model_copy(update={"unit": 0.0025 if cell == OURS else 1.0})
    rng = np.random.default_rng(100 + context.seed)
    count = own.train + own.validation
    modes = rng.integers(0, _HIGHEST + 1, (count, 2)).astype(np.float64)
    modes[rng.random(count) < 0.5, 1] = np.nan
    noisy = waves(modes, _TIMES, rng) + _NOISE * rng.standard_normal((count, len(_TIMES)))
    model = train_masked(context, noisy[..., None], _TIMES, settings=own)
    test = np.random.default_rng(90_000 + context.seed)
    rows: dict[str, dict[str, float]] = {}
    curves: dict[str, list[float]] = {}
    for shape in ("sine", "square", "cycloid"):
        found = [_errors(model, own, np.array([f]), shape, test) for f in range(1, _HIGHEST + 1)]
        lost = [f for f, one in enumerate(found, start=1) if one["share"] > _BROKEN]
        rows[f"{shape}, {cell}"] = {
            "lowest frequency lost": float(lost[0] if lost else _HIGHEST + 1),
            "MSE, frequencies 1 to 8": float(np.mean([one["time"] for one in found[:8]])),
            "MSE, frequencies 9 to 24": float(np.mean([one["time"] for one in found[8:]])),
            "spectrum MSE": float(np.mean([one["spectrum"] for one in found])),
        }
        curves[f"{shape}: MSE by frequency"] = [one["time"] for one in found]
        curves[f"{shape}: spectrum MSE by frequency"] = [one["spectrum"] for one in found]
    pairs = [_errors(model, own, np.array(pair), "sine", test) for pair in _PAIRS]
    rows[f"two sines, {cell}"] = {
        f"MSE, {low} and {high}": one["time"]
        for (low, high), one in zip(_PAIRS, pairs, strict=True)
    }
    return Outcome(rows, curves)


def _errors(
    model: MaskedTokens, own: MaskedSettings, modes: Array, shape: str, rng: np.random.Generator
) -> dict[str, float]:
    """Return errors of waves of given frequencies: of hidden noisy points, and of the spectrum."""
    frequencies = np.tile(modes.astype(np.float64), (own.test, 1))
    clean = waves(frequencies, _TIMES, rng, shape)
    noisy = clean + _NOISE * rng.standard_normal(clean.shape)
    hidden = random_hidden(rng, own.test, len(_TIMES), np.full(own.test, len(_TIMES) // 2))
    guess = predict(model, noisy[..., None], _TIMES, hidden, own.unit)[..., 0]
    time = float(np.square(guess - noisy)[hidden].mean())
    filled = np.where(hidden, guess, noisy)
    gap = _spectrum(filled) - _spectrum(noisy)
    share = (time - _NOISE**2) / float(clean.var())
    return {"time": time, "spectrum": float(np.square(gap).mean()), "share": share}


def _spectrum(series: Array) -> Array:
    """Return the single-sided amplitude spectrum."""
    return np.asarray(2 * np.abs(np.fft.rfft(series, axis=1)) / series.shape[1])


_OWN = MaskedSettings(train=10_000, validation=320, test=200, steps=2_500, cls=True)
FREQUENCIES = Experiment(
    name="romae-frequencies",
    title="Appendix B.4: errors by frequency, half of 100 points hidden",
    settings={
        "quick": _OWN.model_copy(update={"train": 500, "steps": 30, "test": 20}),
        "medium": _OWN,
        "full": _OWN.model_copy(
            update={"width": 180, "heads": 3, "depth": 12, "decoder_width": 180,
                    "decoder_heads": 3, "decoder_depth": 12, "steps": 62_500}
        ),
    },
    seeds={"quick": 1, "medium": 3, "full": 3},
    cells={"quick": (OURS,), "medium": (OURS, PAPER), "full": (OURS, PAPER)},
    cost={"quick": "10 s", "medium": "5 min a cell and seed", "full": "days on a CPU"},
    run=_run,
    goal="the frequency where interpolation breaks, beside the paper's 9",
    notes=(
        f"Lost: the error beyond the noise exceeds {_BROKEN:.0%} of the wave's variance, a rule of "
        "ours; the paper says that its error grows about linearly above 9. "
        f"{_HIGHEST + 1} means that none is lost.",
        "The model learns from sines alone; square waves and cycloids are other shapes.",
    ),
)  # fmt: skip
