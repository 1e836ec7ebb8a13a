"""Writes a table in the order that loads fastest and can be streamed, whatever its size.

Rows are dealt out by a hash of their id into parts that fit into memory, each part is sorted
by (id, time) and written as one file. So every series is whole within one file, and a folder
of these files can be trained on without being loaded.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.keys import keys_of
from caesura.data.parquet_files import is_parquet
from caesura.data.read import read_table
from caesura.data.rows import ParquetRows, Rows, TableRows
from caesura.data.spelling import distinct, plain
from caesura.errors import DataError
from caesura.files import storage_errors

_ROW_GROUP = 250_000
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def sort_table(
    source: Any,
    out: Path,
    by: tuple[str, str],
    *,
    rows_a_part: int = 20_000_000,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write the rows of a table to a new folder of Parquet files, sorted by (id, time).

    out: a folder that does not exist yet; it appears when all is written. by: the id and the
    time column. rows_a_part: rows that are in memory at once.
    """
    if out.exists():
        raise DataError(f"{out} exists; name a new folder, nothing is overwritten")
    is_stored = is_parquet(source)
    rows: Rows = ParquetRows(Path(source)) if is_stored else TableRows(read_table(source, by[:1]))
    for name in by:
        if name not in rows.schema.names:
            known = ", ".join(rows.schema.names)
            raise DataError(f"column {name!r} not in table; columns: {known}. Pass --id, --time")
    parts = max(1, -(-rows.num_rows // rows_a_part))
    with storage_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            dealt = _deal(rows, work, by[0], parts, on_progress)
            written = _sort_parts(dealt, work / "sorted", by)
            (work / "sorted").chmod(0o755)
            os.rename(work / "sorted", out)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return [out / path.name for path in written]


def _deal(
    rows: Rows, work: Path, name: str, parts: int, on_progress: Callable[[int, int], None]
) -> list[Path]:
    """Write each row to the part of its id, in the order of the table."""
    from pyarrow import parquet

    paths = [work / f"dealt-{part}.parquet" for part in range(parts)]
    writers = [parquet.ParquetWriter(path, rows.schema, compression="lz4") for path in paths]
    done = 0
    try:
        for batch in rows.batches(rows.schema.names):
            table = pa.Table.from_batches([batch], schema=rows.schema)
            part = _part(batch[name], parts)
            for number, writer in enumerate(writers):
                own = table if parts == 1 else table.filter(pa.array(part == number))
                if own.num_rows:
                    writer.write_table(own)
            done += batch.num_rows
            on_progress(done, rows.num_rows)
    finally:
        for writer in writers:
            writer.close()
    return paths


def _part(ids: pa.Array, parts: int) -> NDArray[np.int64]:
    """Return the part of each row: the same for equal ids."""
    if parts == 1:
        return np.zeros(len(ids), dtype=np.int64)
    if ids.null_count:
        raise DataError(f"the id column has {ids.null_count} empty cells; fill or drop them")
    names, codes = distinct(ids)
    place = (keys_of(names) * _GOLDEN >> np.uint64(40)) % np.uint64(parts)
    return np.asarray(place.astype(np.int64)[codes])


def _sort_parts(dealt: list[Path], folder: Path, by: tuple[str, str]) -> list[Path]:
    from pyarrow import parquet

    folder.mkdir()
    written = []
    for number, path in enumerate(dealt):
        table = parquet.read_table(path)
        path.unlink()
        keys = pa.table({name: plain(table[name]) for name in by})
        order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in by])
        target = folder / f"part-{number:05d}.parquet"
        parquet.write_table(
            table.take(order), target, row_group_size=_ROW_GROUP, write_page_checksum=True
        )
        written.append(target)
    return written
