"""Table 7, spirals: 30 of 75 noisy points of a spiral with two parameters; predict the others.

arXiv 2505.20535, sec. 5.5, D.7. The public code draws training and test curves from one seed,
so that they repeat; here test spirals are fresh, and the error is that to the clean curve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.data.synthetic.spirals import Spirals, spirals
from caesura.reproduce.experiment import Context, Experiment, Outcome, Published
from caesura.reproduce.romae.masked import MaskedSettings, predict, random_hidden, train_masked

_HIDDEN = 45


def _run(cell: str, context: Context) -> Outcome:
    own: MaskedSettings = context.settings
    train = spirals(own.train, 100 + context.seed)
    validation = spirals(own.validation, 50_100 + context.seed)
    test = spirals(own.test, 90_100 + context.seed)
    noisy = np.concatenate([train.noisy, validation.noisy])
    scale = float(train.noisy.std())
    rng = np.random.default_rng(90_600 + context.seed)
    steps = len(train.times)
    hidden = random_hidden(rng, own.test, steps, np.full(own.test, steps - _HIDDEN))
    model = train_masked(context, noisy / scale, train.times)
    ours = predict(model, test.noisy / scale, test.times, hidden, own.unit) * scale
    methods = {
        "RoMAE": ours,
        "limit: the two parameters, known prior": _oracle(test, hidden),
        "class mean curve": _mean_curve(test),
        "linear": _linear(test, hidden),
    }
    rows = {
        name: {
            "RMSE to the clean curve": _rmse(guess, test.clean, hidden),
            "RMSE to noisy points": _rmse(guess, test.noisy, hidden),
        }
        for name, guess in methods.items()
    }
    return Outcome(rows)


def _rmse(
    guess: NDArray[np.float64], truth: NDArray[np.float64], hidden: NDArray[np.bool_]
) -> float:
    return float(np.sqrt(np.square(guess - truth)[hidden].mean()))


def _curve(test: Spirals, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    z = 1.0 + test.times
    turned = test.clockwise[:, None]
    angle = np.where(turned, z, test.times)
    radius = np.where(turned, a[:, None] + 50 * b[:, None] / z, a[:, None] + b[:, None] * angle)
    side = np.where(turned, -5.0, 5.0)
    return np.stack([radius * np.cos(angle) + side, radius * np.sin(angle)], axis=-1)


def _mean_curve(test: Spirals) -> NDArray[np.float64]:
    count = len(test.clockwise)
    return _curve(test, np.zeros(count), np.full(count, 0.3))


def _oracle(
    test: Spirals, hidden: NDArray[np.bool_], noise: float = 0.1, spread: float = 0.02
) -> NDArray[np.float64]:
    """Return curves of the posterior mean of (a, b): the curve is linear in both."""
    origin = _curve(test, np.zeros(len(hidden)), np.zeros(len(hidden)))
    in_a = _curve(test, np.ones(len(hidden)), np.zeros(len(hidden))) - origin
    in_b = _curve(test, np.zeros(len(hidden)), np.ones(len(hidden))) - origin
    result = np.empty_like(test.clean)
    prior = np.array([0.0, 0.3])
    for row, lost in enumerate(hidden):
        seen = ~lost
        design = np.stack([in_a[row][seen].ravel(), in_b[row][seen].ravel()], axis=1)
        rest = (test.noisy[row] - origin[row])[seen].ravel()
        precision = design.T @ design / noise**2 + np.eye(2) / spread**2
        found = np.linalg.solve(precision, design.T @ rest / noise**2 + prior / spread**2)
        result[row] = origin[row] + found[0] * in_a[row] + found[1] * in_b[row]
    return result


def _linear(test: Spirals, hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    result = np.empty_like(test.clean)
    for row, lost in enumerate(hidden):
        for axis in (0, 1):
            seen = test.noisy[row, ~lost, axis]
            result[row, :, axis] = np.interp(test.times, test.times[~lost], seen)
    return result


_OWN = MaskedSettings(
    train=200,
    validation=200,
    test=1_000,
    mask_ratio=0.6,
    steps=4_500,
    lr=2e-3,
    unit=1.0,
    cls=True,
    absolute_positions=True,
)
SPIRALS = Experiment(
    name="romae-spirals",
    title="Table 7, spirals: 45 of 75 points hidden, RMSE a coordinate",
    settings={
        "quick": _OWN.model_copy(update={"steps": 60, "test": 100}),
        "medium": _OWN,
        "full": _OWN.model_copy(
            update={"width": 180, "heads": 3, "depth": 12, "decoder_width": 180,
                    "decoder_heads": 3, "decoder_depth": 12, "steps": 3_500, "lr": 1e-3,
                    "cls": False, "absolute_positions": False}
        ),
    },
    seeds={"quick": 1, "medium": 3, "full": 10},
    cells=dict.fromkeys(("quick", "medium", "full"), ("spirals",)),
    cost={"quick": "5 s", "medium": "9 min a seed", "full": "1 h a seed"},
    run=_run,
    published={("RoMAE", "RMSE to the clean curve"): Published(0.0183, 0.007)},
    goal="0.03 or less to the clean curve, twice the limit of 0.015",
    notes=(
        "The paper's 0.0183 cannot be an error against noisy points, whose noise alone is 0.1; it "
        "equals what fitting the two parameters to 30 points leaves, and its code's test curves "
        "repeat its training curves. Here all test spirals are fresh.",
        "Medium: [CLS], and sines and cosines besides the rotation (a curve that depends on "
        "absolute time needs them), chosen on another seed. Full: the paper's model.",
    ),
)  # fmt: skip
