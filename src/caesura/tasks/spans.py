"""What a frozen encoder knows of irregular series from short spans of time alone.

A hierarchical encoder has levels that see a fixed time each (HiMAE, arXiv 2510.25785, sec. 4).
An encoder of irregular observations sees all of a series in every layer; here it is shown spans
of one length at a time, so that its features are those of a level that sees just so much.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from caesura.data.pieces import stretches
from caesura.data.store import RaggedStore
from caesura.data.view import view_store
from caesura.errors import DataError, RecipeError
from caesura.tasks.embed import embed_view
from caesura.tasks.needs import Trained, need

_PHASES = (0.0, 0.5)
"""Where the spans of a series begin, in spans: each begins in the middle of another."""
_FEWEST, _MOST = 2, 6
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def hop_of(span: float) -> float:
    """Return the time from the beginning of a span to that of the next."""
    return span / len(_PHASES)


def embed_span(run: Trained, store: RaggedStore, span: float) -> NDArray[np.float32]:
    """Return the mean of the last layer over all observations, (series, width), each of them
    encoded beside those of its span alone; spans overlap by half.

    A span twice as long as every series gives what the whole series gives.
    """
    encoder, limit = need(run, "encoder"), run.recipe.training.max_tokens
    total = np.zeros(0)
    for phase in _PHASES:
        cut, owner = stretches(store, span, phase)
        vectors = embed_view(encoder, view_store(cut, run.schema), limit, "mean")
        if not total.size:
            total = np.zeros((len(store), vectors.shape[1]))
        np.add.at(total, owner, vectors * cut.lengths[:, None])
    mean = total / (len(_PHASES) * store.lengths[:, None])
    return np.asarray(mean, dtype=np.float32)


def chosen_spans(text: str, run: Trained, store: RaggedStore) -> tuple[float, ...]:
    """Return spans from "auto" or "A,B,..." in the table's unit of time (seconds for dates).

    Those that are not shorter than the longest series are left out: "whole series" is one.
    A run on a regular grid has levels or layers of its own, and no spans: a RecipeError.
    """
    if run.schema.sampling is not None:
        raise RecipeError(
            "this run reads a regular grid; --spans is for irregular series. Its levels or layers "
            "are probed without it"
        )
    if text == "auto":
        return spread_spans(store)
    try:
        found = sorted({float(part) for part in text.split(",") if part.strip()})
    except ValueError:
        found = []
    if not found or not np.isfinite(found).all() or found[0] <= 0:
        raise RecipeError(f'--spans {text!r}: give "auto" or positive times A,B,...')
    longest = float(store.spans.max())
    kept = tuple(span for span in found if span < longest)
    if not kept:
        raise RecipeError(f"--spans {text!r}: the longest series lasts {longest:g}; give shorter")
    return kept


def spread_spans(store: RaggedStore) -> tuple[float, ...]:
    """Return at most six spans that hold more and more observations: from two to half of a series,
    evenly apart in ratio. Each is the median time that so many take.

    Counts and not times are spread, since observations often come in nights, visits or bursts.
    """
    most = int(np.median(store.lengths)) // 2
    if most < _FEWEST:
        raise DataError(
            f"series of {2 * most + 1} observations or fewer, by their median: too few for spans "
            "within them"
        )
    counts = np.unique(np.geomspace(_FEWEST, most, _MOST).round().astype(int))
    times, series = store.times, store.series
    found = []
    for count in counts:
        within = series[count:] == series[:-count]
        taken = float(np.median((times[count:] - times[:-count])[within]))
        if taken > 0:
            found.append(float(f"{taken:.2g}"))
    if not found:
        raise DataError("half of a series is of one time; spans of time need more times")
    return tuple(dict.fromkeys(found))


def span_name(span: float, store: RaggedStore) -> str:
    """Return the name of a level: its span, with a unit where the table has dates."""
    if store.time_kind == "number":
        return f"span {span:g}"
    size, unit = next((pair for pair in _UNITS if span >= pair[0]), _UNITS[-1])
    return f"span {span / size:.2g} {unit}"
