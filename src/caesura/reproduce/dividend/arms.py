"""The arms that are looked at closer: the best two objectives of each kind, and of each family.

Generative and latent by all trials of `dividend.rates`; of a family of tasks by the trials on its
own sets there. Each under its best augmentation, and nothing that is reported has a say in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from caesura.recipes.dividend import GENERATIVE, LATENT, OBJECTIVES
from caesura.reproduce.dividend.encoders import DividendSettings, pretrained, random_encoder
from caesura.reproduce.dividend.rates import chosen_arm, chosen_rate, sets_of, split_cell
from caesura.reproduce.dividend.sets import CHOICE, Family, family_of
from caesura.reproduce.experiment import Context

ARMS: dict[str, tuple[Sequence[str], int]] = {
    "best generative": (GENERATIVE, 0),
    "second generative": (GENERATIVE, 1),
    "best latent": (LATENT, 0),
    "second latent": (LATENT, 1),
}
PLACES = ("best", "second")
UNTRAINED = "never trained"


def chosen_encoder(place: str, context: Context) -> tuple[str, nn.Module, dict[str, float]]:
    """Return the arm of a key of ARMS, its encoder and what it cost.

    The encoder is the kept one of the frozen study, where that has been run. UNTRAINED: one that
    looks both ways, as its seed draws it.
    """
    if place == UNTRAINED:
        return place, random_encoder("masked_tokens", context.settings, context.seed), {}
    return _encoder_of(chosen_arm(*ARMS[place], context), context)


def chosen_for(
    family: Family, place: str, context: Context
) -> tuple[str, nn.Module, dict[str, float]]:
    """Return the same of a place in PLACES among all objectives, by one family's trials."""
    judges = [name for name in sets_of(CHOICE, context) if family_of(name) == family]
    return _encoder_of(chosen_arm(OBJECTIVES, PLACES.index(place), context, judges), context)


def _encoder_of(arm: str, context: Context) -> tuple[str, nn.Module, dict[str, float]]:
    settings: DividendSettings = context.settings
    objective, view = split_cell(arm)
    rate = chosen_rate(arm, context)
    encoder, cost = pretrained(objective, view, rate, settings, context)
    return arm, encoder, cost
