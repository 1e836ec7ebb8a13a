"""Readers of corpus files: Monash .tsf, GluonTS Arrow, the csv of LTSF. All give a long table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from caesura.errors import DataError


def read_tsf(path: Path) -> pa.Table:
    """Read a file of the Monash archive (Godahewa et al. 2021): id, start, time, value.

    time counts steps from the series' start, which the column `start` names as the file does;
    `?` is a missing value. A line that is not of the format is a DataError with its number.
    """
    names: list[str] = []
    ids: list[str] = []
    starts: list[str] = []
    blocks: list[np.ndarray] = []
    inside = False
    text = path.read_bytes().decode("utf-8", errors="replace")
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            words = line.split()
            if words[0] == "@attribute" and len(words) == 3:
                names.append(words[1])
            inside = inside or words[0] == "@data"
            continue
        if not inside:
            raise DataError(f"{path}, line {number}: values before @data; this is no .tsf file")
        parts = line.split(":")
        if len(parts) != len(names) + 1:
            raise DataError(
                f"{path}, line {number}: {len(parts) - 1} attributes, the head names {len(names)}"
            )
        try:
            values = np.array([np.nan if v == "?" else float(v) for v in parts[-1].split(",")])
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        own = dict(zip(names, parts, strict=False))
        ids.append(own.get("series_name", f"T{len(ids) + 1}"))
        starts.append(own.get("start_timestamp", ""))
        blocks.append(values)
    if not blocks:
        raise DataError(f"{path} holds no series after @data")
    return _long(ids, blocks, {"start": starts} if any(starts) else {})


def is_gluonts(schema: pa.Schema) -> bool:
    """Say whether a table has a series in each row: a column `target` of lists."""
    if "target" not in schema.names:
        return False
    kind = schema.field("target").type
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def read_gluonts(table: pa.Table) -> pa.Table:
    """Turn a table with a series a row (`target`, and `item_id` and `start` if there) long.

    A target of lists of lists has a channel each, in the column `channel`.
    """
    column = table["target"].combine_chunks()
    names = table["item_id"].to_pylist() if "item_id" in table.column_names else None
    ids = [str(name) for name in names] if names else [f"T{i + 1}" for i in range(len(column))]
    extra = {}
    if "start" in table.column_names:
        extra["start"] = [str(one) for one in table["start"].to_pylist()]
    several = pa.types.is_list(column.type.value_type) or pa.types.is_large_list(
        column.type.value_type
    )
    if not several:
        blocks = [np.array(one.as_py() or [], dtype=np.float64) for one in column]
        return _long(ids, blocks, extra)
    whole = [np.array(one.as_py(), dtype=np.float64) for one in column]
    counts = [len(one) for one in whole]
    repeated = {k: list(np.repeat(v, counts)) for k, v in extra.items()}
    repeated["channel"] = [str(c) for count in counts for c in range(count)]
    blocks = [channel for one in whole for channel in one]
    return _long([i for i, n in zip(ids, counts, strict=True) for _ in range(n)], blocks, repeated)


def melt_ltsf(table: pa.Table) -> pa.Table:
    """Turn the csv of long-term forecasting (`date` and a column a variable) long: a series a
    variable, time in steps.

    A table without `date`, or with columns that are no numbers, is a DataError.
    """
    if "date" not in table.column_names:
        raise DataError(
            f"no column 'date'; columns: {', '.join(table.column_names)}. Files of long-term "
            "forecasting have a date and a column for each variable"
        )
    names = [name for name in table.column_names if name != "date"]
    textual = [n for n in names if not _is_number(table.schema.field(n).type)]
    if textual:
        raise DataError(f"columns {', '.join(textual)} are no numbers; drop them")
    blocks = [table[n].to_numpy(zero_copy_only=False).astype(np.float64) for n in names]
    return _long(names, blocks, {})


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _long(ids: list[str], blocks: list[np.ndarray], extra: dict[str, list[str]]) -> pa.Table:
    lengths = [len(block) for block in blocks]
    which = np.repeat(np.arange(len(blocks)), lengths)
    steps = np.concatenate([np.arange(n, dtype=np.int64) for n in lengths])

    def spread(words: list[str]) -> pa.Array:
        return pa.array(words).take(pa.array(which))

    values = np.concatenate(blocks)
    columns = {"id": spread(ids)} | {name: spread(words) for name, words in extra.items()}
    columns |= {"time": pa.array(steps), "value": pa.array(values, mask=np.isnan(values))}
    return pa.table(columns)
