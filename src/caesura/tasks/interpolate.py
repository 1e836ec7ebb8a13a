"""Values at any time and channel, with calibrated intervals.

The decoder is asked at positions that were never tokens. Intervals come from held-out
series: some of their observations are hidden, predicted, and the residuals kept
(`metrics.conformal`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.collate import TokenStore, collate, tokenise_store, window_shifts
from caesura.data.queries import Queries
from caesura.data.scaling import ScaleTable
from caesura.data.store import RaggedStore
from caesura.data.window import Windows, covering_windows, cut_by_tokens
from caesura.errors import DataError
from caesura.metrics.conformal import Conformal
from caesura.nn.likelihood import deviation
from caesura.tasks.needs import Trained, need
from caesura.training.inference import run_batches
from caesura.training.loader import INFERENCE_TOKENS
from caesura.types import Tokens

_MOST_QUERIES = 512
"""Queries of one series in one row of a batch; more are answered in several rows."""


@dataclass(frozen=True)
class Answers:
    """Predictions in the order of the queries; `lower` and `upper` hold at the level asked."""

    value: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    trusted: NDArray[np.bool_]


def interpolate(
    run: Trained,
    store: RaggedStore,
    queries: Queries,
    calibration: Conformal,
    level: float = 0.9,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Answers:
    """Predict each query from all observations of its series, in the table's units.

    The answer to a query does not depend on the other queries, where the recipe's decoder
    has `queries="independent"`. Where a channel is logged, intervals are asymmetric; where the
    decoder predicts deviations, they follow these.
    """
    if not 0.5 <= level < 1:
        raise DataError(f"level {level} is not in [0.5, 1); 0.9 gives intervals for 9 of 10")
    scaled, spread = predict_normal(run, store, queries, on_progress)
    distance = distances(run, store, queries)
    half = spread * calibration.half_width(queries.variable, distance, level)
    size = len(run.schema.value_names)
    channel, element = np.divmod(queries.variable, size)
    table = ScaleTable(run.schema.scales)

    def raw(z: NDArray[np.float64]) -> NDArray[np.float64]:
        whole = np.zeros((len(z), size))
        whole[np.arange(len(z)), element] = z
        return table.raw(whole, channel.astype(np.int32))[np.arange(len(z)), element]

    trusted = calibration.trusted(queries.variable, distance)
    return Answers(raw(scaled), raw(scaled - half), raw(scaled + half), trusted)


def predict_scaled(
    run: Trained,
    store: RaggedStore,
    queries: Queries,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.float64]:
    """Return the scaled prediction of each query."""
    return predict_normal(run, store, queries, on_progress)[0]


def predict_normal(
    run: Trained,
    store: RaggedStore,
    queries: Queries,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the scaled mean of each query and its deviation, 1 where the decoder gives none."""
    encoder, decoder = need(run, "encoder"), need(run, "decoder")
    tokens = tokenise_store(store, run.schema)
    size = len(run.schema.value_names)
    answer, spread = np.zeros(len(queries)), np.ones(len(queries))
    done = 0
    batches = (
        (collate(tokens, windows).inputs, *_ask(run, tokens, windows, queries, members))
        for windows, members in _jobs(run, tokens, queries)
    )
    for (_, _, place), predicted in run_batches(
        (encoder, decoder), batches, lambda batch: decoder(encoder(batch[0]), batch[1])
    ):
        row, column, query = place
        element = queries.variable[query] % size
        answer[query] = predicted[row, column, element]
        if predicted.shape[-1] > size:  # means, then raw deviations
            spread[query] = deviation(torch.from_numpy(predicted)).numpy()[
                row, column, size + element
            ]
        done += len(query)
        on_progress(done, len(queries))
    return answer, spread


