"""Kill every verb that takes long at random moments; nothing may be lost.

Usage: python benchmarks/kills.py FOLDER [--kills 200] [--seed 0] [-o FILE]

A chain of one verb (trainings of one stage and of two, embedding in one file and by parts,
interpolation, generation, a study) is started, killed by SIGKILL after a random time and started
again, with --resume where the verb has it, until it is through; then its result is compared bit by
bit with that of an undisturbed run. After each kill, whatever has its final name must be whole.
"""

import argparse
import datetime
import json
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import load_file

import caesura
from caesura.data.bundled import bundled
from caesura.errors import CaesuraError

SMALL = (
    "encoder.width=32", "encoder.heads=2", "encoder.depth=2", "encoder.dropout=0.1",
    "encoder.stochastic_depth=0.1", "stages.0.decoder.width=32", "stages.0.decoder.heads=2",
    "training.evaluate_every=4", "training.batch_tokens=2048",
)  # fmt: skip
SMALL_CODES = (
    "training.evaluate_every=4", "encoder.width=16", "stages.0.objective.quantiser.codes=32",
    "stages.1.objective.width=16", "stages.1.objective.depth=1", "stages.1.objective.heads=2",
)  # fmt: skip
_PARTS = """
import sys
from pathlib import Path
import caesura
from caesura.shards import embed_parts
run, data, folder = sys.argv[1:]
embed_parts(caesura.load(run), Path(data), Path(folder), rows=5000)
"""
"""As `caesura embed -o FOLDER` does it, whose parts are of millions of rows."""
_TIMES = {"seconds", "training seconds", "date", "minutes"}
"""What two runs of the same study may differ in."""


@dataclass(frozen=True)
class Verb:
    """A chain: its command, where the result lies in its output, how often it is taken."""

    command: tuple[str, ...]
    result: str
    weight: int = 1
    resumes: bool = False


def verbs(folder):
    """Return the chains by name, over the tables and the finished runs of a folder."""
    stays, waves = str(folder / "stays.parquet"), str(folder / "waves.parquet")
    read = ("--data", stays, "--id", "stay", "--time", "hour", "--channel", "variable")
    codes = ("--data", waves, "--window", "24", "--steps", "30")
    run, codes_run = str(folder / "pretrain"), str(folder / "codes")
    study = ("--data", waves, "--labels", str(folder / "labels.parquet"), "--rate", "1",
             "--objectives", "masked_tokens", "--augmentations", "none", "--encoders", "16x1",
             "--seeds", "1", "--steps", "8", "--tuning-steps", "4")  # fmt: skip
    return {
        "pretrain": Verb(("pretrain", "romae", *read, "--steps", "60", *_set(SMALL), "--out"),
                         "model.safetensors", 3, resumes=True),
        "codes": Verb(("pretrain", "timemar", *codes, *_set(SMALL_CODES), "--out"),
                      "model.safetensors", 2, resumes=True),
        "embed": Verb(("embed", run, "--data", stays, "-o"), ".parquet"),
        "parts": Verb((run, stays), "", 2),
        "interpolate": Verb(("interpolate", run, "--data", stays, "--at", "every:6", "-o"),
                            ".parquet"),
        "generate": Verb(("generate", codes_run, "-n", "3000", "-o"), ".parquet"),
        "study": Verb(("study", "dividend", *study, "--out"), "results.jsonl", 2, resumes=True),
    }  # fmt: skip


def _set(settings):
    return [part for setting in settings for part in ("--set", setting)]


def place(folder, name, verb, number=None):
    """Return the output of a chain: a file or a folder."""
    stem = name if number is None else f"{name}-{number}"
    return folder / f"{stem}{verb.result}" if verb.result.startswith(".") else folder / stem


def line(verb, out):
    """Return the whole command, with --resume where something is there to go on with."""
    if verb.result == "":
        return [sys.executable, "-W", "ignore", "-c", _PARTS, *verb.command, str(out)]
    begun = any((out / name).is_file() for name in ("recipe.toml", "plan.json"))
    again = ["--resume"] if verb.resumes and begun else []
    base = [sys.executable, "-W", "ignore", "-m", "caesura.cli.main", "--quiet", "--threads", "1"]
    return [*base, *verb.command, str(out), *again]


