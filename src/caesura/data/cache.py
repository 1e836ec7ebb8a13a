"""The ragged form on disk: one Arrow file a table, mapped into memory and never copied.

Built the first time a file or folder of some size is read, found again by what made it: the
path, size, time and last bytes of each source file, and the columns asked for. A changed
source makes another file and removes the old one. Each file carries a checksum of all its
bytes; one that does not match is told, removed and made anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from caesura.data.config import Columns
from caesura.data.parquet_files import data_files
from caesura.data.store import DoorReport, RaggedStore
from caesura.errors import DataError, StorageError
from caesura.files import cache_folder, write_atomically

log = logging.getLogger("caesura")
_FORMAT = 5
_WORTH_CACHING = 16 * 2**20
"""Bytes of source below which reading it again costs less than a person notices."""
_TAIL = 65_536
_RAGGED = ("values", "observed", "clock", "channel", "error")
_FACTS = (
    "channels",
    "value_names",
    "time_kind",
    "time_zone",
    "time_form",
    "tick_unit",
    "channels_are_numbers",
    "static_names",
    "static_classes",
    "column_types",
)


def cached_path(
    source: Path, columns: Columns, per_observation: bool, use: str = ""
) -> Path | None:
    """Return where the ragged form of a source belongs; None where it is not worth keeping.

    use: what the file is for, where it is not the whole of the source.
    """
    if os.environ.get("CAESURA_CACHE") == "off":
        return None
    files = data_files(source)
    states = [(file, file.stat()) for file in files]
    if sum(state.st_size for _, state in states) < _WORTH_CACHING:
        return None
    asked = json.dumps([_FORMAT, columns.model_dump(mode="json"), per_observation, use])
    place = hashlib.blake2b(f"{source.resolve()} {asked}".encode(), digest_size=12).hexdigest()
    content = hashlib.blake2b(digest_size=12)
    for file, state in states:
        name = file.relative_to(source) if file != source else file.name
        content.update(f"{name} {state.st_size} {state.st_mtime_ns}".encode())
        with file.open("rb") as opened:
            opened.seek(max(0, state.st_size - _TAIL))
            content.update(opened.read())
    return cache_folder() / "data" / f"{place}-{content.hexdigest()}.arrow"


def save_store(path: Path, store: RaggedStore, report: DoorReport) -> None:
    """Write the ragged form; a disk that refuses costs a warning and no more."""
    try:
        write_atomically(path, lambda temporary: _write(temporary, store, report))
    except StorageError as error:
        log.warning("the data is not kept for the next time: %s", error)
        return
    place, content = path.stem.split("-")
    for old in path.parent.glob(f"{place}-*"):  # an index lies beside its sample
        if not old.name.startswith(f"{place}-{content}"):
            old.unlink(missing_ok=True)


def load_store(path: Path) -> tuple[RaggedStore, DoorReport] | None:
    """Map a kept store, checked; None where there is none, or where it is damaged."""
    if not path.is_file():
        return None
    try:
        verify(path)
        return open_store(path)
    except DataError as error:
        log.warning("%s; it is made anew", error)
        path.unlink(missing_ok=True)
        return None


def verify(path: Path) -> None:
    """Raise a DataError where the file is not what was written."""
    with path.open("rb") as file:
        size = path.stat().st_size
        file.seek(max(0, size - 16))
        wanted = file.read(16)
        file.seek(0)
        if len(wanted) < 16 or _checksum(file, size - 16) != wanted:
            raise DataError(f"{path} is cut or damaged")


def open_store(path: Path) -> tuple[RaggedStore, DoorReport]:
    """Map a file without reading it."""
    try:
        whole = pa.memory_map(str(path))
        reader = ipc.open_file(pa.py_buffer(memoryview(whole.read_buffer())[:-16]))
        facts = json.loads(reader.schema.metadata[b"caesura"])
        batch = reader.get_batch(0)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path} is not a kept store ({error})") from None
    size, rows = len(facts["value_names"]), facts["rows"]
    columns = {name: _flat(batch, name) for name in _RAGGED}
    shaped = {
        name: None if column is None else column.reshape(rows, size)
        for name, column in columns.items()
        if name in ("values", "observed", "error")
    }
    if shaped["observed"] is None:
        shaped["observed"] = np.broadcast_to(np.True_, (rows, size))
    own = {name: batch[name].values for name in batch.schema.names}
    statics = [_viewed(own[f"static {name}"]) for name in facts["static_names"]]
    channel = columns["channel"]
    store = RaggedStore(
        values=_present(shaped["values"]),
        observed=_present(shaped["observed"]).astype(np.bool_, copy=False),
        clock=_present(columns["clock"]),
        channel=np.broadcast_to(np.int16(0), rows) if channel is None else channel,
        offsets=np.append(_viewed(own["start"]), rows),
        origins=_viewed(own["origin"]),
        ids=own["id"],
        texts=own.get("text"),
        error=shaped["error"],
        source_ids=own.get("source"),
        groups=_viewed(own["group"]) if "group" in own else None,
        static=np.stack(statics, axis=1) if statics else None,
        **{name: _tupled(facts[name]) for name in _FACTS},
    )
    return store, DoorReport(facts["read"], len(store), facts["notices"])


def _write(path: Path, store: RaggedStore, report: DoorReport) -> None:
    series: dict[str, Any] = {
        "id": store.ids,
        "start": store.offsets[:-1],
        "origin": store.origins,
    }
    if store.texts is not None:
        series["text"] = store.texts
    if store.source_ids is not None:
        series["source"] = store.source_ids
    if store.groups is not None:
        series["group"] = store.groups
    if store.static is not None:
        series |= {
            f"static {n}": c for n, c in zip(store.static_names, store.static.T, strict=True)
        }
    flat: dict[str, NDArray[Any] | None] = {
        "values": store.values,
        "observed": None if store.observed.all() else store.observed.view(np.uint8),
        "clock": store.clock,
        "channel": store.channel if len(store.channels) > 1 else None,
        "error": store.error,
    }
    facts = {name: getattr(store, name) for name in _FACTS} | {
        "rows": len(store.clock),
        "read": report.rows,
        "notices": report.notices,
    }
    columns = {name: pa.array(column) for name, column in series.items()}
    columns |= {
        name: pa.array(np.ascontiguousarray(column).reshape(-1))
        for name, column in flat.items()
        if column is not None
    }
    # a single row, in which each column is a list of its own length
    batch = pa.record_batch(
        {
            name: pa.LargeListArray.from_arrays(pa.array([0, len(column)], pa.int64()), column)
            for name, column in columns.items()
        }
    ).replace_schema_metadata({"caesura": json.dumps(facts)})
    with pa.OSFile(str(path), "wb") as file, ipc.new_file(file, batch.schema) as writer:
        writer.write_batch(batch)
    with path.open("r+b") as raw:
        size = path.stat().st_size
        digest = _checksum(raw, size)
        raw.seek(size)
        raw.write(digest)


def _flat(batch: pa.RecordBatch, name: str) -> NDArray[Any] | None:
    if name not in batch.schema.names:
        return None
    return _viewed(batch[name].values)


def _viewed(column: pa.Array) -> NDArray[Any]:
    """Return numbers where they lie; Arrow's own way would import pandas, if it is there."""
    kind = np.dtype(column.type.to_pandas_dtype())
    return np.frombuffer(column.buffers()[1], dtype=kind, count=len(column), offset=0)


def _present(column: NDArray[Any] | None) -> NDArray[Any]:
    if column is None:
        raise DataError("a column is missing from a kept store")
    return column


def _tupled(value: Any) -> Any:
    return tuple(map(_tupled, value)) if isinstance(value, list) else value


def _checksum(file: Any, size: int) -> bytes:
    """Return 16 bytes that change with any one bit: exclusive-or and sum of all words.

    Read in blocks, not mapped, so that the pages do not count as this process's memory.
    """
    mixed, total = np.uint64(size), np.uint64(0)
    left = size
    while left > 0:
        block = file.read(min(left, 8 * 2**20))
        if not block:
            break
        left -= len(block)
        words = np.frombuffer(block + b"\0" * (-len(block) % 8), dtype=np.uint64)
        mixed ^= np.bitwise_xor.reduce(words)
        total = np.uint64((int(total) + int(words.sum(dtype=np.uint64))) % 2**64)
    return mixed.tobytes() + total.tobytes()
