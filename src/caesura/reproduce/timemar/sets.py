"""Series that a generator trains on, and windows that it never sees.

Recordings are split into 20 blocks with gaps of a window; what can be drawn is drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caesura.data.blocks import interleaved_blocks, windows_within
from caesura.data.synthetic.generation import coupled, sines, springs
from caesura.reproduce.experiment import Context

Floats = NDArray[np.floating[Any]]

DRAWN: dict[str, Callable[[int, int, int], Floats]] = {"Sines": sines, "Springs": springs}
"""Sets of windows that are drawn: (count, time, seed)."""
RECORDED = ("Stocks", "ETTh1", "Energy", "Coupled")
FILES = (
    "generation/stock_data.parquet, generation/energy_data.npz and forecasting/ETTh1.parquet as in "
    "the project's data folder"
)


class Material(NamedTuple):
    """Series (channels, time) to train on; windows of them, and unseen ones, in time order."""

    series: list[Floats]
    train: Floats
    unseen: Floats


def material(name: str, window: int, context: Context) -> Material:
    """Return a set's material; settings say how many windows are drawn."""
    count = context.settings.windows
    if name in DRAWN:
        train, unseen = (DRAWN[name](n, window, s) for n, s in ((count, 1), (count // 3, 2)))
        return Material(list(train), train, unseen)
    values = _recording(name, context)
    blocks = interleaved_blocks(values.shape[1], window)
    return Material(
        [values[:, first:last] for first, last in blocks.train],
        windows_within(values, blocks.train, window),
        windows_within(values, blocks.held, window),
    )


def all_windows(name: str, window: int, context: Context) -> tuple[list[Floats], Floats]:
    """Return series to train on, none held out, and windows of them in time order, at most as
    many as the settings compare."""
    own = context.settings
    if name in DRAWN:
        drawn = DRAWN[name](own.windows, window, 1)
        return list(drawn), drawn
    values = _recording(name, context)
    starts = values.shape[1] - window + 1
    views = np.lib.stride_tricks.sliding_window_view(values, window, axis=1)
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(starts)[: own.compared(window)])
    return [values], np.ascontiguousarray(views[:, some].transpose(1, 0, 2))


def _recording(name: str, context: Context) -> Floats:
    """Return (channels, time)."""
    if name == "Coupled":
        return coupled(10_000, 7)
    if name == "Energy":
        with np.load(context.file("generation/energy_data.npz"), allow_pickle=False) as z:
            return np.asarray(z[z.files[0]].T)
    files = {"Stocks": "generation/stock_data.parquet", "ETTh1": "forecasting/ETTh1.parquet"}
    return _columns(context.file(files[name]))


def _columns(path: Path) -> Floats:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    numeric = [n for n in table.column_names if str(table.schema.field(n).type) in _NUMBERS]
    return np.stack([table[n].to_numpy().astype(np.float64) for n in numeric])


_NUMBERS = {"double", "float", "int64", "int32"}
