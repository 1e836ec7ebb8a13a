"""Which detector `caesura detect` takes, what it finds, and how often it is wrong.

Usage: python benchmarks/detectors.py --data DATA [--sets A,B] [--steps 100] [-o FILE]

A `lejepa` is trained on the normal part of each recording. VUS-PR and support of each detector; of
the one that is written, of this run, and of this run as calibrated before (on the last fifth, which
a fit to the rest had not seen), how many times as many normal later time stamps as promised have p
of 0.05 and 0.01 or less (or of the least p there can be). Normal is what lies a window from
anomalies. Choices were made on the sets of DEVELOPMENT alone. Lines that FILE holds already are not
computed again.
"""

from __future__ import annotations

import numpy as np
from kept_lines import arguments, run_missing

import caesura
from caesura.metrics.detect import Null, p_values
from caesura.tasks.detect import DetectSettings, compare_detectors, detect
from caesura.tasks.detector_table import FeatureDistance, detectors_of

WINDOW = 64
MACHINES = ("1-2", "1-3", "1-4", "1-5", "2-1", "2-2", "2-3")
DEVELOPMENT = tuple(f"SMD-{one}" for one in MACHINES[:4])
CHECK = (*(f"SMD-{one}" for one in MACHINES[4:]), "SMAP-A-1", "SMAP-E-2", "SMAP-P-1", "SMAP-T-1")


def recording(name, root):
    """Return normal and later part (channels, time), and marks of the later one."""
    kind, _, key = name.partition("-")
    path = {"SMD": f"SMD/machine-{key}.npz", "SMAP": "SMAP.npz"}.get(kind, "anomaly_sample.npz")
    prefix = {"SMD": "", "SMAP": f"{key}/"}.get(kind, f"{name}/")
    with np.load(root / "anomaly" / path, allow_pickle=False) as z:
        normal, later, marks = (z[prefix + part] for part in ("train", "test", "label"))
    if kind == "SMAP":  # the others are commands
        normal, later = normal[:, 0], later[:, 0]
    return np.atleast_2d(normal.T), np.atleast_2d(later.T), marks > 0


def alarms(p, least, normal):
    """Return times as many normal stamps as promised, at 0.05 and 0.01 or the least p."""
    bounds = [max(bound, least) for bound in (0.05, 0.01)]
    return [float((p[normal] <= bound).mean() / bound) for bound in bounds]


def rows_of(name, root, steps, seed):
    """Return what detectors find in one recording, and their false alarms."""
    normal, later, marks = recording(name, root)
    settings = ("data.own_rate=true", f"data.window={WINDOW}")
    run = caesura.pretrain([normal], recipe="lejepa", steps=steps, seed=seed, settings=settings)
    stores = run.open([later]), run.open([normal])
    detected = detect(run, *stores, DetectSettings(seed=seed))
    table = compare_detectors(run, *stores, [marks], detected)
    padded = np.convolve(marks, np.ones(2 * WINDOW + 1), mode="same") > 0
    own = detectors_of(run, detected.normality.windows, len(normal), seed)["this-run"]
    assert isinstance(own, FeatureDistance)
    last = int(0.8 * normal.shape[1])
    state = own.fit([normal[:, :last]])
    held, score = own.score(state, normal[:, last:]), own.score(state, later)
    null: Null = detected.normality.crossed["this-run"].null
    now = null.p_values(own.score(own.fit([normal]), later))
    return {
        "written": detected.by,
        "least p": detected.least,
        "VUS-PR": {row["detector"]: row["VUS-PR"] for row in table},
        "support": {row["detector"]: row["support"] for row in table},
        "alarms, written": alarms(detected.p_value[0], detected.least, ~padded),
        "alarms, this run": alarms(now, null.least, ~padded),
        "alarms, this run as before": alarms(p_values(held, score), 0.0, ~padded),
    }


def main():
    """Run what is not there yet."""
    options = arguments(__doc__, (*DEVELOPMENT, *CHECK), steps=100).parse_args()
    about = {"experiment": "detectors", "steps": options.steps,
             "command": "python benchmarks/detectors.py --data DATA"}  # fmt: skip
    run_missing(
        options,
        about,
        lambda name, seed: rows_of(name, options.data, options.steps, seed),
    )


if __name__ == "__main__":
    main()
