"""The settings of an augmentation, and what it can be applied to."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from caesura.errors import RecipeError
from caesura.signal.wavelet import filters

ViewKind = Literal[
    "none", "jitter", "crop", "time_mask", "frequency_mask", "scale", "drop", "channel_drop",
    "dwt", "dwt_soft", "dwt_high", "dwt_band_scale", "dwt_low_pass",
]  # fmt: skip
GRID_ONLY = ("frequency_mask", "dwt", "dwt_soft", "dwt_high", "dwt_band_scale", "dwt_low_pass")


class ViewConfig(BaseModel):
    """One augmentation and how strong it is.

    kind: "jitter" adds noise, by default with the root mean square that the "dwt" view would
    have on the same series, so that the two differ in kind alone; "crop" takes a part, on a
    grid stretched to the whole length; "time_mask" and "frequency_mask" blank a span; "scale"
    multiplies; "drop" and "channel_drop" leave observations out; "dwt_soft" shrinks the
    details, "dwt_high" adds noise to them, "dwt_band_scale" multiplies bands, "dwt_low_pass"
    removes details; "dwt" is one of the first two, by chance.
    jitter: deviation of the noise in deviations of the series; 0: matched to "dwt".
    soft: threshold as a share of a band's largest coefficient. high: range of the deviation of
    the noise on details, in deviations of the series.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ViewKind = "none"
    jitter: float = Field(default=0.0, ge=0)
    crop: float = Field(default=0.5, gt=0, le=1)
    mask: float = Field(default=0.3, gt=0, lt=1)
    scale: tuple[float, float] = (0.8, 1.2)
    drop: float = Field(default=0.3, gt=0, lt=1)
    wavelet: str = "db4"
    levels: int = Field(default=3, gt=0, le=20)
    soft: float = Field(default=0.3, gt=0, lt=1)
    high: tuple[float, float] = (0.1, 0.3)


def check_view(config: ViewConfig, regular: bool) -> None:
    """Raise a RecipeError where an augmentation cannot be applied to this kind of series."""
    if config.kind.startswith("dwt"):
        filters(config.wavelet)
    if config.kind in GRID_ONLY and not regular:
        raise RecipeError(
            f"augmentation {config.kind!r} needs regular sampling: a filter over observations at "
            "irregular times has no frequency. Choose jitter, scale, crop, drop or channel_drop, "
            "or pass --rate HZ if the series are regular"
        )
    if config.kind in ("drop", "channel_drop") and regular:
        raise RecipeError(
            f"augmentation {config.kind!r} leaves observations of irregular series out; for a "
            "regular grid choose time_mask"
        )


def between(ends: tuple[float, float], draw: Tensor) -> Tensor:
    """Return numbers between two ends from uniform ones."""
    return ends[0] + (ends[1] - ends[0]) * draw


def deviation(values: Tensor, observed: Tensor, axis: int) -> Tensor:
    """Return the deviation of the observed values along an axis, kept."""
    real = observed.to(values.dtype)
    count = real.sum(axis, keepdim=True).clamp(min=1)
    centred = (values - (values * real).sum(axis, keepdim=True) / count) * real
    return (centred.square().sum(axis, keepdim=True) / count).sqrt()
