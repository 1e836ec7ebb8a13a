"""Discrete wavelet transform of batches: differentiable, on any device, equal to PyWavelets.

Mallat 1989; boundary "symmetric" (half-sample), the default of PyWavelets, whose filter taps
are used. A transform of several levels is linear, so up to a few hundred samples it is one
product with a matrix; longer series go through a bank of strided convolutions.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from caesura.errors import RecipeError

_MATRIX_UP_TO = 1024
"""Longest series transformed by a matrix: beyond, n^2 products cost more than the filters."""


class Filters(NamedTuple):
    """Taps of a wavelet: analysis low and high, synthesis low and high, float64."""

    dec_lo: Tensor
    dec_hi: Tensor
    rec_lo: Tensor
    rec_hi: Tensor


@lru_cache(maxsize=64)  # a constant of its argument, on whatever device it is first asked for
def filters(name: str) -> Filters:
    """Return the taps of an orthogonal or biorthogonal wavelet; an unknown name is an error."""
    import pywt

    if name not in pywt.wavelist(kind="discrete"):
        families = "haar, db1-db38, sym2-sym20, coif1-coif17, bior1.1-bior6.8, rbio1.1-rbio6.8"
        raise RecipeError(f"unknown wavelet {name!r}; known: {families}, dmey")
    return Filters(
        *(
            torch.tensor(taps, dtype=torch.float64, device="cpu")
            for taps in pywt.Wavelet(name).filter_bank
        )
    )


def most_levels(name: str, length: int) -> int:
    """Return how many levels a series of `length` samples has without boundary effects ruling."""
    taps = len(filters(name).dec_lo)
    return (
        max(0, int(torch.tensor(length / (taps - 1)).log2().floor())) if length >= taps - 1 else 0
    )


def band_lengths(name: str, length: int, levels: int) -> list[int]:
    """Return the coefficients of each band: approximation, then details from coarse to fine."""
    taps, found = len(filters(name).dec_lo), []
    for _ in range(levels):
        length = (length + taps - 1) // 2
        found.append(length)
    return [length, *found[::-1]]


def decompose(
    x: Float[Tensor, "*rows time"], name: str, levels: int
) -> Float[Tensor, "*rows coefficients"]:
    """Return all coefficients in a row: approximation, then details from coarse to fine.

    `bands` cuts them; equal to `pywt.wavedec(x, name, level=levels)`, joined.
    """
    _check(name, x.shape[-1], levels)
    if x.shape[-1] <= _MATRIX_UP_TO:
        there, _ = _matrices(name, x.shape[-1], levels)
        return x @ there.to(x)
    return _analysed(x, name, levels)


def recompose(
    coefficients: Float[Tensor, "*rows coefficients"], name: str, levels: int, length: int
) -> Float[Tensor, "*rows time"]:
    """Return the series of these coefficients; undoes `decompose`."""
    _check(name, length, levels)
    if length <= _MATRIX_UP_TO:
        _, back = _matrices(name, length, levels)
        return coefficients @ back.to(coefficients)
    return _synthesised(coefficients, name, levels, length)


def bands(
    coefficients: Float[Tensor, "*rows coefficients"], name: str, levels: int, length: int
) -> list[Tensor]:
    """Cut a row of coefficients: approximation, then details from coarse to fine."""
    return list(torch.split(coefficients, band_lengths(name, length, levels), dim=-1))


def _check(name: str, length: int, levels: int) -> None:
    most = most_levels(name, length)
    if not 0 < levels <= most:
        raise RecipeError(
            f"{levels} levels of {name} for series of {length} samples, which have {most}; choose "
            "fewer levels, a shorter wavelet (db2, haar), or longer windows"
        )


@lru_cache(maxsize=16)  # constants of the arguments
def _matrices(name: str, length: int, levels: int) -> tuple[Tensor, Tensor]:
    """Return the transforms there and back, as matrices to multiply rows with."""
    there = _analysed(torch.eye(length, dtype=torch.float64, device="cpu"), name, levels)
    size = sum(band_lengths(name, length, levels))
    back = _synthesised(torch.eye(size, dtype=torch.float64, device="cpu"), name, levels, length)
    return there.float(), back.float()


def _analysed(x: Tensor, name: str, levels: int) -> Tensor:
    bank = filters(name)
    taps = len(bank.dec_lo)
    kernel = torch.stack([bank.dec_lo.flip(0), bank.dec_hi.flip(0)])[:, None].to(x)
    rows = x.reshape(-1, 1, x.shape[-1])
    details = []
    for _ in range(levels):
        extended = _symmetric(rows, taps - 2, taps - 1)
        low, high = F.conv1d(extended, kernel, stride=2).chunk(2, dim=1)
        details.append(high)
        rows = low
    joined = torch.cat([rows, *details[::-1]], dim=-1)
    return joined.reshape(*x.shape[:-1], -1)


def _synthesised(coefficients: Tensor, name: str, levels: int, length: int) -> Tensor:
    bank = filters(name)
    taps = len(bank.dec_lo)
    kernel = torch.stack([bank.rec_lo, bank.rec_hi])[:, None].to(coefficients)
    flat = coefficients.reshape(-1, 1, coefficients.shape[-1])
    low, *details = bands(flat, name, levels, length)
    for high in details:
        both = torch.cat([low[..., : high.shape[-1]], high], dim=1)
        whole = F.conv_transpose1d(both, kernel, stride=2)
        low = whole[..., taps - 2 : whole.shape[-1] - (taps - 2)]
    return low[..., :length].reshape(*coefficients.shape[:-1], length)


def _symmetric(x: Tensor, left: int, right: int) -> Tensor:
    """Extend by mirror images, edges repeated, as often as it takes."""
    size = x.shape[-1]
    place = torch.arange(-left, size + right, device=x.device) % (2 * size)
    return x[..., torch.where(place < size, place, 2 * size - 1 - place)]
