"""Anomaly detection as the task of a study: marked time stamps of regular series.

The first part of each series is taken as normal: pre-training, detectors and fine-tuning read it
and nothing else. Some of the series with marks choose, the others report.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from caesura.data.config import DataConfig
from caesura.data.grid import sample_store
from caesura.data.marks import read_marks
from caesura.data.sampling import fit_sampling
from caesura.data.schema import Schema, fit_schema
from caesura.data.store import RaggedStore
from caesura.data.units import Units
from caesura.errors import DataError
from caesura.metrics.detect import vus_pr
from caesura.metrics.skill import anomaly_skill
from caesura.study.dividend.task import Said
from caesura.tasks.detector_table import feature_scores
from caesura.tasks.forecast import Floats
from caesura.tasks.forecast_examples import examples_of
from caesura.tasks.forecast_tuned import trained_to_forecast
from caesura.tasks.needs import Trained, need, units_of
from caesura.tasks.plain_detectors import DETECTORS, over_channels
from caesura.tasks.random_twin import random_twin
from caesura.tasks.window_features import bridged_rows

log = logging.getLogger("caesura")

_WINDOW = (32, 256)
_NOISE_DRAWS = 3


@dataclass(frozen=True)
class AnomalyPart:
    """Series with a normal part and a later one with marks; a `study.dividend.task.Part`.

    `Said` is the VUS-PR of each series.
    """

    normal: list[Floats]
    later: list[Floats]
    marks: list[NDArray[np.bool_]]
    window: int
    rate_hz: float
    share: float
    nothing: str = field(default="uniform noise", init=False)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Each series is its own group."""
        return np.arange(len(self.later))

    @property
    def cases(self) -> str:
        """Number of series with marks."""
        return f"{len(self.later)} series with anomalies"

    @property
    def protocol(self) -> str:
        """Say what is read as normal, and what is scored."""
        return (
            f"The first {100 * self.share:.0f} % of each series is taken as normal: pre-training, "
            "detectors and fine-tuning (which learns to forecast it) read nothing else. Scored is "
            "what comes later, by the distance of each place to the nearest normal ones; skill is "
            "VUS-PR less that of uniform noise. Series that choose are not in the report."
        )

    @cached_property
    def noise(self) -> Floats:
        """VUS-PR of uniform noise on each series."""
        rng = np.random.default_rng(0)
        draws = [
            [vus_pr(marks, rng.random(len(marks))) for marks in self.marks]
            for _ in range(_NOISE_DRAWS)
        ]
        return np.asarray(np.mean(draws, axis=0))

    def skill(self, said: Said, cases: NDArray[Any] | None = None) -> float:
        """Return the mean VUS-PR less that of uniform noise."""
        chosen = slice(None) if cases is None else cases
        return anomaly_skill(float(np.mean(said[chosen])), float(np.mean(self.noise[chosen])))

    def probed(self, run: Trained, seed: int) -> Said:
        """Return the VUS-PR of distances to normal places, each series' own."""
        return self._detected(need(run, "encoder"), units_of(run), seed)

    def _detected(self, encoder: nn.Module, units: Units, seed: int) -> Said:
        def one(normal: Floats, later: Floats) -> Floats:
            parts = units.model(normal), units.model(later)
            return feature_scores(
                encoder, *parts, window=self.window, rate_hz=self.rate_hz, seed=seed
            )

        return self._scored(one)

    def _scored(self, one: Callable[[Floats, Floats], Floats]) -> Said:
        each = zip(self.normal, self.later, self.marks, strict=True)
        return np.array([vus_pr(marks, one(normal, later)) for normal, later, marks in each])

    def beside(self, schema: Schema) -> Mapping[str, Said]:
        """Return the VUS-PR of detectors that read samples."""
        found = {name: self._scored(partial(over_channels, way)) for name, way in DETECTORS.items()}
        return found | {"uniform noise": self.noise}

    def tuned(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> Said:
        """Return the same of an encoder that was trained, whole, to forecast what is normal."""
        start = random_twin(run, seed) if from_scratch else run
        horizon = max(1, self.window // 8)
        bounds = [(int(0.8 * one.shape[1]), one.shape[1]) for one in self.normal]
        examples = examples_of(self.normal, self.window, horizon, bounds, needed=(0, 1))
        made = trained_to_forecast(start, examples, rate, steps, self.rate_hz, seed)
        return self._detected(made.objective.parts()["encoder"], units_of(start), seed)

    def tuned_once(
        self, run: Trained, rate: float, steps: int, seed: int, *, from_scratch: bool = False
    ) -> float:
        """Return the skill of the same."""
        return self.skill(self.tuned(run, rate, steps, seed, from_scratch=from_scratch))


def anomaly_parts(
    store: RaggedStore, source: Any, config: DataConfig, column: str, share: float, choice: float
) -> tuple[RaggedStore, DataConfig, list[NDArray[np.bool_]], AnomalyPart, AnomalyPart]:
    """Return what pre-training may read, its window, all marks, and both parts.

    Series with a mark in their normal part, or too short for three windows in it, are left out,
    and said; fewer than two series with later marks is a DataError.
    """
    if not config.rate:
        raise DataError("anomalies need regular series: pass --rate, samples a second (or a step)")
    if not 0 < share < 1:
        raise DataError(f"--normal {share:g} is no share; give one between 0 and 1, e.g. 0.4")
    everything = np.arange(len(store))
    if not config.window:
        longest = share * (float(store.spans.max()) * config.rate + 1)
        window = int(np.clip(longest / 10, *_WINDOW))
        config = config.model_copy(update={"window": window / config.rate})
    schema = fit_sampling(store, everything, fit_schema(store, everything, config), config)
    view = sample_store(store, schema)
    marks = read_marks(source, view, config.columns, column)
    series = [bridged_rows(one) for one in view.series()]
    ends = [int(share * one.shape[1]) for one in series]
    clean = [not m[:end].any() for m, end in zip(marks, ends, strict=True)]
    long = [end >= 3 * view.window for end in ends]
    for fault, kept in (("marks in its normal part", clean), ("a normal part too short", long)):
        lost = [k for k, good in enumerate(kept) if not good]
        if lost:
            log.warning(
                "%d of %d series left out, first %r: %s (the first %.0f %%, three windows of %d "
                "steps at least; see --normal and --window)",
                len(lost), len(series), store.ids[lost[0]].as_py(), fault, 100 * share, view.window,
            )  # fmt: skip
    usable = np.flatnonzero(np.array(clean) & np.array(long))
    scored = [k for k in usable if marks[k].any() and series[k].shape[1] - ends[k] >= view.window]
    if len(scored) < 2:
        raise DataError(
            f"{len(scored)} series with anomalies after a normal part; a study needs two at least: "
            "one to choose by and one to report. Give more series, or another --normal share"
        )
    early = store.take(usable).until((np.array(ends)[usable] - 0.5) / config.rate)
    order = np.random.default_rng(12_345).permutation(scored)
    count = int(np.clip(round(choice * len(order)), 1, len(order) - 1))

    def part(chosen: NDArray[np.int64]) -> AnomalyPart:
        own = np.sort(chosen)
        return AnomalyPart(
            [series[k][:, : ends[k]] for k in own], [series[k][:, ends[k] :] for k in own],
            [marks[k][ends[k] :] for k in own], view.window, config.rate, share,
        )  # fmt: skip

    return early, config, marks, part(order[:count]), part(order[count:])
