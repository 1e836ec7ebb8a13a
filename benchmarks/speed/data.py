"""Goals D1 to D5: from files to masked batches."""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from caesura.data.collate import collate
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.window import Windows
from caesura.signal.mask import draw_mask, keep_indices
from speed.model import corpus, seen
from speed.rival import Series, padded_loader
from speed.timing import interleaved, ratio

CONFIG = DataConfig(
    columns=Columns(id="id", time="t", channel="band", value=("v",), error="e"),
    tokens="observation",
)


def write_tables(folder: Path, rows: int = 10_000_000) -> tuple[Path, Path]:
    """Write a catalogue of series twice: sorted, and its rows shuffled.

    Times have 5 decimals and values 3 or 4, as catalogues have; the writer's own settings.
    """
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(np.log(85), 0.55, rows // 100), 20, 1000).astype(int)
    lengths = np.maximum(1, lengths * rows // lengths.sum())
    total = int(lengths.sum())
    table = pa.table(
        {
            "id": np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
            "t": np.round(59_000 + np.cumsum(rng.exponential(2e-3, total) + 2e-5), 5),
            "band": rng.integers(0, 6, total).astype(np.int8),
            "v": np.round(rng.normal(size=total), 3).astype(np.float32),
            "e": np.round(rng.random(total) * 0.2 + 0.01, 4).astype(np.float32),
        }
    )
    paths = folder / "sorted.parquet", folder / "shuffled.parquet"
    pq.write_table(table, paths[0])
    pq.write_table(table.take(pa.array(rng.permutation(total))), paths[1])
    return paths


def tables(folder: Path, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """D1: a sorted table over a plain read. D3: a shuffled one over DuckDB's ORDER BY."""
    logging.getLogger("caesura").setLevel(logging.ERROR)
    os.environ["CAESURA_CACHE"] = "off"
    pa.set_cpu_count(1)
    in_order, shuffled = write_tables(folder)
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: pq.read_table(in_order, use_threads=False),
        "door": lambda: open_data(in_order, CONFIG),
        "door_shuffled": lambda: open_data(shuffled, CONFIG),
    }
    try:
        import duckdb

        base = duckdb.connect()
        base.execute("set threads to 1")
        query = f"select * from '{shuffled}' order by id, t"
        calls["duckdb"] = lambda: base.sql(query).to_arrow_table()
    except ImportError:
        pass
    times = interleaved(calls, rounds)
    rows = pq.read_metadata(in_order).num_rows
    details = {f"{n}_mrows_per_s": rows / statistics.median(t) / 1e6 for n, t in times.items()}
    goals = {"D1": ratio(times["read"], times["door"])}
    if "duckdb" in times:
        goals["D3"] = ratio(times["duckdb"], times["door_shuffled"])
    os.environ.pop("CAESURA_CACHE")
    return goals, details


_FIRST_BATCH = """
import json, sys, time
import numpy as np, torch
from pathlib import Path
from caesura.data.cache import open_store, verify
from caesura.data.collate import collate, tokenise_store
from caesura.data.schema import Schema
from caesura.data.window import Windows

def memory(kind):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(l.split()[1]) / 1024 for l in lines if l.startswith(kind))

schema = Schema.model_validate_json(Path(sys.argv[2]).read_text())
before = memory("VmRSS"), memory("RssAnon")
begun = time.perf_counter()
store, _ = open_store(Path(sys.argv[1]))
tokens = tokenise_store(store, schema)
chosen = np.random.default_rng(0).integers(0, len(store), 256)
collate(tokens, Windows(chosen, store.offsets[chosen], store.offsets[chosen + 1]))
first = time.perf_counter() - begun
after = memory("VmRSS"), memory("RssAnon")
begun = time.perf_counter()
verify(Path(sys.argv[1]))
print(json.dumps([1e3 * first, after[0] - before[0], after[1] - before[1],
                  1e3 * (time.perf_counter() - begun)]))
"""


def kept_form(folder: Path, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """D2: milliseconds from the kept form of 10 M rows to a first batch of 256 random series."""
    from caesura.data.schema import fit_schema

    os.environ["CAESURA_CACHE"] = str(folder / "cache")
    store, _ = open_data(folder / "sorted.parquet", CONFIG)
    schema = folder / "schema.json"
    schema.write_text(fit_schema(store, np.arange(2000), CONFIG).model_dump_json())
    (kept,) = (folder / "cache" / "data").glob("*.arrow")
    found = []
    for _ in range(rounds):
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_BATCH, str(kept), str(schema)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found.append(json.loads(done.stdout))
    os.environ.pop("CAESURA_CACHE")
    first, memory, private, verified = (statistics.median(x) for x in zip(*found, strict=True))
    details = {
        "D2_resident_mib": memory,
        "D2_of_which_private_mib": private,
        "D2_checksum_ms": verified,
    }
    return {"D2": first}, details


def batches(rounds: int, us_per_observation: float) -> tuple[dict[str, float], dict[str, float]]:
    """D4: gather and masks of 256 series over a DataLoader with loops. D5: their share of a step.

    Each as it is used: ours takes series of like length, theirs any 256.
    """
    store = corpus(256 * 24, seed=2)
    tokens = seen(store)
    order = np.argsort(store.lengths, kind="stable")
    ours = [
        Windows(own, store.offsets[own], store.offsets[own + 1]) for own in order.reshape(-1, 256)
    ]
    rng = torch.Generator().manual_seed(0)

    def fast() -> None:
        for windows in ours:
            batch = collate(tokens, windows)
            inputs = batch.inputs
            hidden = draw_mask(inputs, batch.index, rng, 0.75, "uniform")
            inputs.select(*keep_indices(inputs.valid & ~hidden))
            inputs.select(*keep_indices(hidden))

    values, places = [], []
    for first, last in zip(store.offsets[:-1], store.offsets[1:], strict=True):
        values.append(torch.from_numpy(store.values[first:last]))
        both = np.stack([store.clock[first:last], store.channel[first:last]], axis=1)
        places.append(torch.from_numpy(both.astype(np.float32)))
    loader = iter(padded_loader(Series(values, places), 256, 250))
    times = interleaved({"fast": fast, "slow": lambda: next(loader)}, min(rounds, 12))
    one = [t / len(ours) for t in times["fast"]]
    milliseconds = 1e3 * statistics.median(one)
    step = 256 * store.lengths.mean() * us_per_observation / 1e3
    details = {
        "batch_of_256_ms": milliseconds,
        "rival_batch_of_256_ms": 1e3 * statistics.median(times["slow"]),
    }
    return {"D4": ratio(times["slow"], one), "D5": milliseconds / step}, details
