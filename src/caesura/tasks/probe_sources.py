"""What a probe scores: features by level, by layer or by span of time, and their controls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.store import RaggedStore
from caesura.tasks.controls import channel_statistics
from caesura.tasks.embed import embed, embed_layers
from caesura.tasks.needs import Trained, need
from caesura.tasks.random_twin import RandomTwin, random_twin
from caesura.tasks.reach import level_names, level_reach
from caesura.tasks.spans import embed_span, hop_of, span_name

ALL, STATISTICS, EMBEDDING = "all levels", "channel statistics", "embedding"
LEVELS_MAX = "levels+max"
"""Means and maxima over places of every level, as `caesura embed --pooling levels+max` reads: an
event that fills little of a series moves the maximum, and hardly the mean."""
WHOLE = "whole series"
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Features of labelled series, those of the untrained twin, and what a place sees."""

    features: NDArray[Any]
    twin: NDArray[Any] | None = None
    hop: float | None = None
    reach: float | None = None


@dataclass(frozen=True)
class Sources:
    """All that a probe scores: the levels, fine to coarse, and what is beside them.

    unit: of `hop` and `reach`; empty: that of the table's times.
    """

    levels: dict[str, Source]
    others: dict[str, Source]
    unit: str = "s"


def _nobody(name: str) -> None:
    """Report progress to nobody."""


def probe_sources(
    run: Trained,
    labelled: RaggedStore,
    seed: int = 0,
    on_progress: Watch = _nobody,
    spans: Sequence[float] = (),
) -> Sources:
    """Embed series by each level of a run and of its random twin.

    spans: lengths of time, short to long, that are the levels of an encoder of irregular series
    instead of its layers (`tasks.spans`).
    """
    twin = random_twin(run, seed)
    on_progress("embedding")
    *both, summary = embed_layers(run, labelled, maxima=True, whole=True)
    *blank, summary_of_twin = embed_layers(
        run, labelled, twin.parts["encoder"], maxima=True, whole=True
    )
    if spans:
        levels = _by_span(run, twin, labelled, spans, on_progress)
    else:
        levels = _by_level(run, both, blank)
    own = [source.features for source in levels.values()]
    theirs = [source.twin for source in levels.values() if source.twin is not None]
    others = {
        ALL: Source(np.concatenate(own, 1), np.concatenate(theirs, 1)),
        LEVELS_MAX: Source(np.concatenate(both, 1), np.concatenate(blank, 1)),
    }
    if need(run, "encoder").summary_width:
        others[EMBEDDING] = Source(summary, summary_of_twin)
    others[STATISTICS] = Source(channel_statistics(labelled, run.schema))
    seconds = not spans or labelled.time_kind == "timestamp"
    return Sources(levels, others, "s" if seconds else "")


def _by_level(
    run: Trained, both: list[NDArray[np.float32]], blank: list[NDArray[np.float32]]
) -> dict[str, Source]:
    """Return the levels of a run and of its twin, from their means and maxima."""
    count = len(both) // 2
    names, reach = level_names(run, count), level_reach(run, count)
    means = zip(names, both[:count], blank[:count], reach, strict=True)
    return {name: Source(own, twin, *seen) for name, own, twin, seen in means}


def _by_span(
    run: Trained, twin: RandomTwin, labelled: RaggedStore, spans: Sequence[float], watch: Watch
) -> dict[str, Source]:
    levels = {}
    for span in spans:
        name = span_name(span, labelled)
        watch(name)
        own, blank = (embed_span(one, labelled, span) for one in (run, twin))
        levels[name] = Source(own, blank, hop_of(span), span)
    watch(WHOLE)
    own, blank = (embed(one, labelled, "mean") for one in (run, twin))
    levels[WHOLE] = Source(own, blank, None, float(labelled.spans.max()))
    return levels
