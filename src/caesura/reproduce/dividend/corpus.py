"""The corpora of the reference study: real windows, synthetic ones, and both.

Real: sets of the UCR archive that no evaluation uses, and three sets of the Monash archive, cut
into windows of 336. Synthetic: KernelSynth. Every series is standardised.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from caesura.data.synthetic.kernels import kernel_synth
from caesura.files import cache_folder, write_atomically
from caesura.reproduce.dividend.sets import WINDOW
from caesura.tasks.window_features import grid_of
from caesura.training.indexed import IndexedBatches
from caesura.types import Batch

Origin = Literal["real", "synthetic", "mixed"]

UCR = (
    "ACSF1", "Adiac", "AllGestureWiimoteX", "Beef", "BeetleFly", "BirdChicken", "Car", "Computers",
    "DiatomSizeReduction", "EOGHorizontalSignal", "FaceFour", "Fish", "Ham", "Haptics", "Herring",
    "HouseTwenty", "InsectEPGRegularTrain", "LargeKitchenAppliances", "Meat", "OSULeaf", "OliveOil",
    "PLAID", "Rock", "ShapeletSim", "ShapesAll", "ToeSegmentation2", "Worms",
)  # fmt: skip
MONASH = ("m4_weekly", "saugeenday", "solar_weekly", "electricity_weekly", "tourism_monthly")
_VALIDATION = 0.05


def real_series(root: Path) -> list[NDArray[np.float32]]:
    """Return the real series, NaN padding cut off, without those shorter than half a window."""
    found: list[NDArray[Any]] = []
    for name in UCR:
        with np.load(root / "ucr_uea" / f"{name}.npz", allow_pickle=False) as z:
            rows = np.concatenate([z["X_train"], z["X_test"]])[:, 0]
        found += [row[np.isfinite(row)] for row in rows]
    import pyarrow.parquet as pq

    for name in MONASH:
        table = pq.read_table(root / "forecasting" / f"monash_{name}_dataset.parquet")
        ids = table["series"].to_numpy(zero_copy_only=False)
        values = table["value"].to_numpy(zero_copy_only=False).astype(np.float64)
        edges = np.flatnonzero(ids[1:] != ids[:-1]) + 1
        found += [part[np.isfinite(part)] for part in np.split(values, edges)]
    kept = [row for row in found if len(row) >= WINDOW // 2 and row.std() > 1e-8]
    return [((row - row.mean()) / row.std()).astype(np.float32) for row in kept]


def windows_from(series: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return windows (count, 336): whole ones in a row, and the end; shorter series stretched."""
    found = []
    for row in series:
        if len(row) < WINDOW:
            at = np.linspace(0, len(row) - 1, WINDOW)
            found.append(np.interp(at, np.arange(len(row)), row)[None])
            continue
        starts = list(range(0, len(row) - WINDOW + 1, WINDOW))
        if starts[-1] != len(row) - WINDOW:
            starts.append(len(row) - WINDOW)
        found.append(np.stack([row[s : s + WINDOW] for s in starts]))
    return np.concatenate(found).astype(np.float32)


def corpus(origin: Origin, count: int, root: Path | None) -> NDArray[np.float32]:
    """Return `count` windows of an origin, in an order of their own; "mixed": half of each.

    Fewer real windows than asked for are all there are.
    """
    rng = np.random.default_rng(7)
    parts = []
    if origin != "synthetic":
        if root is None:
            raise ValueError("real windows need the data folder")
        real = _kept("real", lambda: windows_from(real_series(root)))
        parts.append(real[rng.permutation(len(real))])
    if origin != "real":
        made = _kept(f"kernels-{count}", lambda: kernel_synth(count, WINDOW, 0))
        parts.append(made)
    if origin == "mixed":
        parts = [part[: count // 2] for part in parts]
    whole = np.concatenate([part[:count] for part in parts])
    return np.asarray(whole[rng.permutation(len(whole))])


def _kept(name: str, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return what was made before, from the cache folder, or make and keep it."""
    path = cache_folder() / "dividend" / f"{name}-{WINDOW}.npy"
    if not path.exists():
        windows = make()

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                np.save(file, windows, allow_pickle=False)

        write_atomically(path, write)
    return np.asarray(np.load(path, allow_pickle=False))


def batches(windows: NDArray[np.float32], batch_size: int, seed: int) -> IndexedBatches:
    """Return batches of windows; the last twentieth validates."""
    held = max(1, int(_VALIDATION * len(windows)))
    numbers = np.arange(len(windows))

    def gather(chosen: NDArray[np.int64], rng: np.random.Generator | None) -> Batch:
        return Batch(grid_of(windows[chosen][:, None], 1.0), torch.from_numpy(chosen))

    return IndexedBatches(gather, numbers[:-held], numbers[-held:], batch_size, seed)
