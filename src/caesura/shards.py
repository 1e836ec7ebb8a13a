"""Vectors of a corpus that memory does not hold: part by part, by any number of processes.

A part is some row groups; each becomes one Parquet file, written whole or not at all. What is there
is not made again, so that a killed run goes on, with as many processes as there are then.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from caesura.data.column_types import beside, type_name, typed
from caesura.data.groups import SeriesGroups
from caesura.data.parquet_files import is_parquet
from caesura.data.write import check_apart, write_table
from caesura.errors import DataError, RecipeError
from caesura.files import claim, write_json
from caesura.nn.heads import Pooling, pooled_width
from caesura.run import Run
from caesura.tasks.embed import embed
from caesura.training.checkpoint import read_json
from caesura.types import as_encoder

log = logging.getLogger("caesura")
ROWS = 1_000_000
"""Observations of a part, about."""
_ABOUT = "_parts.json"  # readers of folders of Parquet leave such names out


def place_of_process() -> tuple[int, int]:
    """Return rank and number of processes, as torchrun or SLURM say."""
    for rank, world in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if rank in os.environ and world in os.environ:
            return int(os.environ[rank]), int(os.environ[world])
    return 0, 1


@dataclass(frozen=True)
class Parts:
    """The parts of a corpus, and the folder of their vectors."""

    run: Run
    groups: SeriesGroups
    ranges: Sequence[Sequence[int]]
    folder: Path
    pooling: Pooling

    def path(self, number: int) -> Path:
        """Return the file of a part's vectors."""
        return self.folder / f"part-{number:05d}-of-{len(self.ranges):05d}.parquet"

    def missing(self) -> list[int]:
        """Return the parts that are not written yet."""
        return [n for n in range(len(self.ranges)) if not self.path(n).is_file()]

    def write(self, number: int) -> int:
        """Embed the series that begin in a part and write them; return how many there are."""
        return _write_part(
            self.run, self.groups, list(self.ranges[number]), self.pooling, self.path(number)
        )


def parts_of(
    run: Run, data: str | Path, folder: Path, pooling: Pooling = "auto", rows: int = ROWS
) -> Parts:
    """Cut a corpus into parts of about `rows` observations.

    data: a Parquet file or folder whose series' rows follow one another; another is a DataError. A
    folder that holds parts of something else is a RecipeError.
    """
    if not is_parquet(data):
        raise DataError(f"{data} is no Parquet file or folder; parts are of those")
    check_apart(folder / "part.parquet", data)
    groups = SeriesGroups(Path(data), run.reading(), lenient=True)
    ranges = groups.in_parts(rows)
    _check_same(folder, _about(run, groups, pooling, rows, len(ranges)))
    return Parts(run, groups, ranges, folder, pooling)


def embed_parts(
    run: Run,
    data: str | Path,
    folder: Path,
    *,
    pooling: Pooling = "auto",
    rows: int = ROWS,
    place: tuple[int, int] | None = None,
    on_part: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write id, f0, f1, ... of this process' share of a corpus, a Parquet file a part.

    data, folder, errors: of `parts_of`. place: rank and number of processes; None: what the
    environment says. Returns the number of series that were embedded now.
    """
    parts = parts_of(run, data, folder, pooling, rows)
    rank, world = place or place_of_process()
    own, done = range(rank, len(parts.ranges), world), 0
    for count, number in enumerate(own, 1):
        if not parts.path(number).is_file():
            done += parts.write(number)
        on_part(count, len(own))
    return done


def _write_part(
    run: Run, groups: SeriesGroups, numbers: list[int], pooling: Pooling, path: Path
) -> int:
    """Embed the series that begin in some row groups, and write them."""
    name, ids, vectors = run.schema.columns.id, [], []
    kind = type_name(groups.rows.schema.field(name).type)
    width = pooled_width(as_encoder(run.parts["encoder"]), pooling)
    for number in numbers:
        begun = groups.read_all(number)
        for notice in begun.report.notices if len(begun.ids) else ():
            log.warning("row group %d: %s", number, notice)
        if begun.store is not None:
            vectors.append(begun.store.spread(embed(run, begun.store, pooling)))
        elif len(begun.ids):
            vectors.append(np.full((len(begun.ids), width), np.nan, np.float32))
        if len(begun.ids):
            ids.append(typed(begun.ids, kind))
    if not ids:  # one series goes on through all of it
        write_table(pa.table({name: pa.array([], groups.ids(0).type)}), path)
        return 0
    whole = np.concatenate(vectors)
    features = {f"f{i}": pa.array(column) for i, column in enumerate(whole.T)}
    write_table(pa.table(beside({name: pa.chunked_array(ids)}, features)), path)
    return len(whole)


def _about(
    run: Run, groups: SeriesGroups, pooling: str, rows: int, parts: int
) -> dict[str, object]:
    """Return what must be the same for parts to belong together."""
    return {
        "run": str(run.folder.resolve()) if run.folder else "",
        "steps": run.metrics.get("steps"),
        "validation_loss": run.metrics.get("validation_loss"),
        "data": str(groups.path.resolve()),
        "observations": groups.rows.num_rows,
        "pooling": pooling,
        "rows": rows,
        "parts": parts,
    }


def _check_same(folder: Path, about: dict[str, object]) -> None:
    """Write what the parts are, or compare it with what is there."""
    claim(folder, (_ABOUT,), "--output")
    path = folder / _ABOUT
    if not path.is_file():
        write_json(path, about)
        return
    found = read_json(path)
    differs = [key for key, value in about.items() if not _has(found, key, value)]
    if differs:
        raise RecipeError(
            f"{folder} holds parts with another {differs[0]}; choose another folder, or remove it"
        )


def _has(found: object, key: str, value: object) -> bool:
    return isinstance(found, dict) and key in found and found[key] == value
