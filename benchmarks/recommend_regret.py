"""How much skill a recommendation of a minute gives away beside the best arm of a full study.

Usage: python benchmarks/recommend_regret.py DATA OUT [MINUTES_STUDY] [MINUTES_RECOMMEND]

DATA: the project's data folder (ucr_uea/). For each of eight sets a study of four objectives and a
recommendation are run on the same series; a set's line of OUT/regret.jsonl, once there, is kept, so
that a killed run goes on. Regret: the frozen skill of the study's best arm (by its report, which
flatters it) less that of the recommended objective and augmentation, mean over seeds.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caesura.metrics.compare import hierarchical_bootstrap
from caesura.study.dividend.answers import answer
from caesura.study.dividend.begin import Question, begin, data_config
from caesura.study.dividend.recommend import recommend

SETS = ("ECG200", "GunPointAgeSpan", "SyntheticControl", "Trace", "ToeSegmentation1",
        "CBF", "Computers", "Ham", "Wine")  # fmt: skip
OBJECTIVES = ("masked_tokens", "next_patch", "jepa", "lejepa")
WANTED = 8


def as_tables(name: str, root: Path, folder: Path) -> tuple[str, str] | None:
    """Write a set (both parts) as a long table and labels; None where it is not there."""
    path = root / "ucr_uea" / f"{name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as z:
        x = np.concatenate([z["X_train"], z["X_test"]])[:, 0]
        y = np.concatenate([z["y_train"], z["y_test"]])
    x, y = x[:500], y[:500]
    count, length = x.shape
    table = {"id": np.repeat(np.arange(count), length), "time": np.tile(np.arange(length), count),
             "value": x.ravel()}  # fmt: skip
    data, labels = folder / "data.parquet", folder / "labels.parquet"
    pq.write_table(pa.table(table), data)
    pq.write_table(pa.table({"id": np.arange(count), "kind": y}), labels)
    return str(data), str(labels)


def regret_of(name: str, root: Path, study_minutes: float, minutes: float) -> dict | None:
    """Return the line of a set."""
    with tempfile.TemporaryDirectory() as temporary:
        tables = as_tables(name, root, Path(temporary))
        if tables is None:
            return None
        data, labels = tables
        question = Question(data, data_config(data, {}, 1.0), labels)
        full = {"objectives": OBJECTIVES, "views": ("none", "jitter"), "seeds": 2}
        study = begin(question, Path(temporary) / "study", full, minutes=study_minutes)
        study.open(resume=False)
        study.run()
        found = answer(study)
        short = begin(question, Path(temporary) / "short", full | {"seeds": 1})
        proposed = recommend(short, minutes).chosen
        best = max(found.arms, key=lambda arm: arm.frozen.value)
        ours = next(
            arm
            for arm in found.arms
            if (arm.objective, arm.view) == (proposed.objective, proposed.view)
        )
        return {
            "set": name, "recommended": ours.name, "best": best.name,
            "regret": best.frozen.value - ours.frozen.value,
            "never trained": best.twin.value, "best skill": best.frozen.value,
        }  # fmt: skip


def main() -> None:
    """Run what is missing and print the table."""
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    study_minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 5.0
    minutes = float(sys.argv[4]) if len(sys.argv) > 4 else 1.0
    out.mkdir(parents=True, exist_ok=True)
    path = out / "regret.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    rows = [json.loads(line) for line in lines]
    for name in SETS:
        if len(rows) >= WANTED:
            break
        if any(row["set"] == name for row in rows):
            continue
        row = regret_of(name, root, study_minutes, minutes)
        if row is not None:
            rows.append(row)
            path.write_text("".join(json.dumps(r) + "\n" for r in rows))
            print(row, flush=True)
    table = np.array([[row["regret"]] for row in rows])
    print(f"mean regret over {len(rows)} sets: {hierarchical_bootstrap(table)}")


if __name__ == "__main__":
    main()
