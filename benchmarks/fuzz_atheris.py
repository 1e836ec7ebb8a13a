"""Damage what doors read where it leads to new code: a fuzzer that is guided by coverage.

    pip install atheris        # in an environment of its own, beside caesura
    python benchmarks/fuzz_atheris.py [--runs 100000] [--only NAME] [-o FILE]

The doors and valid files are those of benchmarks/fuzz.py; atheris (libFuzzer) mutates them, keeps
what reaches new branches of `caesura.data`, `caesura.recipes` and the like, and goes on from there.
Prints cases, branches reached, and what came out; ends with 1 if anything but our own errors did.
A case that fails is kept as fuzz-NAME-crash-..., the last one of a process that died as
fuzz-NAME-last.
"""

import argparse
import datetime
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import atheris
import numpy as np

INSTRUMENTED = ["caesura.data", "caesura.recipes", "caesura.folder", "caesura.training.checkpoint"]
DOORS = ("ts", "tsf", "recipe", "schema", "weights", "csv", "parquet")
CAME = ("read", "our error")


def fuzz(name, runs, folder):
    """Read what the fuzzer makes, for ever or `runs` times; an error that is not ours ends it."""
    os.environ["CAESURA_CACHE"] = "off"
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz import seeds

        from caesura.errors import CaesuraError
    starts, file, read = seeds(folder)[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, content in enumerate(starts):
        (corpus / str(number)).write_bytes(content)
    came = np.memmap(folder / "came", np.int64, "w+", shape=(len(CAME),))

    def one(content):
        (folder / file).write_bytes(content)
        try:
            read(folder / file)
            came[0] += 1
        except CaesuraError:
            came[1] += 1

    longest = max(4096, 2 * max(map(len, starts)))
    flags = [f"-runs={runs}", f"-max_len={longest}", f"-artifact_prefix=fuzz-{name}-", "-seed=1"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], one)
    atheris.Fuzz()


def watched(name, runs):
    """Fuzz a door in a process of its own; return its figures and what it said last."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=place) as folder:
        command = [sys.executable, __file__, "--runs", str(runs), "--door", name, "--in", folder]
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        seconds = time.monotonic() - begun
        came = np.fromfile(Path(folder) / "came", np.int64).tolist()
        for last in Path(folder).glob("x.*") if done.returncode else ():
            shutil.copy(last, f"fuzz-{name}-last{last.suffix}")
    reached = [int(n) for n in re.findall(r"cov: (\d+)", done.stderr)]
    row = {"door": name, "engine": "atheris", "cases": sum(came) + (done.returncode != 0)}
    row |= dict(zip(CAME, came, strict=True)) | {"other": int(done.returncode != 0)}
    row |= {"branches at first": reached[0], "branches": max(reached), "seconds": round(seconds, 1)}
    return row, f"{done.stderr[-3000:]}\nexit code {done.returncode}"


def main():
    """Fuzz each door and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--only", default="")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--door", help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.door:
        fuzz(args.door, args.runs, args.folder)
    failed = 0
    for name in DOORS:
        if args.only and name != args.only:
            continue
        row, said = watched(name, args.runs)
        row["date"] = datetime.date.today().isoformat()
        print(json.dumps(row), flush=True)
        if row["other"]:
            failed += 1
            print(said)
        if args.output:
            with args.output.open("a") as file:
                file.write(json.dumps(row) + "\n")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
