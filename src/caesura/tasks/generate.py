"""Synthetic windows from a run with a prior: codes coarse to fine, decoded, in the data's units."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caesura.data.grid import sample_store
from caesura.data.lattice import on_steps
from caesura.data.schema import Sampling
from caesura.data.store import RaggedStore
from caesura.errors import DataError, RecipeError
from caesura.nn.dual_path import Answer
from caesura.nn.scale_transformer import Cache
from caesura.signal.noise import keyed_uniform
from caesura.system import available_bytes
from caesura.tasks.needs import Trained, need
from caesura.training.inference import device_of, row_slices, run_batches
from caesura.types import Batch, Features, Grid, Level, Scale

log = logging.getLogger("caesura")

_NEAR = 1e-6
"""Spreads from the end of a variable's range within which a value is that end."""
_MOST_ROWS, _MOST_CODES = 512, 16_384
"""Windows, and codes of theirs, that are sampled together: more leave the caches of a core."""


@dataclass(frozen=True)
class SamplingSettings:
    """How codes are drawn.

    temperature: below 1 narrows the distribution, and with it the spread of what is made. top_k,
    top_p: draw from the likeliest codes only; 0 and 1: from all. guidance: strength of the
    condition, growing from 0 at the coarsest scale. noise: draw what codes cannot hold. gaps: leave
    out samples as the training data do; None: where their times are irregular.
    """

    temperature: float | tuple[float, ...] = 1.0
    top_k: int = 0
    top_p: float = 1.0
    guidance: float = 0.0
    noise: bool = True
    gaps: bool | None = None

    def __post_init__(self) -> None:
        wrong = [t for t in np.atleast_1d(self.temperature) if not t > 0]
        if wrong or self.top_k < 0 or not 0 < self.top_p <= 1 or self.guidance < 0:
            raise RecipeError(
                f"temperature {self.temperature} must be above 0, top_k {self.top_k} and guidance "
                f"{self.guidance:g} not below 0, top_p {self.top_p:g} in (0, 1]"
            )

    def at(self, scale: int) -> float:
        """Return the temperature of a scale; the last one given serves finer scales too."""
        each = np.atleast_1d(self.temperature)
        return float(each[min(scale, len(each) - 1)])


