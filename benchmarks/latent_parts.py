"""Speed of the wavelet views and of SIGReg beside plain forms, as ratios in one run.

Usage: python benchmarks/latent_parts.py [ROUNDS]
One thread, processor time, variants interleaved, medians of the ratios by round. Values are
compared first: a variant that is wrong is an error, not a figure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import pywt
import torch

from caesura.nn.sigreg import random_slices, sigreg
from caesura.signal.wavelet import decompose, recompose
from caesura.training.precision import fast_float32

SHAPE, WAVELET, LEVELS = (256, 7, 336), "db4", 3


def seconds(work: Callable[[], object]) -> float:
    """Return processor seconds of one call."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def wavelets(rounds: int) -> dict[str, float]:
    """Return how many times as fast as PyWavelets on the whole batch, there and back."""
    x = torch.randn(SHAPE)
    numbers = x.numpy()

    def ours() -> torch.Tensor:
        return recompose(decompose(x, WAVELET, LEVELS), WAVELET, LEVELS, SHAPE[-1])

    def theirs() -> np.ndarray:
        return pywt.waverec(pywt.wavedec(numbers, WAVELET, level=LEVELS), WAVELET)

    assert np.abs(ours().numpy() - theirs()[..., : SHAPE[-1]]).max() < 1e-4
    ours()
    ratios = [seconds(theirs) / seconds(ours) for _ in range(rounds)]
    return {"L1 DWT there and back, (256, 7, 336): times PyWavelets": float(np.median(ratios))}


def direct(z: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """SIGReg with a cosine and a sine at each of 17 knots."""
    t = torch.linspace(-5, 5, 17)
    u = z @ directions
    total = torch.zeros(directions.shape[1])
    weight = torch.full((17,), 0.625)
    weight[[0, -1]] /= 2
    for k in range(17):
        goal = torch.exp(-t[k].square() / 2)
        gap = ((t[k] * u).cos().mean(0) - goal).square() + (t[k] * u).sin().mean(0).square()
        total = total + weight[k] * goal * gap
    return total.mean()


def spread(rounds: int, dim: int) -> dict[str, float]:
    """Return how many times as fast as the direct form, forward and backward."""
    z = torch.randn(256, dim)
    directions = random_slices(dim, 1024, torch.Generator().manual_seed(0), z.device)

    def run(loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> torch.Tensor:
        own = z.clone().requires_grad_()
        value = loss(own, directions)
        value.backward()
        return value.detach()

    assert abs(float(run(sigreg) - run(direct))) < 1e-6
    ratios = [seconds(lambda: run(direct)) / seconds(lambda: run(sigreg)) for _ in range(rounds)]
    return {f"L2 SIGReg 256 x {dim}, 1024 slices: times the direct form": float(np.median(ratios))}


def main() -> None:
    """Print the ratios."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    with fast_float32():
        found = wavelets(rounds) | spread(rounds, 180) | spread(rounds, 512)
    for name, value in found.items():
        print(f"{name}: {value:.2f}")


if __name__ == "__main__":
    main()
