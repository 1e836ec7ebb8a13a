"""How much of each wavelet band a frozen encoder's tokens still tell, linearly.

The direct test of the trade-off that the dividend (arXiv 2605.19462) argues by: objectives that
are invariant to fine detail would lose the fine bands, and with them precision.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from caesura.signal.wavelet import bands, decompose, recompose
from caesura.tasks.ridge import fit_ridge
from caesura.tasks.window_features import level_features

BAND_WAVELET, BAND_LEVELS = "db4", 3


def band_decodability(
    encoder: nn.Module,
    windows: NDArray[np.floating],
    patch: int,
    *,
    rate_hz: float | None = None,
    wavelet: str = BAND_WAVELET,
    levels: int = BAND_LEVELS,
) -> dict[str, float]:
    """Return R^2 of each band's signal within a patch, from that patch's features by a ridge.

    windows: (rows, 1, samples), without gaps; normalised here as the encoder does. Fitted to
    half of the windows, its strength chosen on a quarter, scored on the last quarter. Bands from
    coarse to fine: "approximation", "detail 3", ...
    """
    length = windows.shape[-1]
    x = torch.from_numpy(np.ascontiguousarray(windows[:, 0], dtype=np.float32))
    x = (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5)
    found = bands(decompose(x, wavelet, levels), wavelet, levels, length)
    features = level_features(encoder, windows, rate_hz).astype(np.float64)
    places = length // patch
    cuts = [0, len(x) // 2, 3 * len(x) // 4, len(x)]
    rows = [slice(a, b) for a, b in itertools.pairwise(cuts)]

    def flat(values: NDArray[np.floating], part: slice) -> NDArray[np.floating]:
        own = values[part]
        return own.reshape(-1, own.shape[-1])

    result = {}
    names = ["approximation", *(f"detail {k}" for k in range(levels, 0, -1))]
    for number, name in enumerate(names):
        alone = [band if k == number else torch.zeros_like(band) for k, band in enumerate(found)]
        signal = recompose(torch.cat(alone, -1), wavelet, levels, length)[:, : places * patch]
        target = signal.reshape(len(x), places, patch).double().numpy()
        known = features[:, :places]
        fit, choose, score = ((flat(known, part), flat(target, part)) for part in rows)
        head = fit_ridge(*fit, *choose)
        error = np.square(head.predict(score[0]) - score[1]).sum()
        result[name] = float(1 - error / max(np.square(score[1] - score[1].mean(0)).sum(), 1e-12))
    return result
