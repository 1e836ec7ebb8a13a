"""HiMAE, arXiv 2510.25785: sizes, encoder, objective and the recipe of a pre-training."""

from __future__ import annotations

import logging
from typing import Any, Literal

from caesura.decoders.conv_pyramid import ConvDecoder, ConvDecoderConfig
from caesura.encoders.conv_pyramid import ConvPyramid, ConvPyramidConfig
from caesura.errors import RecipeError
from caesura.nn.conv import hops
from caesura.objectives.masked_grid import MaskedGrid, MaskedGridConfig

log = logging.getLogger("caesura")
Size = Literal["base", "small"]

SIZES: dict[str, tuple[int, ...]] = {"base": (16, 32, 64, 128, 256), "small": (16, 32, 64, 128)}
"""Widths of the levels: 1,245,953 parameters, and 309,889 (encoder and decoder, one channel)."""


def encoder(size: Size = "base", *, channels: int = 1, **settings: Any) -> ConvPyramid:
    """Build HiMAE's encoder; further settings are those of `ConvPyramidConfig`."""
    if size not in SIZES:
        raise RecipeError(f"unknown size {size!r}; known: {', '.join(SIZES)}")
    _known(settings, ConvPyramidConfig)
    return ConvPyramid(
        ConvPyramidConfig(**{"widths": SIZES[size], "channels": channels, **settings})
    )


def objective(encoder: ConvPyramid, *, skips: bool = True, **settings: Any) -> MaskedGrid:
    """Build masked autoencoding around an encoder, with HiMAE's decoder.

    `objective(batch, rng)` is a Loss; the batch holds a Grid. Further settings are those of
    `MaskedGridConfig`.
    """
    _known(settings, MaskedGridConfig)
    own, config = encoder.config, MaskedGridConfig(**settings)
    reads = ConvDecoderConfig(
        channels=own.channels,
        widths=own.widths,
        kernel=own.kernel,
        strides=own.strides,
        norm=own.norm,
        skips=skips,
        output="tanh" if config.scale_from == "window" and own.kind == "min-max" else "linear",
    )
    return MaskedGrid(encoder, ConvDecoder(reads), config)


def recipe(size: Size = "base") -> dict[str, Any]:
    """Return the recipe `himae` or `himae-small`, without what the data decide (channels).

    lr and weight decay are the paper's; it trains 300 epochs of batches of 1,024 windows, and
    stops after 3 without a better validation. `batch_tokens` counts samples.
    """
    return {
        "name": "himae" if size == "base" else f"himae-{size}",
        "encoder": {"type": "conv_pyramid", "widths": list(SIZES[size])},
        "stages": [
            {
                "objective": {"type": "masked_grid"},
                "decoder": {"type": "conv_pyramid", "widths": list(SIZES[size])},
            }
        ],
        "training": {
            "epochs": 30,
            "patience": 6,
            "lr": 1e-3,
            "weight_decay": 1e-3,
            "betas": [0.9, 0.999],
            "batch_tokens": 64_000,
        },
    }


def shape_of(config: ConvPyramidConfig, window: int) -> dict[str, Any]:
    """Return the widths and strides of the levels whose step is no longer than a window.

    The others would have one place, of a step that reaches beyond every window.
    """
    fits = sum(hop <= window for hop in hops(config.steps))
    if fits == len(config.widths):
        return {}
    if not fits:
        raise RecipeError(
            f"windows of {window} steps are shorter than the step of the finest level, "
            f"{config.steps[0]}; choose --window of that at least, or smaller encoder.strides"
        )
    log.warning(
        "windows of %d steps: levels of steps of %s are left out; a longer --window keeps them",
        window,
        ", ".join(map(str, hops(config.steps)[fits:])),
    )
    return {"widths": config.widths[:fits], "strides": config.strides[:fits]}


def check_patches(config: MaskedGridConfig, rate_hz: float, window: int) -> None:
    """Raise a RecipeError where a window holds a single patch, so that nothing can be hidden."""
    patch = max(1, round(config.patch_ms * rate_hz / 1000))
    if window <= patch:
        raise RecipeError(
            f"windows of {window} steps hold one patch of {patch}, of which nothing can be hidden; "
            f"choose --window of {patch + 1} steps at least"
            + (", or a smaller stages.0.objective.patch_ms" if patch > 1 else "")
        )


def _known(settings: dict[str, Any], config: type[Any]) -> None:
    unknown = set(settings) - set(config.model_fields)
    if unknown:
        known = ", ".join(sorted(config.model_fields))
        raise RecipeError(f"unknown settings {', '.join(sorted(unknown))}; known: {known}")
