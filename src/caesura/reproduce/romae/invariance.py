"""Proposition 4.2 and corollary 4.1: what a shift of all positions does, with and without [CLS].

arXiv 2505.20535, sec. 4.3. Without [CLS] the encoder sees differences alone and a shift changes
nothing but rounding; with it the outputs move. That they suffice to reconstruct positions is
shown by `romae-positions`.
"""

from __future__ import annotations

import dataclasses

import torch

from caesura.recipes import romae
from caesura.recipes.build import seeded
from caesura.reproduce.experiment import Context, Experiment, Outcome, Settings
from caesura.training.inference import evaluating
from caesura.types import Tokens


class InvarianceSettings(Settings):
    """Series and tokens of the check."""

    series: int = 32
    tokens: int = 50
    size: romae.Size = "tiny"


def _run(cell: str, context: Context) -> Outcome:
    own: InvarianceSettings = context.settings
    rng = torch.Generator().manual_seed(context.seed)
    shape = (own.series, own.tokens, 1)
    tokens = Tokens(
        torch.randn(shape, generator=rng),
        torch.ones(shape, dtype=torch.bool),
        50 * torch.rand(shape, generator=rng),
        torch.ones(shape[:2], dtype=torch.bool),
    )
    with seeded(context.seed):
        encoder = romae.encoder(own.size, cls=cell == "[CLS]")
    rows = {}
    with evaluating(encoder):
        plain = encoder(tokens).levels[-1].features
        for shift in (1.0, 1e4, 1e6):
            moved = dataclasses.replace(tokens, positions=tokens.positions + shift)
            gap = (encoder(moved).levels[-1].features - plain).abs().max() / plain.std()
            rows[f"{cell}, shift {shift:g}"] = {"largest change / deviation": float(gap)}
    return Outcome(rows)


_CELLS = ("[CLS]", "no [CLS]")
INVARIANCE = Experiment(
    name="romae-invariance",
    title="Corollary 4.1: how far outputs move when all positions are shifted",
    settings=dict.fromkeys(("quick", "medium", "full"), InvarianceSettings()),
    seeds={"quick": 1, "medium": 3, "full": 5},
    cells=dict.fromkeys(("quick", "medium", "full"), _CELLS),
    cost=dict.fromkeys(("quick", "medium", "full"), "5 s"),
    run=_run,
    goal="without [CLS] rounding alone",
    notes=(
        "Positions are float32: at 1e6 their own steps are 0.06, which is what moves there. The "
        "data door subtracts each series' origin before any rounding.",
    ),
)
