"""Log-mel spectrograms: what RoMAE and SSAST feed of sound (RoMAE, sec. 5.3).

128 bands, Hamming windows of 25 ms, one every 10 ms. The mel scale is 2595 log10(1 + f / 700).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from caesura.errors import RecipeError

_FLOOR = 1e-10
"""Added to the power before the logarithm: silence is -23, not minus infinity."""


def log_mel(
    waves: Float[Tensor, "batch samples"],
    rate_hz: float,
    bands: int = 128,
    window_s: float = 0.025,
    hop_s: float = 0.010,
) -> Float[Tensor, "batch frames bands"]:
    """Return log power in mel bands up to half the rate, one frame every `hop_s`.

    The last samples that fill no hop are left out; a wave shorter than one window is padded
    with zeros. The transform is at least four windows long, so that no low band is empty.
    """
    window, hop = round(window_s * rate_hz), round(hop_s * rate_hz)
    if hop < 1 or window < 2:
        raise RecipeError(
            f"windows of {window_s} s every {hop_s} s have {window} and {hop} samples at "
            f"{rate_hz:g} Hz; choose longer ones"
        )
    short = max(window - waves.shape[1], 0)
    frames = torch.nn.functional.pad(waves, (0, short)).unfold(1, window, hop)
    size = 2 ** math.ceil(math.log2(4 * window))
    shape = torch.hamming_window(window, periodic=False, dtype=waves.dtype, device=waves.device)
    power = torch.fft.rfft(frames * shape, n=size).abs().square()
    triangles = mel_filters(bands, size, rate_hz).to(power)
    loud: Tensor = power @ triangles.T + _FLOOR
    return loud.log()


def mel_filters(bands: int, size: int, rate_hz: float) -> Float[Tensor, "bands frequencies"]:
    """Return triangles of height 1, equally wide on the mel scale, on the bins of a transform."""
    highest = 2595 * math.log10(1 + rate_hz / 2 / 700)
    mels = torch.linspace(0, highest, bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (mels / 2595) - 1)
    bins = torch.linspace(0, rate_hz / 2, size // 2 + 1, dtype=torch.float64)
    low, middle, high = (edges[i : i + bands, None] for i in range(3))
    # a triangle narrower than a bin is widened to one: it would be empty else
    least = rate_hz / size
    rising = (bins - low) / (middle - low).clamp(min=least)
    falling = (high - bins) / (high - middle).clamp(min=least)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    empty = triangles.sum(1) == 0
    nearest = (bins[None, :] - middle).abs().argmin(1)
    triangles[empty, nearest[empty]] = 1.0
    return triangles
