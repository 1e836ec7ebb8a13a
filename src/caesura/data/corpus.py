"""Corpora on disk: synthetic ones in shards, and what two collections have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from caesura.data.corpus_files import is_gluonts, melt_ltsf, read_gluonts
from caesura.data.fingerprint import Register
from caesura.data.read import read_table
from caesura.data.store import RaggedStore
from caesura.data.synthetic.kernels import kernel_synth, lmc
from caesura.data.write import write_table
from caesura.errors import DataError
from caesura.files import claim

Generator = Literal["kernel-synth", "lmc"]
GENERATORS: tuple[Generator, ...] = ("kernel-synth", "lmc")
SHARD = 1000
"""Series of a file."""


def synthesise(
    generator: str,
    count: int,
    length: int,
    folder: Path,
    *,
    channels: int = 8,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write `count` series as Parquet shards of 1,000: id, time, value (lmc: v0, v1, ...).

    A series depends on the seed and its number alone: a shard that is there is kept, so that a
    killed run goes on, and one of other settings is a DataError.
    """
    if generator not in GENERATORS:
        raise DataError(f"unknown generator {generator!r}; known: {', '.join(GENERATORS)}")
    if count < 1 or length < 3 or channels < 1:
        raise DataError(
            f"{count} series of {length} steps, {channels} channels; give 1, 3, 1 or more"
        )
    width = channels if generator == "lmc" else 1
    stamp = {
        "generator": generator,
        "length": str(length),
        "channels": str(width),
        "seed": str(seed),
    }
    claim(folder, (f"{generator}-00000.parquet",), "--output")
    paths = []
    for first in range(0, count, SHARD):
        size = min(SHARD, count - first)
        path = folder / f"{generator}-{first // SHARD:05d}.parquet"
        if not _is_there(path, stamp, size * length):
            if width == 1 and generator == "kernel-synth":
                values = kernel_synth(size, length, seed, first)[:, None]
            else:
                values = lmc(size, length, width, seed, first)
            write_table(_shard(values, generator, first).replace_schema_metadata(stamp), path)
        paths.append(path)
        on_progress(first + size, count)
    return paths


def _is_there(path: Path, stamp: dict[str, str], rows: int) -> bool:
    if not path.exists():
        return False
    from pyarrow import parquet

    schema = parquet.read_schema(path)
    found = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    if any(found.get(k) != v for k, v in stamp.items()):
        raise DataError(f"{path} was made with other settings; choose another folder, or remove it")
    return int(parquet.read_metadata(path).num_rows) == rows


def _shard(values: NDArray[np.float32], generator: str, first: int) -> pa.Table:
    count, channels, length = values.shape
    names = pa.array([f"{generator}-{first + i}" for i in range(count)])
    columns: dict[str, Any] = {
        "id": names.take(pa.array(np.repeat(np.arange(count), length))),
        "time": pa.array(np.tile(np.arange(length), count)),
    }
    for c in range(channels):
        columns["value" if generator == "kernel-synth" else f"v{c}"] = values[:, c].ravel()
    return pa.table(columns)


def as_long_table(path: str) -> pa.Table:
    """Read a .tsf, a GluonTS Arrow or Parquet file, or a csv of long-term forecasting, as long.

    What is long already (it has a column `value`) comes back as it is.
    """
    table = read_table(path)
    if is_gluonts(table.schema):
        return read_gluonts(table)
    if "value" in table.column_names:
        return table
    return melt_ltsf(table)


def shared_series(known: RaggedStore, asked: RaggedStore) -> list[dict[str, Any]]:
    """Return a row for each pair of series (and channel) that overlap, best first."""
    register = Register()
    names, series = _columns(known)
    register.add(series)
    own, values = _columns(asked)
    return [
        {
            "series": own[one.series],
            "overlaps": names[one.known],
            "landmarks": one.votes,
            "share": round(one.share, 3),
        }
        for one in register.overlaps(values)
    ]


def _columns(store: RaggedStore) -> tuple[list[str], list[NDArray[Any]]]:
    """Return each series' values by channel and value column, and their names."""
    names, found = [], []
    for number in range(len(store)):
        rows = slice(int(store.offsets[number]), int(store.offsets[number + 1]))
        for code in range(len(store.channels)):
            mine = store.channel[rows] == code
            for element, value in enumerate(store.value_names):
                seen = mine & store.observed[rows, element]
                if seen.any():
                    several = len(store.value_names) > 1
                    parts = [str(store.ids[number].as_py()), store.channels[code],
                             value if several else ""]  # fmt: skip
                    names.append(":".join(part for part in parts if part))
                    found.append(store.values[rows, element][seen])
    return names, found
