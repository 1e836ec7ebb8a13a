"""The arms that are looked at closer: the best two objectives of each family.

Generative and latent, each under its best augmentation, by the trials of `dividend.rates`: nothing
that is reported has a say in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from caesura.recipes.dividend import GENERATIVE, LATENT
from caesura.reproduce.dividend.encoders import DividendSettings, pretrained, random_encoder
from caesura.reproduce.dividend.rates import chosen_arm, chosen_rate, split_cell
from caesura.reproduce.experiment import Context

ARMS: dict[str, tuple[Sequence[str], int]] = {
    "best generative": (GENERATIVE, 0),
    "second generative": (GENERATIVE, 1),
    "best latent": (LATENT, 0),
    "second latent": (LATENT, 1),
}
UNTRAINED = "never trained"


def chosen_encoder(place: str, context: Context) -> tuple[str, nn.Module, dict[str, float]]:
    """Return the arm of a key of ARMS, its encoder and what it cost.

    The encoder is the kept one of the frozen study, where that has been run. UNTRAINED: one that
    looks both ways, as its seed draws it.
    """
    settings: DividendSettings = context.settings
    if place == UNTRAINED:
        return place, random_encoder("masked_tokens", settings, context.seed), {}
    arm = chosen_arm(*ARMS[place], context)
    objective, view = split_cell(arm)
    rate = chosen_rate(arm, context)
    encoder, cost = pretrained(objective, view, rate, settings, context)
    return arm, encoder, cost
