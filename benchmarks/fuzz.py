"""Damage what doors read, a million times: nothing but our own errors may come out.

    python benchmarks/fuzz.py [--cases 1000000] [--seed 0] [--only NAME] [-o FILE]

Valid files (.ts, .tsf, CSV, Parquet, recipes, schemas, weights) have bytes flipped, cut, doubled
and replaced by what breaks parsers. Each door reads them in a process of its own, so that a crash
of a library below is seen as one. Prints cases, reads that succeeded, errors by kind, and what came
out otherwise; ends with 1 if anything did. A case that fails is written to fuzz-NAME-CASE.
"""

import argparse
import collections
import datetime
import json
import logging
import multiprocessing
import os
import random
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import torch

from caesura.data.config import Columns, DataConfig
from caesura.data.corpus_files import read_tsf
from caesura.data.door import open_data
from caesura.data.schema import fit_schema
from caesura.data.ts_file import read_ts
from caesura.errors import CaesuraError
from caesura.folder import SCHEMA, read_schema
from caesura.recipes.presets import PRESETS
from caesura.recipes.schema import make_recipe, read_recipe, to_toml
from caesura.training.checkpoint import load_tensors, save_tensors

CONFIG = DataConfig(columns=Columns(channel="channel"))
TS = b"""@problemName x
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true a b
@data
1.0,2.0,3.5:0.1,?,0.3:a
4.0,5.0:0.4,0.5:b
"""
TSF = b"""@relation x
@attribute series_name string
@attribute start_timestamp date
@frequency hourly
@horizon 2
@missing true
@equallength false
@data
T1:2001-01-01 00-00-00:1.0,2.0,?,4.0
T2:2001-01-01 00-00-00:5,6,7
"""
TOKENS = (
    b"", b"nan", b"inf", b"-1", b"0", b"1e999", b"999999999999999999999", b"\x00", b"\xff", b"\n",
    b",", b":", b"\"", b"[", b"]", b"{", b"}", b"=", b"?", b"@data", b"true", b"null",
    b"'''", b"1/0", b"\xef\xbb\xbf", b"\r", b"1970-01-01", b"-0.0", b"a" * 300,
)  # fmt: skip


def table():
    """Return a small long table."""
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "id": np.repeat(["a", "b", "c"], 8),
            "time": rng.uniform(0, 9, 24),
            "channel": np.tile(["u", "v"], 12),
            "value": rng.standard_normal(24),
        }
    )


def seeds(folder):
    """Return of each door the files it begins from and what reads them."""
    csv.write_csv(table(), folder / "t.csv")
    pq.write_table(table(), folder / "t.parquet")
    store, _ = open_data(table(), CONFIG)
    schema = fit_schema(store, np.arange(3), CONFIG)
    save_tensors(folder / "t.safetensors", {"encoder/a": torch.arange(6.0)}, {"parts": ["encoder"]})
    recipes = [to_toml(make_recipe(PRESETS[name]())).encode() for name in ("romae", "timemar")]
    return {
        "ts": ([TS], "x.ts", read_ts),
        "tsf": ([TSF], "x.tsf", read_tsf),
        "recipe": (recipes, "x.toml", lambda path: make_recipe(read_recipe(path))),
        "schema": ([schema.model_dump_json(indent=2).encode()], SCHEMA,
                   lambda path: read_schema(path.parent)),
        "weights": ([(folder / "t.safetensors").read_bytes()], "x.safetensors", load_tensors),
        "csv": ([(folder / "t.csv").read_bytes()], "x.csv", lambda path: open_data(path, CONFIG)),
        "parquet": ([(folder / "t.parquet").read_bytes()], "x.parquet",
                    lambda path: open_data(path, CONFIG)),
    }  # fmt: skip


SHARES = {"ts": 4, "tsf": 3, "recipe": 4, "schema": 4, "weights": 3, "csv": 1, "parquet": 1}
"""How many of 20 cases each door gets: those that read faster get more."""


def damaged(content, rng):
    """Return bytes with one to three things wrong."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(found) + 1)
        kind = rng.randrange(6)
        if kind == 0 and found:
            found[at % len(found)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del found[at : at + rng.randint(1, 40)]
        elif kind == 2:
            found[at:at] = found[at : at + rng.randint(1, 40)]
        elif kind == 3:
            found[at : at + rng.randint(0, 6)] = rng.choice(TOKENS)
        elif kind == 4:
            del found[at:]
        else:
            found[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 4)))
    return bytes(found)


def work(name, first, count, seed, report):
    """Read damaged files of one door; send what came of them."""
    os.environ["CAESURA_CACHE"] = "off"
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(
        dir="/dev/shm" if Path("/dev/shm").is_dir() else None
    ) as place:
        folder = Path(place)
        starts, file, read = seeds(folder)[name]
        came, bad = collections.Counter(), []
        for case in range(first, first + count):
            rng = random.Random(f"{seed} {name} {case}")
            content = damaged(rng.choice(starts), rng)
            (folder / file).write_bytes(content)
            (folder / "case").write_bytes(str(case).encode())
            try:
                read(folder / file)
                came["read"] += 1
            except CaesuraError as error:
                came[type(error).__name__] += 1
            except Exception as error:
                came["other"] += 1
                bad.append((case, type(error).__name__, str(error)[:200], content))
        report.put((dict(came), bad[:20]))


def fuzz(name, cases, seed):
    """Return counts of a door, and what came out that must not."""
    context = multiprocessing.get_context("spawn")
    report = context.Queue()
    process = context.Process(target=work, args=(name, 0, cases, seed, report))
    begun = time.monotonic()
    process.start()
    while process.is_alive() and report.empty():
        time.sleep(0.2)
    came, bad = (
        ({"crash": 1}, [(-1, "crash", f"exit {process.exitcode}", b"")])
        if report.empty()
        else report.get()
    )
    process.join()
    return came, bad, time.monotonic() - begun


def main():
    """Fuzz each door and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    failed = 0
    for name, share in SHARES.items():
        if args.only and name != args.only:
            continue
        cases = max(1, args.cases * share // sum(SHARES.values()))
        came, bad, seconds = fuzz(name, cases, args.seed)
        row = {"door": name, "cases": cases, **came, "seconds": round(seconds, 1)}
        row["date"] = datetime.date.today().isoformat()
        print(json.dumps(row), flush=True)
        if args.output:
            with args.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
        for case, kind, said, content in bad:
            failed += 1
            print(f"  case {case}: {kind}: {said}")
            Path(f"fuzz-{name}-{case}").write_bytes(content)
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