def read(verb, out):
    """Return a result as something that can be compared bit by bit."""
    path = out / verb.result if out.is_dir() else out
    if path.suffix == ".safetensors":
        return {name: array.tobytes() for name, array in load_file(path).items()}
    if path.suffix == ".jsonl":
        rows = [_timeless(json.loads(row)) for row in path.read_text().splitlines()]
        return sorted(json.dumps(row, sort_keys=True) for row in rows)
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    return [(file.name if path.is_dir() else "", pq.read_table(file)) for file in files]


def _timeless(value):
    """Return JSON without what depends on the clock."""
    if isinstance(value, dict):
        return {k: _timeless(v) for k, v in value.items() if k not in _TIMES}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def check(verb, out, reference):
    """Raise where something half-written has a final name."""
    if out.is_file():
        if read(verb, out) != read(verb, reference):
            raise SystemExit(f"{out} differs from {reference} after a kill")
    elif out.is_dir() and verb.result == "":
        whole = dict(read(verb, reference))
        for name, table in read(verb, out):
            if not table.equals(whole[name]):
                raise SystemExit(f"{out / name} differs from {reference / name} after a kill")
    elif out.is_dir() and verb.result == "model.safetensors":
        try:
            caesura.load(out)
        except CaesuraError as error:
            if "did not finish" not in str(error) and "not a run" not in str(error):
                raise SystemExit(f"{out} is damaged after a kill: {error}") from error
    elif out.is_dir():
        for path in out.rglob("*.json*"):
            for row in path.read_text().splitlines() if path.suffix == ".jsonl" else [path]:
                json.loads(row.read_text() if isinstance(row, Path) else row)


def write_data(folder):
    """Write hospital stays, waves of two shapes and their labels."""
    table = pq.read_table(bundled("physionet2012.parquet"))
    stays = np.unique(table["stay"].to_numpy())[:400]
    some = table.filter(np.isin(table["stay"].to_numpy(), stays))
    pq.write_table(some, folder / "stays.parquet", row_group_size=4000)
    rng, steps, count = np.random.default_rng(0), 96, 60
    label = np.arange(count) % 2
    phase = 2 * np.pi * rng.random(count)[:, None]
    angle = 2 * np.pi * np.arange(steps) / np.where(label, 12, 16)[:, None] + phase
    values = np.sin(angle) + 0.2 * rng.standard_normal((count, steps))
    ids = np.repeat(np.arange(count), steps)
    times = np.tile(np.arange(steps, dtype=float), count)
    waves = pa.table({"id": ids, "time": times, "value": values.ravel()})
    pq.write_table(waves, folder / "waves.parquet")
    labels = pa.table({"id": np.arange(count), "shape": label})
    pq.write_table(labels, folder / "labels.parquet")


def kill_until_done(verb, out, reference, pause, left):
    """Run a chain to its end under at most `left` kills; return how many there were."""
    kills = 0
    while True:
        process = subprocess.Popen(line(verb, out), stdout=subprocess.DEVNULL)
        try:
            code = process.wait(None if kills >= left else pause())
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            check(verb, out, reference)
            continue
        if code:
            raise SystemExit(f"{' '.join(line(verb, out))} failed with {code} after {kills} kills")
        if read(verb, out) != read(verb, reference):
            raise SystemExit(f"{out} differs from the undisturbed {reference}")
        return kills


def main():
    """Kill until the number is reached, then let the last chain end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    folder, draw = options.folder, random.Random(options.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_data(folder)
    chains, length = verbs(folder), {}
    for name, verb in chains.items():
        begun = time.monotonic()
        command = line(verb, place(folder, name, verb))
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        length[name] = time.monotonic() - begun
    killed, done = dict.fromkeys(chains, 0), dict.fromkeys(chains, 0)
    while sum(killed.values()) < options.kills:
        name = draw.choices(list(chains), [verb.weight for verb in chains.values()])[0]
        verb, out = chains[name], place(folder, name, chains[name], done[name])

        def pause(longest=1.4 * length[name]):
            return draw.uniform(0.2, longest)

        reference = place(folder, name, verb)
        left = options.kills - sum(killed.values())
        killed[name] += kill_until_done(verb, out, reference, pause, left)
        done[name] += 1
        print(f"{sum(killed.values())} kills, {done}", flush=True)
    row = {
        "experiment": "random kills",
        "kills": killed,
        "results_compared": done,
        "all_bit_equal": True,
        "command": f"python benchmarks/kills.py FOLDER --kills {options.kills}",
        "hardware": f"{platform.machine()} CPU, 1 thread",
        "date": datetime.date.today().isoformat(),
    }
    print(json.dumps(row, indent=2))
    if options.output:
        with options.output.open("a") as handle:
            handle.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
