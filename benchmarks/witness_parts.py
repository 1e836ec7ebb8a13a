"""Anomaly scores of three witnesses, each calibrated on normal data, and their joint word.

Latent distance asks an encoder where a place lies among normal ones; masked surprise hides blocks
in turn and asks a decoder what was there; token improbability asks a prior of codes how seldom it
would have written what it reads. A run bears witness by the parts that it has. Left
out of the library: what it is worth is measured by witnesses.py (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from caesura.errors import CheckpointError, DataError
from caesura.metrics.detect import p_values
from caesura.signal.noise import keyed_uniform
from caesura.tasks.detector_table import normal_places
from caesura.tasks.detectors import average_by_time
from caesura.tasks.needs import Trained, need
from caesura.tasks.window_features import grids, level_features, windows_of
from caesura.training.inference import run_batches, stacked
from caesura.types import Grid

Floats = NDArray[np.floating[Any]]
Reading = Callable[[Floats], Floats]
"""From raw windows (rows, channels, samples) to scores (rows, places)."""
Fit = Callable[[Floats], Reading]
"""From normal windows to a reading."""

_BLOCKS = 16
"""Blocks of a window, hidden in turn."""
_TAIL = 0.9
_TURNS = 4
"""Turns that hide them all: a quarter of a window is hidden in each."""


def witnesses_of(run: Trained, rate_hz: float | None) -> dict[str, Fit]:
    """Return what a run can say of a window, by name; a run without an encoder is an error."""
    encoder = need(run, "encoder")
    found: dict[str, Fit] = {"latent distance": partial(_distance, encoder, rate_hz)}
    if getattr(run.recipe.stages[0].objective, "type", "") == "masked_grid":
        read = partial(masked_surprise, encoder, need(run, "decoder"), rate_hz)
        found["masked surprise"] = lambda normal: read
    if "prior" in run.parts:
        found["token improbability"] = partial(_improbability, run, rate_hz)
    return found


def _distance(encoder: nn.Module, rate_hz: float | None, normal: Floats) -> Reading:
    near = normal_places(level_features(encoder, normal, rate_hz))
    return lambda windows: near.distance(level_features(encoder, windows, rate_hz))


def masked_surprise(
    encoder: nn.Module, decoder: nn.Module, rate_hz: float | None, windows: Floats
) -> Floats:
    """Return the squared error of each sample while its block is hidden, mean over channels.

    On the scale that the encoder normalises what is left by; (rows, samples).
    """
    samples = windows.shape[-1]
    size = max(1, samples // _BLOCKS)
    turn = torch.arange(samples) // size % _TURNS

    def read(grid: Grid) -> torch.Tensor:
        error = torch.zeros_like(grid.values)
        for number in range(_TURNS):
            hidden = (turn == number).to(error.device) & grid.observed
            seen = grid.observed & ~hidden
            features = encoder(replace(grid, values=grid.values * seen, observed=seen))
            goal = features.scale.normalised(grid.values.float())
            told = decoder(features, grid.without_values()).float()
            error = torch.where(hidden, (told - goal).square(), error)
        return error.mean(1)

    return stacked((encoder, decoder), grids(windows, rate_hz), read)


def _improbability(run: Trained, rate_hz: float | None, normal: Floats) -> Reading:
    """Scale each scale's nats by normal windows, so that no scale rules the sum."""
    usual = code_nats(run, rate_hz, normal)
    centers = [one.mean() for one in usual]
    spreads = [one.std() + 1e-6 for one in usual]

    def read(windows: Floats) -> Floats:
        found = code_nats(run, rate_hz, windows)
        places = found[-1].shape[1]
        parts = [
            _laid_out((one - center) / spread, places)
            for one, center, spread in zip(found, centers, spreads, strict=True)
        ]
        return np.asarray(np.mean(parts, axis=0))

    return read


