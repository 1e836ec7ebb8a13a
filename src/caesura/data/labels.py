"""Labels of series: a side table joined to a store by id."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from caesura.data.column_types import type_name
from caesura.data.columns import numeric
from caesura.data.read import read_table
from caesura.data.schema import Target
from caesura.data.spelling import places, plain, spelled
from caesura.data.store import RaggedStore
from caesura.errors import DataError

log = logging.getLogger("caesura")
_MOST_CLASSES = 20
FEWEST = 5
"""Series of a class that folds can share out."""
OTHER = "other"
"""Name of the class that rare ones are joined to."""
Rare = Literal["keep", "drop", "other"]


@dataclass(frozen=True)
class Labels:
    """Targets of the labelled series of a store.

    series: their numbers in the store. values: int64 class numbers (labelled,), 0/1 float
    (labelled, targets) for multi-label, or float64 (labelled, targets) for regression.
    split: rows of these that train and that validate, where that is given.
    """

    series: NDArray[np.int64]
    values: NDArray[Any]
    target: Target
    split: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None


def read_labels(
    source: Any,
    store: RaggedStore,
    id_column: str,
    names: tuple[str, ...] = (),
    task: str = "",
    rare: Rare = "keep",
) -> Labels:
    """Read `names` (default: the only other column) for the series of a store.

    Labels of unknown ids and empty labels are counted in a warning; none that match is an
    error. The task follows from the column where it is not given: numbers with fractions or
    more than 20 distinct values are a regression. rare: what becomes of classes with fewer
    than 5 series: kept, left out, or joined as "other".
    """
    table = read_table(source, (id_column,), names or None)
    if id_column not in table.column_names:
        known = ", ".join(table.column_names)
        raise DataError(
            f"labels have no column {id_column!r}; columns: {known}. Pass --label-id NAME"
        )
    names = names or _only_other(table, id_column)
    for name in names:
        if name not in table.column_names:
            raise DataError(
                f"labels have no column {name!r}; columns: {', '.join(table.column_names)}. "
                "Pass --target NAME"
            )
    known = table.filter(pc.is_valid(table[id_column]))
    for name in names:
        known = known.filter(pc.is_valid(known[name]))
    if known.num_rows < table.num_rows:
        log.warning("%d labels are empty and were left out", table.num_rows - known.num_rows)
    series, kept = match_ids(known[id_column], store.ids)
    chosen = known.take(pa.array(kept))
    target, values = _encode(chosen, names, task)
    if rare == "keep" or target.task != "classification":
        return Labels(series, values, target)
    few = np.bincount(values, minlength=len(target.classes)) < FEWEST
    if not few.any():
        return Labels(series, values, target)
    log.warning(
        "%d classes with fewer than %d series are %s: %s",
        int(few.sum()),
        FEWEST,
        "left out" if rare == "drop" else "joined as 'other'",
        ", ".join(name for name, is_few in zip(target.classes, few, strict=True) if is_few),
    )
    kinds = np.array(target.classes, dtype=object)[values]
    own = ~few[values]
    if rare == "drop":
        rows = np.flatnonzero(own)
        target, values = _encode(chosen.take(pa.array(rows)), names, target.task)
        return Labels(series[rows], values, target)
    renamed = pa.array(np.where(own, kinds, OTHER))
    target, values = _encode(pa.table({names[0]: renamed}), names, target.task)
    return Labels(series, values, target)


def match_ids(wanted: pa.Array, ids: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (numbers in `ids`, rows of `wanted`) of the ids that both have.

    Ids of two types match by their spelling (`data.spelling`). Unknown ids are counted in a
    warning; no match at all and an id that is given twice are errors.
    """
    found = places(wanted, ids)
    rows = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
    unknown = len(wanted) - len(rows)
    if unknown:
        missing = np.setdiff1d(np.arange(len(wanted)), rows)[:3]
        shown = ", ".join(repr(wanted[int(i)].as_py()) for i in missing)
        if not len(rows):
            same = plain(wanted).type.equals(ids.type)
            types = "" if same else f" (ids are {wanted.type}, in the data {ids.type})"
            raise DataError(
                f"none of the {len(wanted)} ids is in the data, first: {shown}; the data has "
                f"{', '.join(repr(v.as_py()) for v in ids[:3])}{types}"
            )
        log.warning("%d ids are not in the data and were left out, first: %s", unknown, shown)
    series = found.take(pa.array(rows)).to_numpy(zero_copy_only=False).astype(np.int64)
    values, counts = np.unique(series, return_counts=True)
    if (counts > 1).any():
        name = ids[int(values[counts > 1][0])].as_py()
        raise DataError(f"id {name!r} and {int((counts > 1).sum()) - 1} others are given twice")
    return series, rows


def _only_other(table: pa.Table, id_column: str) -> tuple[str, ...]:
    others = [name for name in table.column_names if name != id_column]
    if len(others) != 1:
        raise DataError(f"which label? columns: {', '.join(others)}. Pass --target NAME")
    return (others[0],)


def _encode(table: pa.Table, names: tuple[str, ...], task: str) -> tuple[Target, NDArray[Any]]:
    task = task or _guess_task(table, names)
    if task == "classification" and len(names) > 1:
        values = np.stack([numeric(table, name) for name in names], axis=1)
        if not np.isin(values, (0, 1)).all():
            raise DataError(f"several targets ({', '.join(names)}) need 0/1 columns (multi-label)")
        return Target(task="multilabel", names=names, classes=names), values.astype(np.float32)
    if task == "classification":
        return _classes(table, names[0])
    values = np.stack([numeric(table, name) for name in names], axis=1)
    if not np.isfinite(values).all():
        raise DataError(f"targets {', '.join(names)} hold infinite or NaN values; drop those rows")
    return Target(task="regression", names=names), values


def _guess_task(table: pa.Table, names: tuple[str, ...]) -> str:
    for name in names:
        kind = table[name].type
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            values = numeric(table, name)
            if len(np.unique(values)) > _MOST_CLASSES or (values % 1 != 0).any():
                return "regression"
        if pa.types.is_integer(kind) and pc.count_distinct(table[name]).as_py() > _MOST_CLASSES:
            return "regression"
    return "classification"


def _classes(table: pa.Table, name: str) -> tuple[Target, NDArray[np.int64]]:
    cells = plain(table[name])
    distinct = pa.array(sorted(pc.unique(cells).to_pylist()), type=cells.type)
    if len(distinct) < 2:
        left = "no class with enough series"
        if len(distinct):
            left = f"one class only ({distinct[0].as_py()!r})"
        raise DataError(
            f"label {name!r} has {left} among the series of the data; at least 2 are needed"
        )
    target = Target(
        task="classification",
        names=(name,),
        classes=tuple(spelled(distinct).to_pylist()),
        label_type=type_name(table.schema.field(name).type),
    )
    return target, pc.index_in(cells, distinct).to_numpy().astype(np.int64)
