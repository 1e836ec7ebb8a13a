"""Forecasts 96 to 720 steps ahead by the frozen encoders of the study, beside DLinear.

The arms are those that are fine-tuned (`dividend.arms`), chosen outside the report; their
encoders are the kept ones of the frozen study where it has been run.
"""

from __future__ import annotations

from caesura.reproduce.dividend.arms import ARMS, UNTRAINED, chosen_encoder
from caesura.reproduce.dividend.encoders import DividendSettings
from caesura.reproduce.dividend.rates import DATA, QUICK, SETTINGS
from caesura.reproduce.dividend.sets import forecasting_set
from caesura.reproduce.experiment import Context, Experiment, Outcome

DLINEAR = "DLinear"
STEPS = (96, 192, 336, 720)
SETS = ("ETTh1", "ETTm1", "bike_sharing")
METRICS = ("skill", "MSE", "MAE")


def _forecast(cell: str, context: Context) -> Outcome:
    """Score an encoder, or DLinear, at every horizon."""
    settings: DividendSettings = context.settings
    row, encoder, _ = (cell, None, {}) if cell == DLINEAR else chosen_encoder(cell, context)
    small, root = settings.steps <= QUICK.steps, context.file("forecasting").parent
    found: dict[str, float] = {}
    for name in SETS[2:] if small else SETS:
        for steps in STEPS[:1] if small else STEPS:
            errors = forecasting_set(name, root, steps).tags["errors"](encoder)
            found |= {f"{name} {steps} {metric}": errors[metric] for metric in METRICS}
    return Outcome({row: found})


_CELLS = (DLINEAR, UNTRAINED, *ARMS)
HORIZONS = Experiment(
    name="dividend-horizons",
    title="Forecasts 96 to 720 steps ahead, frozen, beside DLinear (arXiv 2605.19462)",
    settings=SETTINGS,
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells={"quick": (DLINEAR, "best latent"), "medium": _CELLS, "full": _CELLS},
    cost={"quick": "20 s", "medium": "30 minutes", "full": "days on a GPU"},
    run=_forecast,
    data=DATA,
    goal="whether the horizon changes what pre-training is worth",
    notes=(
        "Lookback 336, LTSF's bounds, one channel at a time, the last window kept; windows are "
        "thinned to about 6,000 a set, so that MSE is close to that of all windows, not equal.",
        "The encoder never trained looks both ways, as all arms but next_patch and denoise.",
    ),
)
