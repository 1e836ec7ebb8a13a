"""Experiments by name; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from caesura.errors import RecipeError
from caesura.reproduce.experiment import Experiment

_PLACES = {
    "romae-positions": "romae.positions:POSITIONS",
    "romae-ranges": "romae.positions:RANGES",
    "romae-images": "romae.images:IMAGES",
    "romae-audio": "romae.audio:AUDIO",
    "romae-lightcurves": "romae.light_curves:LIGHT_CURVES",
    "romae-pendulum": "romae.pendulum:PENDULUM",
    "romae-uea": "romae.uea:UEA",
    "romae-spirals": "romae.spirals:SPIRALS",
    "romae-synthetic": "romae.synthetic:SYNTHETIC",
    "romae-physionet": "romae.physionet:PHYSIONET",
    "romae-speed": "romae.speed:SPEED",
    "romae-frequencies": "romae.frequencies:FREQUENCIES",
    "romae-extrapolation": "romae.horizon:HORIZON",
    "romae-options": "romae.options:OPTIONS",
    "romae-chunks": "romae.chunks:CHUNKS",
    "romae-invariance": "romae.invariance:INVARIANCE",
    "himae-resolution": "himae.resolution:RESOLUTION",
    "himae-generative": "himae.generative:GENERATIVE",
    "himae-pvc": "himae.pvc:PVC",
    "himae-heart-rate": "himae.heart_rate:HEART_RATE",
    "himae-activity": "himae.activity:ACTIVITY",
    "himae-ablation": "himae.ablation:ABLATION",
    "dividend-rates": "dividend.rates:RATES",
    "dividend-frozen": "dividend.frozen:FROZEN",
    "dividend-tuned": "dividend.tuned:TUNED",
    "dividend-tuned-families": "dividend.tuned_families:TUNED_FAMILIES",
    "dividend-horizons": "dividend.horizons:HORIZONS",
    "dividend-resamples": "dividend.resamples:RESAMPLES",
    "dividend-origin": "dividend.origin:ORIGIN",
    "timemar-24": "timemar.short:SHORT",
    "timemar-legacy": "timemar.legacy:LEGACY",
    "timemar-ablation": "timemar.ablation:ABLATION",
}


def names() -> tuple[str, ...]:
    """Return the names of all experiments, in the order of their papers."""
    return tuple(_PLACES)


def find(name: str) -> Experiment:
    """Return an experiment, or a RecipeError that lists the known ones."""
    if name not in _PLACES:
        raise RecipeError(f"unknown experiment {name!r}; known: list, {', '.join(_PLACES)}")
    module, _, attribute = _PLACES[name].partition(":")
    found: Experiment = getattr(import_module(f"caesura.reproduce.{module}"), attribute)
    return found
