"""Table 7, synthetic: 3 to 10 of 50 noisy points of a smooth curve; predict the others.

arXiv 2505.20535, sec. 5.5, D.8. The generator is linear and normal, so the best possible
predictor is known: errors are shown as ratios to it on the same series and masks.
"""

from __future__ import annotations

import numpy as np

from caesura.data.synthetic.smooth import hetvae_curves, romae_curves
from caesura.reproduce.experiment import Context, Experiment, Outcome, Published
from caesura.reproduce.romae.masked import MaskedSettings, predict, random_hidden, train_masked

_GENERATORS = {"HeTVAE's grid": hetvae_curves, "grid of RoMAE's code": romae_curves}
LEAST, MOST = 3, 10


def _run(cell: str, context: Context) -> Outcome:
    own: MaskedSettings = context.settings
    curves = _GENERATORS[cell]()
    _, noisy = curves.draw(own.train + own.validation, 100 + context.seed)
    _, test = curves.draw(own.test, 90_000 + context.seed)
    rng = np.random.default_rng(90_500 + context.seed)
    hidden = random_hidden(rng, own.test, test.shape[1], rng.integers(LEAST, MOST + 1, own.test))
    steps = test.shape[1]
    # the share hidden is uniform over exactly 3 to 10 observed ones: ceil(ratio x steps)
    model = train_masked(
        context,
        noisy[..., None],
        curves.times,
        settings=own.model_copy(
            update={"mask_ratio": 1 - (MOST + 1) / steps, "mask_ratio_to": 1 - LEAST / steps}
        ),
    )
    ours = predict(model, test[..., None], curves.times, hidden, own.unit)[..., 0]
    best = curves.best(test, ~hidden)
    linear = np.stack(
        [np.interp(curves.times, curves.times[~h], y[~h])
         for y, h in zip(test, hidden, strict=True)]
    )  # fmt: skip
    errors = {}
    for name, guess in (("ours", ours), ("best", best), ("linear", linear), ("0", 0 * test)):
        squares = np.where(hidden, np.square(np.nan_to_num(guess) - test), 0.0)
        errors[name] = float((squares.sum(1) / hidden.sum(1)).mean())
    return Outcome(
        {
            f"RoMAE, {cell}": {
                "MSE": errors["ours"],
                "MSE / limit": errors["ours"] / errors["best"],
            },
            f"limit (closed form), {cell}": {"MSE": errors["best"]},
            f"linear, {cell}": {"MSE": errors["linear"]},
            f"zero, {cell}": {"MSE": errors["0"]},
        }
    )


_OWN = MaskedSettings(unit=0.01, steps=5_000)
SYNTHETIC = Experiment(
    name="romae-synthetic",
    title="Table 7, synthetic: 3 to 10 of about 50 points observed, MSE on the others",
    settings={
        "quick": _OWN.model_copy(update={"steps": 60, "test": 200}),
        "medium": _OWN,
        "full": _OWN.model_copy(
            update={"width": 180, "heads": 3, "depth": 12, "decoder_width": 180,
                    "decoder_heads": 3, "decoder_depth": 2, "steps": 10_000, "batch": 8}
        ),
    },
    seeds={"quick": 1, "medium": 5, "full": 5},
    cells={"quick": tuple(_GENERATORS)[:1], "medium": tuple(_GENERATORS),
           "full": tuple(_GENERATORS)},
    cost={"quick": "5 s", "medium": "5 min a cell and seed", "full": "30 min a cell and seed"},
    run=_run,
    published={("RoMAE, HeTVAE's grid", "MSE"): Published(0.233, 0.007)},
    goal="1.04 of the limit or less with 1,600 training series (the paper: 1.14 to 1.22)",
    notes=(
        "HeTVAE prints 0.223 +- 0.070. Test series are fresh, 5,000 a seed; the number observed "
        "is drawn for each series. The errors are averaged by series, against noisy values.",
        "The rotary unit is 0.01 of the span; with the paper's times in [0, 1] less is learned.",
    ),
)  # fmt: skip
