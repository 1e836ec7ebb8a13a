"""Fine-tuning as it was and as it is, beside linear models, on series that nothing was fitted to.

Usage: python benchmarks/finetune_defaults.py supernovae|stays FOLDER --run RUN [--labels N]
       [--test N] [--seeds N] [--split N] [-o FILE]

supernovae: FOLDER holds lightcurves.parquet and meta.parquet (SNPCC); three types. stays: it holds
set_a.parquet and outcomes_a.parquet (PhysioNet 2012); death in hospital. RUN is pre-trained where
it is not there yet (`--minutes`), on the series that do not test. Test series are the same for
every seed; a seed draws the labelled ones, `--split` the test series. One JSON line a figure is
appended to FILE.
"""

import argparse
import datetime
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

import caesura
from caesura.metrics.classify import all_scores
from caesura.recipes.presets import NEW_HEAD
from caesura.tasks.controls import channel_statistics
from caesura.tasks.linear import fit_and_predict, linear_model
from caesura.tasks.predict import predict

OBJECTIVE = "stages.0.objective"
WAS = (*NEW_HEAD, "training.lr=5e-4", "training.epochs=20", "training.patience=8")
METHODS = {
    "fine-tuned as it was": {"settings": WAS},
    "fine-tuned as it was, balanced": {"settings": (*WAS, f"{OBJECTIVE}.class_weights=balanced")},
    "linear on embedding": {
        "head": "linear",
        "settings": (f"{OBJECTIVE}.pooling=cls+mean", f"{OBJECTIVE}.statistics=0"),
    },
    "linear on levels+max": {
        "head": "linear",
        "settings": (f"{OBJECTIVE}.pooling=levels+max", f"{OBJECTIVE}.statistics=0"),
    },
    "linear start": {"head": "linear"},
    "fine-tuned": {},
}


def supernovae(folder):
    """Return observations, ids, labels and columns of SNPCC."""
    curves = pq.read_table(folder / "lightcurves.parquet")
    curves = curves.set_column(2, "band", pc.cast(curves["band"], pa.string()))
    meta = pq.read_table(folder / "meta.parquet")
    kinds = np.array(meta["sim"].to_pylist())
    kinds = np.where(
        kinds == "Ia", "Ia", np.where(np.isin(kinds, ["Ib", "Ic", "Ibc"]), "Ibc", "II")
    )
    columns = {"id": "snid", "time": "mjd", "channel": "band", "value": ["flux"], "error": "err"}
    return curves, meta["snid"].to_numpy(), kinds, columns


def stays(folder):
    """Return observations, ids, labels and columns of PhysioNet 2012, set a."""
    table = pq.read_table(folder / "outcomes_a.parquet")
    died = np.where(table["In-hospital_death"].to_numpy() == 1, "yes", "no")
    columns = {
        "id": "RecordID",
        "time": "minute",
        "channel": "param",
        "value": ["value"],
        "missing": [-1],
    }
    return pq.read_table(folder / "set_a.parquet"), table["RecordID"].to_numpy(), died, columns


def scores_of(tuned, store, truth):
    """Return the scores of a run on the test series."""
    target = tuned.schema.target
    return all_scores("classification", truth, predict(tuned, store), target.weights)


def main():
    """Run all methods and seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=["supernovae", "stays"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=6)
    parser.add_argument("--pool", type=int, default=4000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--split", type=int, default=0)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    table, ids, kinds, columns = {"supernovae": supernovae, "stays": stays}[options.data](
        options.folder
    )
    order = np.random.default_rng(options.split).permutation(len(ids))
    pool, test = order[: options.pool], order[options.pool :][: options.test]
    name = columns["id"]
    seen, unseen = (table.filter(pc.is_in(table[name], pa.array(ids[s]))) for s in (pool, test))
    if not (options.run / "metrics.json").is_file():
        caesura.pretrain(
            seen,
            "romae",
            options.run,
            columns=columns,
            minutes=options.minutes,
            settings=["training.threads=1"],
        )
    run = caesura.load(options.run)
    store, held = run.open(seen), run.open(unseen)
    classes = np.unique(kinds)
    known = dict(zip(ids.tolist(), kinds, strict=True))
    truth = np.searchsorted(classes, [known[one] for one in held.ids.to_pylist()])
    for seed in range(options.seeds):
        chosen = np.sort(np.random.default_rng(seed).permutation(pool)[: options.labels])
        labels = pa.table({name: ids[chosen], "kind": kinds[chosen]})
        rows = {}
        for method in options.methods.split(","):
            given = dict(METHODS[method])
            given["settings"] = ("training.threads=1", *given.get("settings", ()))
            tuned = caesura.finetune(run, labels, data=seen, seed=seed, **given)
            rows[method] = scores_of(tuned, held, truth) | {"seconds": tuned.metrics["seconds"]}
            report(options, seed, method, rows[method])
        part = run.read_labels(labels, store)
        features = [channel_statistics(s, run.schema) for s in (store.take(part.series), held)]
        outputs = fit_and_predict(
            linear_model("classification", seed),
            "classification",
            features[0],
            part.values,
            features[1],
            len(classes),
        )
        weights = tuned.schema.target.weights
        report(
            options,
            seed,
            "linear on statistics",
            all_scores("classification", truth, outputs, weights),
        )


def report(options, seed, method, scores):
    """Print a row and append it as a JSON line."""
    row = {"experiment": f"finetune defaults, {options.data}, {options.labels} labels"}
    row |= {"split": options.split}
    row |= {"method": method, "seed": seed} | {k: round(v, 4) for k, v in scores.items()}
    row |= {"date": datetime.date.today().isoformat()}
    print(json.dumps(row), flush=True)
    if options.output:
        with options.output.open("a") as file:
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
