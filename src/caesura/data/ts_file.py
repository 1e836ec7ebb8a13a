"""Reads the .ts files of the UEA and UCR archives: labelled series, of unequal length too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caesura.errors import DataError


def read_ts(path: Path) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Return series (channels, steps) with NaN where a value is "?", and their class labels.

    A line without a label, channels of different length and what is no number are DataErrors
    that name the line.
    """
    series: list[NDArray[np.float64]] = []
    labels: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        body = False
        for number, line in enumerate(lines, start=1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            if text.startswith("@"):
                body = body or text.lower().startswith("@data")
                continue
            if not body:
                raise DataError(f"{path}, line {number}: data before @data; is this a .ts file?")
            *channels, label = text.split(":")
            if not channels:
                raise DataError(f"{path}, line {number}: no ':' before a class label")
            series.append(_series(channels, f"{path}, line {number}"))
            labels.append(label.strip())
    if not series:
        raise DataError(f"{path} holds no series")
    return series, labels


def _series(channels: list[str], place: str) -> NDArray[np.float64]:
    try:
        rows = [
            np.array([np.nan if v.strip() in ("?", "NaN") else float(v) for v in text.split(",")])
            for text in channels
        ]
    except ValueError as error:
        raise DataError(f"{place}: {error}") from None
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise DataError(f"{place}: channels of lengths {sorted(lengths)}; one series has one")
    return np.stack(rows)
