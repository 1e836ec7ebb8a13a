"""Lines of a benchmark over sets and seeds, kept as they come: it goes on where it was stopped."""

import argparse
import json
import platform
from datetime import date
from pathlib import Path


def arguments(about, sets, steps):
    """Return a parser of what such benchmarks take: data, sets, steps, seeds and output."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=",".join(sets))
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    return parser


def run_missing(options, about, row_of):
    """Append what `row_of(set, seed)` gives for each set and seed that the output has no line of.

    options: sets (A,B), seeds and output. about: what each line says besides.
    """
    there = set()
    if options.output and options.output.is_file():
        kept = [json.loads(row) for row in options.output.read_text().splitlines()]
        there = {(row["set"], row["seed"]) for row in kept}
    for seed in range(options.seeds):
        for name in options.sets.split(","):
            if (name, seed) in there:
                continue
            line = about | {"set": name, "seed": seed} | row_of(name, seed)
            line |= {"hardware": f"{platform.machine()} CPU, 1 thread",
                     "date": date.today().isoformat()}  # fmt: skip
            print(json.dumps(line), flush=True)
            if options.output:
                with options.output.open("a") as handle:
                    handle.write(json.dumps(line) + "\n")
