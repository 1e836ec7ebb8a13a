"""RoMAE, arXiv 2505.20535: sizes, encoder, objective and the recipe of a pre-training."""

from __future__ import annotations

from typing import Any, Literal

from caesura.decoders.point_transformer import PointDecoder, PointDecoderConfig
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.errors import RecipeError
from caesura.objectives.masked_tokens import MaskedTokens, MaskedTokensConfig

Size = Literal["tiny-shallow", "tiny", "small", "base"]

SIZES: dict[str, dict[str, int]] = {
    "tiny-shallow": {"width": 180, "heads": 3, "depth": 2},
    "tiny": {"width": 180, "heads": 3, "depth": 12},
    "small": {"width": 432, "heads": 6, "depth": 12},
    "base": {"width": 720, "heads": 12, "depth": 12},
}
"""Width, heads and depth of the paper's sizes (its Table 8)."""


def encoder(
    size: Size = "tiny",
    *,
    position_axes: int = 1,
    values_per_token: int = 1,
    cls: bool = True,
    channels: int = 0,
    **settings: Any,
) -> PointTransformer:
    """Build RoMAE's encoder in one of the paper's sizes.

    position_axes: numbers that place a token, e.g. 2 for (time, channel). values_per_token:
    elements of a token. channels: entries of the channel embedding (0, the paper: none).
    Further settings are those of `PointTransformerConfig`; an unknown one is a RecipeError.
    """
    unknown = set(settings) - set(PointTransformerConfig.model_fields)
    if unknown:
        known = ", ".join(sorted(PointTransformerConfig.model_fields))
        raise RecipeError(f"unknown settings {', '.join(sorted(unknown))}; known: {known}")
    chosen = _size(size) | settings
    return PointTransformer(
        PointTransformerConfig(
            position_axes=position_axes,
            values_per_token=values_per_token,
            cls=cls,
            channels=channels,
            **chosen,
        )
    )


def objective(
    encoder: PointTransformer,
    *,
    mask_ratio: float = 0.75,
    decoder: Size = "tiny-shallow",
    **settings: Any,
) -> MaskedTokens:
    """Build masked autoencoding around an encoder, with RoMAE's decoder ("tiny-shallow").

    `objective(batch, rng)` is a Loss. Further settings are those of `MaskedTokensConfig`.
    """
    unknown = set(settings) - set(MaskedTokensConfig.model_fields)
    if unknown:
        known = ", ".join(sorted(MaskedTokensConfig.model_fields))
        raise RecipeError(f"unknown settings {', '.join(sorted(unknown))}; known: {known}")
    own = encoder.config
    reads = PointDecoderConfig(
        encoder_width=own.width,
        position_axes=own.position_axes,
        values_per_token=own.values_per_token,
        channels=own.channels,
        absolute_positions=own.absolute_positions,
        rope_fraction=own.rope_fraction,
        **_size(decoder),
    )
    config = MaskedTokensConfig(mask_ratio=mask_ratio, **settings)
    return MaskedTokens(encoder, PointDecoder(reads), config)


def recipe() -> dict[str, Any]:
    """Return the recipe `romae`, without what the data decide (axes, channels, unit).

    A small model: 96 wide, 3 layers, decoder of 1, as measured trials on a CPU chose
    (docs/log.md); `romae-tiny`, `-small` and `-base` have the paper's sizes.
    """
    return {
        "name": "romae",
        "encoder": {"type": "point_transformer", "width": 96, "heads": 3, "depth": 3},
        "stages": [
            {
                "objective": {"type": "masked_tokens", "mask_ratio": 0.5},
                "decoder": {"type": "point_transformer", "width": 96, "heads": 3, "depth": 1},
            }
        ],
        "training": {"epochs": 30, "patience": 6},
    }


def paper_recipe(size: Size) -> dict[str, Any]:
    """Return a recipe of the paper's size: ratio 0.75, tiny-shallow decoder, lr 3e-4."""
    stage = {
        "objective": {"type": "masked_tokens", "mask_ratio": 0.75},
        "decoder": {"type": "point_transformer", **SIZES["tiny-shallow"]},
    }
    return {
        "name": f"romae-{size}",
        "encoder": {"type": "point_transformer", **SIZES[size]},
        "stages": [stage],
        "training": {"epochs": 400, "lr": 3e-4, "betas": [0.9, 0.95], "weight_decay": 0.05},
    }


def _size(size: str) -> dict[str, int]:
    if size not in SIZES:
        raise RecipeError(f"unknown size {size!r}; known: {', '.join(SIZES)}")
    return SIZES[size]
