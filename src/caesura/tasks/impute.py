"""Fills the gaps of regular series with draws from a generator that is shown what was measured."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.grid import sample_store
from caesura.data.lattice import as_measured, shared_by_copies
from caesura.data.store import RaggedStore
from caesura.errors import RecipeError
from caesura.tasks.generate import (
    SamplingSettings,
    decoded_parts,
    in_units,
    rows_at_a_time,
    sample_latent,
    sampling_of,
)
from caesura.tasks.needs import Trained, check_regular, need
from caesura.tasks.window_features import windows_of
from caesura.training.inference import evaluating, move, row_slices
from caesura.types import Grid

Floats = NDArray[np.floating[Any]]

_DOUBT = 2.0
"""Pairs of measured samples as which it counts how errors usually go on."""


class Imputed(NamedTuple):
    """Of each series (variables, time): all values, gaps filled, and the interval of each.

    observed: what was measured, and is as it was.
    """

    value: list[Floats]
    lower: list[Floats]
    upper: list[Floats]
    observed: list[NDArray[np.bool_]]


class Draws(NamedTuple):
    """Windows (windows, draws, variables, time), and how far each was from what was measured before
    it was made to meet it: mean square, normalised, (windows, draws)."""

    values: NDArray[np.float64]
    misfit: NDArray[np.float64]


def impute(
    run: Trained, store: RaggedStore, draws: int = 64, level: float = 0.9, seed: int = 0
) -> Imputed:
    """Fill what was not measured with the median of draws; intervals hold `level` of them.

    Each place is filled from the window that holds it nearest to its middle. A gap as long as a
    window is filled with what is usual: the model sees no measurement then.
    """
    if draws < 2 or not 0 < level < 1:
        raise RecipeError(
            f"{draws} draws and level {level:g}; give two at least, and 0 < level < 1"
        )
    sampling = sampling_of(run)
    check_regular(run)
    view = sample_store(store, run.schema, extended=False)
    rng = torch.Generator().manual_seed(seed)
    whole = Imputed([], [], [], [])
    for number, one in enumerate(view.series()):
        seen = np.isfinite(one)
        measured = as_measured(one, sampling.value_steps)
        shown = None if view.condition is None else view.condition[[number]]
        quantiles = _filled(run, one, shown, (draws, level), rng)
        for kept, q in zip((whole.lower, whole.value, whole.upper), quantiles, strict=True):
            kept.append(in_units(q[None], sampling)[0])
            kept[-1][seen] = measured[seen]
        whole.observed.append(seen)
    return whole


def fill_windows(
    run: Trained,
    windows: Floats,
    condition: NDArray[np.float32] | None = None,
    *,
    draws: int = 64,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[Floats, Floats, Floats]:
    """Return lower, middle and upper quantile of windows (rows, variables, time).

    What is NaN is filled. A window's end may be missing: what comes out there is a forecast.
    condition: of each window, (rows, numbers), or of all, (1, numbers), scaled as the training's
    were.
    """
    rng = torch.Generator().manual_seed(seed)
    share = [(1 - level) / 2, 0.5, (1 + level) / 2]
    parts, size = [], max(1, rows_at_a_time(run) // draws)
    for rows in row_slices(len(windows), size):
        some, shown = windows[rows], condition
        if condition is not None and len(condition) > 1:
            shown = condition[rows].repeat(draws, 0)
        found = np.quantile(draw_windows(run, some, draws, rng, shown).values, share, axis=1)
        parts.append(np.where(np.isfinite(some), some, found))
    lower, middle, upper = np.concatenate(parts, 1)
    return lower, middle, upper


def _filled(
    run: Trained,
    series: Floats,
    condition: NDArray[np.float32] | None,
    asked: tuple[int, float],
    rng: torch.Generator,
) -> Floats:
    """Return lower, middle and upper quantile of (variables, time) at every place."""
    draws, level = asked
    window = sampling_of(run).window
    time = series.shape[1]
    short = max(0, window - time)
    padded = np.pad(series, ((0, 0), (0, short)), constant_values=np.nan)
    windows, starts = windows_of(padded, window, max(1, window // 2))
    at = np.arange(padded.shape[1])
    middle = np.abs(at[:, None] - (starts + (window - 1) / 2))
    best = np.where((at[:, None] >= starts) & (at[:, None] < starts + window), middle, np.inf)
    chosen = best.argmin(1)
    out = np.repeat(padded[None].astype(np.float64), 3, 0)
    share = np.array([(1 - level) / 2, 0.5, (1 + level) / 2])
    size = max(1, rows_at_a_time(run) // draws)
    wanted = np.flatnonzero(~np.isfinite(windows).all((1, 2)))
    for rows in row_slices(len(wanted), size):
        numbers = wanted[rows]
        found = draw_windows(run, windows[numbers], draws, rng, condition).values
        quantiles = np.quantile(found, share, axis=1)
        for place, number in enumerate(numbers):
            own = np.flatnonzero(chosen == number)
            out[..., own] = quantiles[:, place][..., own - starts[number]]
    return out[..., :time]


def draw_windows(
    run: Trained,
    windows: Floats,
    draws: int,
    rng: torch.Generator,
    condition: NDArray[np.float32] | None,
    settings: SamplingSettings | None = None,
    power: float = 1.0,
) -> Draws:
    """Draw windows in the table's units, unrounded, through what was measured.

    A draw's own error at measured samples is laid over the samples beside them, less and less with
    distance, as errors of that variable in that window go on, by exp(-(distance / hop) ** power)
    where little was measured: so it meets what was measured without a step.
    Noise is as wide as what the nearest measured sample leaves open of it. What was measured of a
    variable holds for its copies.
    """
    prior, encoder = need(run, "prior"), need(run, "encoder")
    windows = shared_by_copies(windows, sampling_of(run).copies)
    rows, _, window = windows.shape
    seen = np.isfinite(windows)
    units = sampling_of(run).units
    raw = torch.from_numpy(np.where(seen, units.model(windows), 0.0).astype(np.float32))
    distance, settings = _distance(seen), settings or SamplingSettings()
    with evaluating(*run.parts.values()) as device:
        shown = move(Grid(raw, torch.from_numpy(seen)), device)
        scale = encoder.scale_of(shown)
        values = scale.normalised(shown.values) * shown.observed
        known = prior.known(values, shown.observed).repeat_interleave(draws, 0)
        if condition is not None:
            static = move(torch.from_numpy(condition), device).expand(len(known), -1)
        latent = sample_latent(
            run, known, window, settings, rng, None if condition is None else static
        )
        parts = decoded_parts(run, latent, window, rng)
        drawn = parts.mean
        if settings.noise:
            decoder = need(run, "decoder")
            noise = parts.noise * _room(decoder.noise, distance, drawn).repeat_interleave(draws, 0)
            drawn = decoder.margins(parts.mean + noise)
        made = drawn.view(rows, draws, -1, window).double().cpu().numpy()
        error = values[:, None].cpu().numpy() - made
        scale = move(scale, torch.device("cpu"))
    left = _left_of_errors(error, seen, np.exp(-((np.arange(window) / encoder.hop) ** power)))
    near = np.where(np.isfinite(distance), _at_lags(left, distance), 0.0)
    met = made + _lines(error, seen) * near[:, None]
    there = seen[:, None]
    misfit = np.where(there, np.square(error), 0.0).sum((2, 3)) / np.maximum(there.sum((2, 3)), 1)
    by_draw = replace(
        scale, center=scale.center[:, None].double(), spread=scale.spread[:, None].double()
    )
    restored = units.table(by_draw.restored(torch.from_numpy(met)).numpy())
    return Draws(np.where(there, windows[:, None], restored), misfit)


def _distance(seen: NDArray[np.bool_]) -> Floats:
    """Return how many samples off the nearest one is at which a variable was measured, (rows,
    variables, time); infinite where none was."""
    at, found = np.arange(seen.shape[-1]), np.full(seen.shape, np.inf)
    for place in zip(*np.nonzero(seen.any(2)), strict=True):
        found[place] = np.abs(at[:, None] - np.flatnonzero(seen[place])[None]).min(1)
    return found


def _at_lags(values: Floats, distance: Floats) -> Floats:
    """Return values (rows, variables, lags) at distances, those of lag 0 at infinite ones."""
    lag = np.where(np.isfinite(distance), distance, 0).astype(np.int64)
    return np.take_along_axis(values, lag, 2)


def _left_of_errors(error: Floats, seen: NDArray[np.bool_], usual: Floats) -> Floats:
    """Return what share of an error is left so many samples on: (rows, variables, lags).

    Of pairs of measured samples of all draws: a level that no code has is missed throughout a
    window, white noise goes on nowhere. What is usual counts as two pairs. Never rising.
    """
    there = seen[:, None].astype(np.float64)
    missed = error * there
    squares = np.square(missed).sum(1, keepdims=True)
    both = (_products(squares, there) + _products(there, squares)) / 2
    least = _DOUBT * both[..., :1] / _products(there, there)[..., :1].clip(1)
    goes = _products(missed, missed) + least * usual
    share = goes / (both + least).clip(np.finfo(np.float64).tiny)
    return np.minimum.accumulate(share.clip(0, 1), -1)


def _products(one: Floats, other: Floats) -> Floats:
    """Return sums over draws and time of one(t) other(t + lag) for each lag, of (rows, draws,
    variables, time)."""
    length = 2 * one.shape[-1]
    by_draw = zip(one.swapaxes(0, 1), other.swapaxes(0, 1), strict=True)
    spectra = (np.fft.rfft(a, length).conj() * np.fft.rfft(b, length) for a, b in by_draw)
    found: Floats = np.fft.irfft(reduce(np.add, spectra), length)
    return found[..., : one.shape[-1]]


def _room(noise: Any, distance: Floats, like: torch.Tensor) -> torch.Tensor:
    """Return the share of its deviation that noise keeps so far from what was measured, which says
    as much of it as it goes with itself at that distance: (rows, variables, time)."""
    farthest = distance.max(initial=0, where=np.isfinite(distance))
    correlation = noise.correlation(int(farthest) + 1).cpu().numpy()
    goes = np.where(np.isfinite(distance), _at_lags(correlation[None], distance), 0.0)
    return torch.from_numpy(np.sqrt((1 - goes**2).clip(0, 1))).to(like)


def _lines(error: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Return errors (rows, draws, variables, time) at measured samples, and lines between them."""
    at, found = np.arange(seen.shape[-1]), np.zeros_like(error)
    for row, channel in zip(*np.nonzero(seen.any(2)), strict=True):
        known = np.flatnonzero(seen[row, channel])
        right = np.searchsorted(known, at).clip(1, max(len(known) - 1, 1))
        left = known[right - 1]
        end = known[np.minimum(right, len(known) - 1)]
        share = np.clip((at - left) / np.maximum(end - left, 1), 0, 1)
        own = error[row, :, channel]
        found[row, :, channel] = own[:, left] * (1 - share) + own[:, end] * share
    return found