def _jobs(
    run: Trained, tokens: TokenStore, queries: Queries
) -> Iterator[tuple[Windows, list[NDArray[np.int64]]]]:
    """Yield batches: context windows, and for each the numbers of the queries it answers.

    A query of a long series is answered from the window whose middle is nearest in time.
    """
    wanted = np.unique(queries.series)
    windows = covering_windows(tokens.offsets, wanted, run.recipe.training.max_tokens)
    order = np.argsort(queries.series, kind="stable")
    bounds = np.searchsorted(queries.series[order], wanted)
    ends = np.append(bounds[1:], len(order))
    of_series = {int(s): order[a:b] for s, a, b in zip(wanted, bounds, ends, strict=True)}
    rows: list[tuple[int, NDArray[np.int64]]] = []
    firsts = np.flatnonzero(np.diff(windows.series, prepend=-1))
    lasts = np.append(firsts[1:], len(windows))
    for first, last in zip(firsts, lasts, strict=True):
        asked = of_series[int(windows.series[first])]
        cut = windows.take(np.arange(first, last))
        origin = tokens.store.origins[cut.series]
        middle = 0.5 * (
            tokens.units_since(cut.start, origin) + tokens.units_since(cut.stop - 1, origin)
        )
        times = queries.times[asked] / run.schema.time_unit
        nearest = np.searchsorted(0.5 * (middle[1:] + middle[:-1]), times)
        by_window = np.argsort(nearest, kind="stable")
        cuts = np.flatnonzero(np.diff(nearest[by_window])) + 1
        for members in np.split(by_window, cuts):
            near, window = asked[members], int(first + nearest[members[0]])
            rows += [
                (window, near[i : i + _MOST_QUERIES]) for i in range(0, len(near), _MOST_QUERIES)
            ]
    sizes = np.array([windows.lengths[w] + len(own) for w, own in rows])
    by_size = np.argsort(sizes, kind="stable")
    for begin, end in cut_by_tokens(sizes[by_size], INFERENCE_TOKENS):
        chosen = [rows[i] for i in by_size[begin:end]]
        yield windows.take(np.array([w for w, _ in chosen])), [own for _, own in chosen]


def _ask(
    run: Trained,
    tokens: TokenStore,
    windows: Windows,
    queries: Queries,
    members: list[NDArray[np.int64]],
) -> tuple[Tokens, tuple[NDArray[Any], ...]]:
    """Return the query tokens of a batch and (row, column, query) of each real one."""
    counts = np.array([len(own) for own in members])
    valid = np.arange(counts.max()) < counts[:, None]
    row, column = np.nonzero(valid)
    query = np.concatenate(members)
    origin = window_shifts(tokens, windows)[row]
    size = len(run.schema.value_names)
    positions = np.zeros((*valid.shape, run.schema.position_axes), dtype=np.float32)
    positions[row, column, 0] = queries.times[query] / run.schema.time_unit - origin
    if run.schema.position_axes > 1:
        positions[row, column, 1] = queries.variable[query] // size
    shape = (*valid.shape, size)
    asked = Tokens(
        values=torch.zeros(shape),
        observed=torch.zeros(shape, dtype=torch.bool),
        positions=torch.from_numpy(positions),
        valid=torch.from_numpy(valid),
    )
    return asked, (row, column, query)


def distances(run: Trained, store: RaggedStore, queries: Queries) -> NDArray[np.float64]:
    """Return the time to the nearest observation of the query's own variable and series.

    In the table's unit; infinite where the variable was never observed in the series.
    """
    size = len(run.schema.value_names)
    channel = run.schema.channel_codes(store).astype(np.int64)
    row, element = np.nonzero(store.observed)
    variables = len(run.schema.channels) * size
    key = store.series[row] * variables + channel[row] * size + element
    seen_times = store.times[row]
    order = np.lexsort((seen_times, key))
    key, seen_times = key[order], seen_times[order]
    wanted = queries.series * variables + queries.variable
    result = np.full(len(queries), np.inf)
    # one sorted axis for all series: (key, time) pairs are compared as complex numbers are
    place = np.searchsorted(_pairs(key, seen_times), _pairs(wanted, queries.times))
    for neighbour in (place - 1, place):
        inside = (neighbour >= 0) & (neighbour < len(key))
        at = np.clip(neighbour, 0, max(len(key) - 1, 0))
        same = inside & (key[at] == wanted)
        gap = np.abs(seen_times[at] - queries.times)
        result = np.where(same, np.minimum(result, gap), result)
    return result


def _pairs(key: NDArray[np.int64], time: NDArray[np.float64]) -> NDArray[np.complex128]:
    return key.astype(np.float64) + 1j * time
