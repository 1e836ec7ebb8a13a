"""What a store holds, as rows for a person."""

from __future__ import annotations

from typing import Any

import numpy as np

from caesura.data.schema import choose_time_unit
from caesura.data.store import RaggedStore


def _statics(store: RaggedStore) -> list[str]:
    kinds = zip(store.static_names, store.static_classes, strict=True)
    return [f"{name} ({len(classes)} classes)" if classes else name for name, classes in kinds]


def describe_store(store: RaggedStore) -> dict[str, Any]:
    """Return the figures of a whole store, by name."""
    lengths = store.lengths
    spans = store.spans
    unit = " s" if store.time_kind == "timestamp" else ""
    low, middle, high = np.percentile(lengths, [5, 50, 95])
    return {
        "series": len(store),
        "observations": int(store.observed.sum()),
        "channels": len(store.channels) * len(store.value_names),
        "observations a series (5 %, median, 95 %, most)": (
            f"{low:.0f}, {middle:.0f}, {high:.0f}, {lengths.max()}"
        ),
        "span of a series (median, most)": f"{np.median(spans):.4g}, {spans.max():.4g}{unit}",
        "one rotary unit of time would be": f"{choose_time_unit(store):g}{unit}",
        "groups": "each series its own"
        if store.groups is None
        else f"{len(np.unique(store.groups))}",
        "static features": ", ".join(_statics(store)) or "none",
    }


def describe_channels(store: RaggedStore) -> list[dict[str, Any]]:
    """Return a row for each channel and value: how often it is seen, and its values."""
    rows = []
    series = store.series
    for code, channel in enumerate(store.channels):
        for element, value in enumerate(store.value_names):
            chosen = (store.channel == code) & store.observed[:, element]
            if not chosen.any():
                continue
            values = store.values[chosen, element].astype(np.float64)
            low, middle, high = np.percentile(values, [1, 50, 99])
            rows.append(
                {
                    "channel": channel or value,
                    "observations": int(chosen.sum()),
                    "in series": f"{len(np.unique(series[chosen])) / len(store):.0%}",
                    "1 %": float(low),
                    "median": float(middle),
                    "99 %": float(high),
                }
            )
    return rows
