"""Readers of two light-curve challenges: PLAsTiCC's csv files and ELAsTiCC as ATAT packs it.

Both give a long table (object, time, band, flux, error), and the class of each object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.read import read_table
from caesura.errors import DataError

COLUMNS = {"id": "object", "time": "time", "channel": "band", "value": ["flux", "error"]}
"""Names of the columns that both readers give."""


def read_plasticc(curves: Path, meta: Path) -> tuple[pa.Table, dict[int, str]]:
    """Read PLAsTiCC: `training_set.csv` and `training_set_metadata.csv`."""
    table, notes = read_table(curves), read_table(meta)
    names = ("object_id", "mjd", "passband", "flux", "flux_err")
    for path, found, wanted in ((curves, table, names), (meta, notes, ("object_id", "target"))):
        missing = [name for name in wanted if name not in found.column_names]
        if missing:
            known = ", ".join(found.column_names)
            raise DataError(f"{path} has no column {missing[0]!r}; columns: {known}")
    long = table.select(list(names)).rename_columns(["object", "time", "band", "flux", "error"])
    classes = zip(notes["object_id"].to_pylist(), notes["target"].to_pylist(), strict=True)
    return long, {int(name): str(kind) for name, kind in classes}


def read_elasticc(
    path: Path,
    *,
    flux: str = "data",
    variance: str = "data-var",
    time: str = "time",
    mask: str = "mask",
    label: str = "labels",
    fold: int = 0,
) -> tuple[pa.Table, dict[int, str], NDArray[np.int64]]:
    """Read an HDF5 file of ATAT's release: padded arrays (objects, steps, bands) and a mask.

    Returns the long table, the classes by row number, and the rows that test. The names are
    those we know of the release; pass others where a file has them. `variance` holds squared
    errors. Times may be (objects, steps) or by band. Test rows stand under "test", or else
    "test_<fold>".
    """
    try:
        import h5py
    except ImportError as error:
        raise DataError(f"{path} needs HDF5: pip install 'caesura[astro]' ({error})") from None
    try:
        with h5py.File(path, "r") as file:
            known = list(file)
            keys = (flux, variance, time, mask, label)
            missing = [key for key in keys if key not in file]
            if missing:
                raise DataError(f"{path} has no {missing[0]!r}; it holds {', '.join(known)}")
            arrays = {key: np.asarray(file[key]) for key in keys}
            split = next((key for key in ("test", f"test_{fold}") if key in file), "")
            test = np.asarray(file[split]) if split else np.zeros(0, np.int64)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    return (
        _long(arrays[flux], arrays[variance], arrays[time], arrays[mask], path),
        {row: str(kind) for row, kind in enumerate(arrays[label].ravel().tolist())},
        test.ravel().astype(np.int64),
    )


def _long(flux: Any, variance: Any, time: Any, mask: Any, path: Path) -> pa.Table:
    if flux.ndim != 3 or flux.shape != variance.shape or flux.shape != mask.shape:
        raise DataError(
            f"{path}: flux {flux.shape}, variance {variance.shape} and mask {mask.shape} must be "
            "(objects, steps, bands) alike"
        )
    each = np.broadcast_to(time[..., None] if time.ndim == 2 else time, flux.shape)
    row, step, band = np.nonzero(mask.astype(bool))
    order = np.lexsort((band, each[row, step, band], row))
    row, step, band = row[order], step[order], band[order]
    chosen = (row, step, band)
    return pa.table(
        {
            "object": row,
            "time": each[chosen].astype(np.float64),
            "band": band,
            "flux": flux[chosen].astype(np.float32),
            "error": np.sqrt(np.maximum(variance[chosen], 0)).astype(np.float32),
        }
    )
