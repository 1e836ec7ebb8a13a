"""Features of windows from convolutions that are drawn from a seed and never trained.

For a Frechet distance that anyone can repeat: Context-FID trains an encoder anew on each set of
real windows, so that its scale differs from run to run (Diffusion-TS, issue 13).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from caesura.metrics.generate import scaled_like

Floats = NDArray[np.floating[Any]]

_KERNELS = 48
_TAPS = 7


def context_features(real: Floats, *sets: Floats, seed: int = 0) -> list[Floats]:
    """Return (windows, 96) of each set: mean and largest answer of 48 dilated random kernels.

    All are scaled as `real` is. Kernels read all channels and have the reach of a window at most.
    """
    channels, time = real.shape[1:]
    rng = np.random.default_rng(seed)
    longest = max(1, (time - 1) // (_TAPS - 1))
    dilations = np.exp2(rng.uniform(0, np.log2(longest + 1), _KERNELS)).astype(int)
    kernels = rng.standard_normal((_KERNELS, channels, _TAPS)) / np.sqrt(channels * _TAPS)
    kernels -= kernels.mean(2, keepdims=True) * rng.integers(0, 2, _KERNELS)[:, None, None]
    found = []
    for one in scaled_like(real, *sets):
        x = torch.from_numpy(one.astype(np.float32))
        parts = []
        for dilation in np.unique(dilations):
            weight = torch.from_numpy(kernels[dilations == dilation].astype(np.float32))
            reach = int(dilation) * (_TAPS - 1)
            said = F.conv1d(F.pad(x, (reach // 2, reach - reach // 2)), weight, dilation=dilation)
            parts += [F.relu(said).mean(-1), said.amax(-1)]
        found.append(torch.cat(parts, 1).double().numpy())
    return found