def generate(
    run: Trained,
    count: int,
    *,
    seed: int = 0,
    settings: SamplingSettings | None = None,
    condition: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Return (count, variables, window) in the table's units.

    condition: of each window, (count, numbers), scaled as the training's were; by default none.
    Whole numbers come out whole, and what was never negative is not. NaN: not measured.
    """
    if count < 1:
        raise DataError(f"{count} windows; ask for one at least")
    settings = settings or SamplingSettings()
    sampling = sampling_of(run)
    gaps = _leaves_out(settings, sampling)
    check_memory(count, sampling)
    rng = torch.Generator().manual_seed(seed)

    def draw(batch: tuple[int, Tensor | None]) -> NDArray[np.float64]:
        known = _nothing_known(run, batch[0])
        latent = sample_latent(run, known, sampling.window, settings, rng, batch[1])
        return decoded(run, latent, sampling.window, settings.noise, rng, gaps)

    batches = (
        (rows.stop - rows.start, None if condition is None else torch.from_numpy(condition[rows]))
        for rows in row_slices(count, rows_at_a_time(run))
    )
    drawn = [windows for _, windows in run_batches(run.parts.values(), batches, draw)]
    return in_units(np.concatenate(drawn), sampling)


def _leaves_out(settings: SamplingSettings, sampling: Sampling) -> bool:
    """Say whether samples are left out; a RecipeError where none ever was in the training data."""
    if settings.gaps and not sampling.gaps:
        raise RecipeError("gaps are asked for, and the training data have none to learn from")
    return sampling.binned if settings.gaps is None else settings.gaps


def redraw(
    run: Trained,
    store: RaggedStore,
    scales: int,
    *,
    draws: int = 1,
    seed: int = 0,
    settings: SamplingSettings | None = None,
) -> NDArray[np.float64]:
    """Return (windows x draws, variables, window): windows of a store with finer codes drawn anew.

    scales: how many of the coarsest are kept; 0 keeps nothing. The encoder leaves gaps out, so that
    a sketch of few points will do.
    """
    settings, sampling = settings or SamplingSettings(), sampling_of(run)
    gaps = _leaves_out(settings, sampling)
    encoder, tokenizer = need(run, "encoder"), need(run, "tokenizer")
    most = len(tokenizer.scales(-(-sampling.window // encoder.hop)))
    if not 0 <= scales <= most or draws < 1:
        raise RecipeError(f"{scales} scales kept and {draws} draws; 0 to {most}, and 1 at least")
    view = sample_store(store, run.schema)
    windows = view.tiles(np.arange(len(view)))
    if not len(windows):
        raise DataError(f"no series is as long as a window of {sampling.window} steps")
    check_memory(len(windows) * draws, sampling)
    rng = torch.Generator().manual_seed(seed)

    def draw(batch: Batch) -> NDArray[np.float64]:
        latent = encoder(batch.inputs).levels[-1].features.mT
        codes = tokenizer(latent, partial(keyed_uniform, rng, batch.index)).codes
        given = [code.repeat_interleave(draws, 0) for code in codes[:scales]]
        known = _nothing_known(run, len(latent) * draws)
        shown = batch.condition
        if shown is not None:
            shown = shown.repeat_interleave(draws, 0)
        drawn = sample_latent(run, known, sampling.window, settings, rng, shown, given)
        return decoded(run, drawn, sampling.window, settings.noise, rng, gaps)

    numbers, size = np.arange(len(windows)), max(1, rows_at_a_time(run) // draws)
    batches = (view.collate(windows.take(numbers[at])) for at in row_slices(len(windows), size))
    redrawn = [each for _, each in run_batches(run.parts.values(), batches, draw)]
    return in_units(np.concatenate(redrawn), sampling)


def sampling_of(run: Trained) -> Sampling:
    """Return the grid of a run that generates; another kind of run is a CheckpointError."""
    need(run, "prior")
    sampling = run.schema.sampling
    if sampling is None:
        raise DataError("this run reads no grid, so that it cannot generate")
    return sampling


def _nothing_known(run: Trained, rows: int) -> Tensor:
    """Return what the prior reads of windows of which no sample is known: the same for all."""
    sampling = sampling_of(run)
    prior = need(run, "prior")
    shape = 1, len(sampling.means), sampling.window
    empty = torch.zeros(shape, device=device_of(prior))
    known: Tensor = prior.known(empty, empty > 0)
    return known.expand(rows, -1, -1)


def rows_at_a_time(run: Trained) -> int:
    """Return how many windows are sampled together."""
    tokenizer = need(run, "tokenizer")
    codes: int = sum(tokenizer.scales(-(-sampling_of(run).window // need(run, "encoder").hop)))
    return max(16, min(_MOST_ROWS, _MOST_CODES // codes))


def sample_latent(
    run: Trained,
    known: Tensor,
    window: int,
    settings: SamplingSettings,
    rng: torch.Generator,
    condition: Tensor | None = None,
    given: list[Tensor] | None = None,
) -> Tensor:
    """Draw the codes of each scale and return their sum (rows, width, places).

    known: what the prior knows of the samples. given: codes of the coarsest scales, if any.
    """
    prior, tokenizer = need(run, "prior"), need(run, "tokenizer")
    config: Any = run.recipe.encoder
    places = -(-window // 2**config.halvings)
    sizes, rows = tokenizer.scales(places), len(known)
    dropped, guided = None, False
    if settings.guidance and condition is not None:
        # the second half of the rows is asked without the condition
        known, condition = torch.cat([known, known]), torch.cat([condition, condition])
        dropped, guided = torch.arange(2 * rows, device=known.device) >= rows, True
    cache = Cache(len(prior.transformer.blocks))
    so_far = torch.zeros(rows, tokenizer.config.width, places, device=known.device)
    for number, size in enumerate(sizes):
        sums = [torch.cat([so_far, so_far]) if guided else so_far] if number else []
        (scores,) = prior(sums, [size], known, condition, dropped, number, cache)
        if guided:
            strength = settings.guidance * number / max(len(sizes) - 1, 1)
            scores = (1 + strength) * scores[:rows] - strength * scores[rows:]
        if given is not None and number < len(given):
            code = given[number]
        else:
            code = draw_codes(scores.float() / settings.at(number), settings, rng)
        so_far = tokenizer.add(so_far, code, number, places)
    return so_far


def draw_codes(scores: Tensor, settings: SamplingSettings, rng: torch.Generator) -> Tensor:
    """Draw a code for each place of (rows, places, codes)."""
    if settings.top_k and settings.top_k < scores.shape[-1]:
        least = scores.topk(settings.top_k, -1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    if settings.top_p < 1:
        ordered, order = scores.sort(-1, descending=True)
        share = ordered.softmax(-1)
        beyond = share.cumsum(-1) - share >= settings.top_p
        scores = scores.masked_fill(beyond.gather(-1, order.argsort(-1)), -torch.inf)
    # the first code whose share, with all before it, is above a uniform number below the whole
    share = scores.softmax(-1).cumsum(-1)
    whole = share[..., -1:].contiguous()
    at = torch.rand(whole.shape, generator=rng).to(whole) * whole
    at = at.minimum(whole.nextafter(torch.zeros_like(whole)))
    return torch.searchsorted(share, at, right=True)[..., 0]


def decoded(
    run: Trained,
    latent: Tensor,
    window: int,
    noise: bool,
    rng: torch.Generator,
    gaps: bool = False,
) -> NDArray[np.float64]:
    """Return the samples of latent sums (rows, width, places) in the table's units, unrounded.

    gaps: draw which samples were measured; the others are NaN. Each row keeps one at least.
    """
    parts = decoded_parts(run, latent, window, rng)
    scale: Scale = need(run, "encoder").scale_of(_query(run, len(latent), window))
    made = need(run, "decoder").margins(parts.mean + parts.noise) if noise else parts.mean
    made = sampling_of(run).units.table(scale.restored(made).double().cpu().numpy())
    if gaps and parts.presence is not None:
        made = np.where(_measured(run, parts.presence, rng).cpu().numpy(), made, np.nan)
    return np.asarray(made)


def _measured(run: Trained, logits: Tensor, rng: torch.Generator) -> Tensor:
    """Draw which samples (rows, channels, time) were measured, one at least of each row."""
    there: Tensor = need(run, "decoder").time_prior().draw(logits, rng)
    none = ~there.any(2, keepdim=True).any(1, keepdim=True)
    return there | (none & (logits == logits.amax((1, 2), keepdim=True)))


class Parts(NamedTuple):
    """Mean and drawn noise (rows, channels, time), normalised, and the logits of being measured."""

    mean: Tensor
    noise: Tensor
    presence: Tensor | None


def decoded_parts(run: Trained, latent: Tensor, window: int, rng: torch.Generator) -> Parts:
    """Return what the decoder makes of latent sums."""
    decoder = need(run, "decoder")
    query = _query(run, len(latent), window)
    shape, device = (latent.shape[0], latent.shape[2]), latent.device
    valid = torch.ones(shape, dtype=torch.bool, device=device)
    level = Level(latent.mT, valid, torch.zeros(*shape, 1, device=device))
    said = Answer.of(decoder(Features((level,)), query, split=True))
    noise = decoder.noise.draw(len(latent), window, rng) * said.log_deviation.exp()
    return Parts(said.parts.sum(1), noise, said.presence)


def _query(run: Trained, rows: int, window: int) -> Grid:
    """Return a window to ask for, of which nothing is known."""
    encoder = need(run, "encoder")
    empty = torch.zeros(rows, encoder.config.channels, window, device=device_of(encoder))
    return Grid(empty, empty > 0)


def check_memory(count: int, sampling: Sampling, steps: int = 0) -> None:
    """Raise where series of some steps, by default windows, would not fit, before any is made."""
    needed = 2 * 8 * count * len(sampling.means) * (steps or sampling.window)
    if needed > available_bytes():
        most = max(1, int(count * available_bytes() / needed))
        free = available_bytes() / 2**30
        raise DataError(
            f"{count} series take {needed / 2**30:.1f} GiB and {free:.1f} are free; ask for "
            f"{most} at most, several times with another seed"
        )


def in_units(values: NDArray[np.floating[Any]], sampling: Sampling) -> NDArray[np.float64]:
    """Return values (rows, variables, time) as the training data's are.

    On their steps, never negative where those never are, within limits that those reach often, and
    equal in copies.
    """
    found: NDArray[np.float64] = np.clip(values, *_ends(sampling))
    for end in (sampling.least, sampling.most):  # a model's float32 comes near them
        at = np.array(end)[:, None]
        near = np.abs(found - at) <= _NEAR * sampling.units.spread * bool(sampling.spreads)
        found = np.where(near, at, found)
    steps = sampling.value_steps or (0.0,) * len(sampling.whole)
    for row, (whole, step) in enumerate(zip(sampling.whole, steps, strict=True)):
        if step:
            found[:, row] = on_steps(found[:, row], step)
        elif whole:  # too large for steps to be told in float32
            found[:, row] = np.round(found[:, row])
    return found[:, list(sampling.copies)] if sampling.copies else found


def _ends(sampling: Sampling) -> NDArray[np.float64]:
    """Return the least and the largest value that variables may have, (2, variables, 1)."""
    least, most = np.array(sampling.least), np.array(sampling.most)
    low, high = np.array(sampling.limits or [(False, False)] * len(least)).T
    low = np.where(low, least, np.where(least >= 0, 0.0, -np.inf))
    return np.stack([low, np.where(high, most, np.inf)])[..., None]
