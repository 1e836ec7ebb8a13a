"""Which span of time carries a label of irregular series? Stars, hospital stays, supernovae.

Usage: python benchmarks/span_probe.py --data DATA [--sets A,B] [--steps 600] [--seeds 2] [-o FILE]

For each set RoMAE is pre-trained with its defaults, labels unseen; then at most 800 labelled
series are probed twice: by its layers, and by spans of time chosen from the times alone. The same
grouped folds, linear models and inner choice; beside each level stands that of a random twin. Lines
that FILE holds already are not computed again.
"""

from __future__ import annotations

import json
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from kept_lines import arguments, run_missing

import caesura
from caesura.metrics.bootstrap import Interval
from caesura.tasks.probe import CHOSEN, TWIN, probe
from caesura.tasks.spans import spread_spans

MOST = 800
COMMON = 50
"""Stars that a class has at least."""
SETS = ("supernovae", "stays", "stars")


def opened(name, root):
    """Return observations, their columns, a table of id and label, and its label."""
    place = root / "irregular"
    if name == "stars":
        columns = {"id": "obj", "time": "t", "value": ["mag"], "error": "err"}
        labels = pq.read_table(place / "asas" / "classes.parquet").rename_columns(["obj", "class"])
        names, counts = np.unique(labels["class"].to_pylist(), return_counts=True)
        labels = labels.filter(pc.is_in(labels["class"], pa.array(names[counts >= COMMON])))
        return pq.read_table(place / "asas" / "lightcurves.parquet"), columns, labels, "class"
    if name == "stays":
        columns = {"id": "RecordID", "time": "minute", "channel": "param", "value": ["value"]}
        labels = pq.read_table(place / "physionet2012" / "outcomes_a.parquet")
        observed = pq.read_table(place / "physionet2012" / "set_a.parquet")
        return observed, columns, labels, "In-hospital_death"
    columns = {"id": "snid", "time": "mjd", "channel": "band", "value": ["flux"], "error": "err"}
    meta = pq.read_table(place / "snpcc" / "meta.parquet")
    supernova = pa.array([int(kind == "Ia") for kind in meta["sim"].to_pylist()])
    labels = pa.table({"snid": meta["snid"], "Ia": supernova})
    return pq.read_table(place / "snpcc" / "lightcurves.parquet"), columns, labels, "Ia"


def figures(result):
    """Return of a probe what each row says, in plain numbers."""
    rows = {}
    for row in result.tables["probe"]:
        name = CHOSEN if row["features"].startswith(CHOSEN) else row["features"]
        score = next(k for k, v in row.items() if isinstance(v, Interval) and k != TWIN)
        value, twin = row[score], row[TWIN]
        rows[name] = {score: [round(x, 4) for x in (value.value, value.lower, value.upper)]}
        if isinstance(twin, Interval):
            rows[name][TWIN] = round(twin.value, 4)
        if name == CHOSEN:
            rows[name]["named"] = row["features"]
    return rows


def row_of(name, root, steps, seed):
    """Pre-train on one set and probe it by layers and by spans."""
    observed, columns, labels, target = opened(name, root)
    chosen = np.random.default_rng(11).permutation(len(labels))[:MOST]
    labels = labels.take(pa.array(np.sort(chosen)))
    begun = time.monotonic()
    settings = tuple(f"data.columns.{k}={json.dumps(v)}" for k, v in columns.items())
    run = caesura.pretrain(observed, recipe="romae", steps=steps, seed=seed, settings=settings)
    trained = time.monotonic() - begun
    store = run.open(observed)
    known = run.read_labels(labels, store, (target,), rare="drop")
    spans = spread_spans(store.take(known.series))
    found = {"layers": figures(probe(run, store, known, seed=seed))}
    begun = time.monotonic()
    found["spans"] = figures(probe(run, store, known, seed=seed, spans=spans))
    return {"series": len(known.series), "training s": round(trained),
            "probe by spans s": round(time.monotonic() - begun), "rows": found}  # fmt: skip


def main():
    """Run what is not there yet."""
    options = arguments(__doc__, SETS, steps=600).parse_args()
    about = {"experiment": "spans", "steps": options.steps,
             "command": "python benchmarks/span_probe.py --data DATA"}  # fmt: skip
    run_missing(options, about, lambda name, seed: row_of(name, options.data, options.steps, seed))


if __name__ == "__main__":
    main()
