"""Curves to draw: a run's predictions over a series, with what it saw and what was hidden."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from caesura.data.queries import Queries
from caesura.data.scaling import ScaleTable
from caesura.data.store import RaggedStore
from caesura.run import Run
from caesura.study.interpolation import hidden_half
from caesura.tasks.interpolate import distances, predict_scaled


def draw_series(
    run: Run, test: RaggedStore, wanted: tuple[str, ...], count: int = 3
) -> list[dict[str, Any]]:
    """Return curves of a few test series: those with the most hidden values of `wanted`."""
    seen, queries, _ = hidden_half(run, test, 1000, ())
    codes = [run.schema.variables.index(name) for name in wanted if name in run.schema.variables]
    vital = np.isin(queries.variable, codes)
    chosen = np.argsort(-np.bincount(queries.series[vital], minlength=len(test)))[:count]
    return [_curves(run, test, seen, int(stay), codes) for stay in chosen]


def _curves(
    run: Run,
    test: RaggedStore,
    seen: RaggedStore,
    stay: int,
    codes: list[int],
) -> dict[str, Any]:
    hours = np.linspace(0, float(test.spans[stay]), 97)
    asked = Queries(
        np.full(len(hours) * len(codes), stay),
        np.tile(hours, len(codes)),
        np.repeat(np.array(codes), len(hours)),
    )
    scaled = predict_scaled(run, seen, asked)
    assert run.calibration is not None
    half = run.calibration.half_width(asked.variable, distances(run, seen, asked), 0.9)
    table = ScaleTable(run.schema.scales)
    code = asked.variable.astype(np.int32)

    def raw(z: NDArray[np.float64]) -> NDArray[np.float64]:
        return table.raw(z[:, None], code)[:, 0].reshape(len(codes), -1)

    panels = []
    middle, low, high = raw(scaled), raw(scaled - half), raw(scaled + half)
    for row, variable in enumerate(codes):
        shown = _points(run, seen, stay, variable)
        everything = _points(run, test, stay, variable)
        hidden = [p for p in everything if p not in shown]
        panels.append(
            {"variable": run.schema.variables[variable], "hours": hours, "value": middle[row],
             "lower": low[row], "upper": high[row], "seen": shown, "hidden": hidden}
        )  # fmt: skip
    return {"stay": test.ids[stay].as_py(), "panels": panels}


def _points(run: Run, store: RaggedStore, stay: int, variable: int) -> list[tuple[float, float]]:
    rows = slice(int(store.offsets[stay]), int(store.offsets[stay + 1]))
    own = run.schema.channel_codes(store)[rows] == variable
    times, values = store.times[rows][own], store.values[rows][own, 0]
    return list(zip(times.tolist(), values.tolist(), strict=True))
