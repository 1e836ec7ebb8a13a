"""HiMAE, arXiv 2510.25785: sizes, encoder, objective and the recipe of a pre-training."""

from __future__ import annotations

from typing import Any, Literal

from caesura.decoders.conv_pyramid import ConvDecoder, ConvDecoderConfig
from caesura.encoders.conv_pyramid import ConvPyramid, ConvPyramidConfig
from caesura.errors import RecipeError
from caesura.objectives.masked_grid import MaskedGrid, MaskedGridConfig

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


def _known(settings: dict[str, Any], config: type[Any]) -> None:
    unknown = set(settings) - set(config.model_fields)
    if unknown:
        known = ", ".join(sorted(config.model_fields))
        raise RecipeError(f"unknown settings {', '.join(sorted(unknown))}; known: {known}")