def _laid_out(scores: Floats, places: int) -> Floats:
    """Repeat (rows, fewer places) over `places`."""
    return scores[:, np.arange(places) * scores.shape[1] // places]


def code_nats(run: Trained, rate_hz: float | None, windows: Floats) -> list[Floats]:
    """Return minus the logarithm of each code's probability, (rows, places) of each scale.

    Nothing is shown to the prior but the coarser codes.
    """
    encoder, tokenizer, prior = (need(run, name) for name in ("encoder", "tokenizer", "prior"))
    rng = torch.Generator().manual_seed(0)
    scales = run_batches(
        (encoder, tokenizer, prior),
        grids(windows, rate_hz),
        lambda grid: _nats(encoder, tokenizer, prior, grid, rng),
    )
    return [np.concatenate(scale) for scale in zip(*(each for _, each in scales), strict=True)]


def _nats(
    encoder: nn.Module, tokenizer: nn.Module, prior: Any, grid: Grid, rng: torch.Generator
) -> list[torch.Tensor]:
    latent = encoder(grid).levels[-1].features.mT
    index = torch.arange(len(latent), device=latent.device)
    read = tokenizer(latent, partial(keyed_uniform, rng, index))
    nothing = torch.zeros_like(grid.values)
    sizes = [code.shape[1] for code in read.codes]
    scores = prior(read.partial[:-1], sizes, prior.known(nothing, nothing > 0))
    return [
        F.cross_entropy(score.float().mT, code, reduction="none")
        for score, code in zip(scores, read.codes, strict=True)
    ]


@dataclass(frozen=True)
class Testimony:
    """What one witness said: scores of new time stamps, and of normal ones that were held out."""

    name: str
    score: Floats
    calibration: Floats

    @property
    def p_value(self) -> Floats:
        """Return the share of held-out normal scores as high, of each new one."""
        return p_values(self.calibration, self.score)


def testify(
    runs: Sequence[Trained], normal: Floats, new: Floats, window: int, rate_hz: float | None
) -> list[Testimony]:
    """Ask every witness of the runs about each time stamp of a series.

    normal, new: (channels, time). The last fifth of the normal part is held out, as in
    `tasks.detect`, whose error this raises where it is too short.
    """
    cut = min(int(0.8 * normal.shape[1]), normal.shape[1] - window)
    if cut < window:
        raise DataError(
            f"{normal.shape[1]} normal steps are less than two windows of {window}; one to learn "
            "from and one, held out, to calibrate"
        )
    known, _ = windows_of(normal[:, :cut], window, max(1, window // 2))
    found = []
    for run in runs:
        for name, fit in witnesses_of(run, rate_hz).items():
            read = fit(known)
            held, score = (_by_time(read, series, window) for series in (normal[:, cut:], new))
            found.append(Testimony(f"{name}, {run.recipe.name}", score, held))
    return found


def _by_time(read: Reading, series: Floats, window: int) -> Floats:
    windows, starts = windows_of(series, window, max(1, window // 4))
    return average_by_time(read(windows), starts, window, series.shape[1])


def surprise(calibration: Floats, scores: Floats) -> Floats:
    """Return -log of the share of normal scores that are as high.

    Beyond the highest tenth of the normal scores an exponential tail goes on (its mean excess is
    theirs): scores that no normal one reaches keep their order, which p-values do not.
    """
    edge = np.quantile(calibration, _TAIL)
    excess = max(float((calibration[calibration >= edge] - edge).mean()), 1e-12)
    inside = -np.log(p_values(calibration, np.minimum(scores, edge)))
    return np.asarray(inside + np.maximum(scores - edge, 0) / excess)


def together(witnesses: Sequence[Testimony]) -> Testimony:
    """Return the joint word: the mean surprise over witnesses (after Fisher 1925), whose
    calibration is that of the held-out normal time stamps.
    """
    if not witnesses:
        raise CheckpointError("no witness to join; give runs that have an encoder")
    new = [surprise(one.calibration, one.score) for one in witnesses]
    held = [surprise(one.calibration, one.calibration) for one in witnesses]
    return Testimony("together", np.mean(new, axis=0), np.mean(held, axis=0))
