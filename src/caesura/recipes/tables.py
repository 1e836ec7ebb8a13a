"""Names to classes: adding a method is one file and one row here."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from caesura.decoders.conv_pyramid import ConvDecoder, ConvDecoderConfig
from caesura.decoders.cross_attention import CrossDecoder, CrossDecoderConfig
from caesura.decoders.dual_path import DualPathDecoder, DualPathDecoderConfig
from caesura.decoders.point_transformer import PointDecoder, PointDecoderConfig
from caesura.encoders.conv_pyramid import ConvPyramid, ConvPyramidConfig
from caesura.encoders.dual_path import DualPathEncoder, DualPathEncoderConfig
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.errors import RecipeError
from caesura.objectives.denoise import Denoise, DenoiseConfig
from caesura.objectives.dino import Dino, DinoConfig
from caesura.objectives.distil import Distil, DistilConfig
from caesura.objectives.jepa import Jepa, JepaConfig
from caesura.objectives.lejepa import Lejepa, LejepaConfig
from caesura.objectives.masked_grid import MaskedGrid, MaskedGridConfig
from caesura.objectives.masked_tokens import MaskedTokens, MaskedTokensConfig
from caesura.objectives.next_patch import NextPatch, NextPatchConfig
from caesura.objectives.next_scale import NextScale, NextScaleConfig
from caesura.objectives.sampling_times import SamplingTimes, SamplingTimesConfig
from caesura.objectives.scale_tokens import ScaleTokens, ScaleTokensConfig
from caesura.objectives.sum import Sum, SumConfig
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.objectives.token_regression import TokenRegression, TokenRegressionConfig
from caesura.objectives.vicreg import Vicreg, VicregConfig

ENCODERS: dict[str, tuple[type[Any], type[BaseModel]]] = {
    "point_transformer": (PointTransformer, PointTransformerConfig),
    "conv_pyramid": (ConvPyramid, ConvPyramidConfig),
    "dual_path": (DualPathEncoder, DualPathEncoderConfig),
}
DECODERS: dict[str, tuple[type[Any], type[BaseModel]]] = {
    "point_transformer": (PointDecoder, PointDecoderConfig),
    "cross_attention": (CrossDecoder, CrossDecoderConfig),
    "conv_pyramid": (ConvDecoder, ConvDecoderConfig),
    "dual_path": (DualPathDecoder, DualPathDecoderConfig),
}
OBJECTIVES: dict[str, tuple[type[Any], type[BaseModel]]] = {
    "masked_tokens": (MaskedTokens, MaskedTokensConfig),
    "masked_grid": (MaskedGrid, MaskedGridConfig),
    "next_patch": (NextPatch, NextPatchConfig),
    "denoise": (Denoise, DenoiseConfig),
    "jepa": (Jepa, JepaConfig),
    "lejepa": (Lejepa, LejepaConfig),
    "dino": (Dino, DinoConfig),
    "vicreg": (Vicreg, VicregConfig),
    "sum": (Sum, SumConfig),
    "scale_tokens": (ScaleTokens, ScaleTokensConfig),
    "sampling_times": (SamplingTimes, SamplingTimesConfig),
    "next_scale": (NextScale, NextScaleConfig),
    "distil": (Distil, DistilConfig),
    "supervised": (Supervised, SupervisedConfig),
    "token_regression": (TokenRegression, TokenRegressionConfig),
}


def lookup(
    table: dict[str, tuple[type[Any], type[BaseModel]]], kind: str, name: str
) -> tuple[type[Any], type[BaseModel]]:
    """Return (class, config class) of a name, or a RecipeError that lists the known ones."""
    if name not in table:
        raise RecipeError(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
    return table[name]
