"""Which detector `caesura detect` takes, what it finds, and how often it is wrong.

Usage: python benchmarks/detectors.py --data DATA [--sets A,B] [--steps 100] [-o FILE]

VUS-PR and support of each detector on each recording; which one would be written; and how many
times as many normal later time stamps as promised have p of 0.05 and of 0.01 or less (of the least
p there can be, where that is higher): by the null of the library, and as before, by the last fifth
of the normal part alone, which a fit to the rest had not seen. Normal is what lies a window from
anomalies. A `lejepa` is trained on the normal part; `--steps 0`: no run, detectors that read
samples alone. Choices were made on the sets of DEVELOPMENT, and those of `anomaly_sample` with an
even number in the order of their names (`--sets even`; `odd` are the others). Lines that FILE holds
already are not computed again.
"""

from __future__ import annotations

import numpy as np
from kept_lines import arguments, run_missing

import caesura
from caesura.metrics.detect import p_values, vus_pr
from caesura.tasks.cross_fit import FOLDS
from caesura.tasks.detect import best_supported, cross_fits
from caesura.tasks.detector_table import detectors_of, sample_detectors, windows_for

WINDOW = 64
SMALL = ("encoder.width=64", "encoder.depth=2", "encoder.heads=4")
DEVELOPMENT = tuple(f"SMD-1-{number}" for number in (2, 3, 4, 5))
CHECK = ("SMD-2-1", "SMD-2-2", "SMD-2-3", "SMAP-A-1", "SMAP-E-2", "SMAP-P-1", "SMAP-T-1")


def sampled(root, half):
    """Return the names in `anomaly_sample` with an even or an odd number."""
    with np.load(root / "anomaly" / "anomaly_sample.npz", allow_pickle=False) as z:
        names = sorted({name.partition("/")[0] for name in z.files})
    return names[half == "odd" :: 2]


def recording(name, root):
    """Return normal and later part (channels, time), and marks of the later one."""
    kind, _, key = name.partition("-")
    path = {"SMD": f"SMD/machine-{key}.npz", "SMAP": "SMAP.npz"}.get(kind, "anomaly_sample.npz")
    prefix = {"SMD": "", "SMAP": f"{key}/"}.get(kind, f"{name}/")
    with np.load(root / "anomaly" / path, allow_pickle=False) as z:
        normal, later, marks = (z[prefix + part] for part in ("train", "test", "label"))
    if kind == "SMAP":  # the others are commands
        normal, later = normal[:, 0], later[:, 0]
    normal, later = (np.atleast_2d(one.T).astype(np.float64) for one in (normal, later))
    return normal, later, marks > 0


def alarms(p, least, normal):
    """Return times as many normal stamps as promised, at 0.05 and 0.01 or the least p."""
    bounds = [max(bound, least) for bound in (0.05, 0.01)]
    return [float((p[normal] <= bound).mean() / bound) for bound in bounds]


def detectors_for(normal, windows, steps, seed):
    """Return the detectors, with those of a run that is trained here where there are steps."""
    if not steps:
        return sample_detectors(windows, len(normal))
    settings = ("data.own_rate=true", f"data.window={WINDOW}", *SMALL)
    run = caesura.pretrain([normal], recipe="lejepa", steps=steps, seed=seed, settings=settings)
    return detectors_of(run, windows, len(normal), seed)


def rows_of(name, root, steps, seed):
    """Return what detectors find in one recording, and their false alarms."""
    normal, later, marks = recording(name, root)
    windows = windows_for([normal], WINDOW, FOLDS)
    detectors = detectors_for(normal, windows, steps, seed)
    crossed = cross_fits(list(detectors.values()), [normal], windows, seed)
    away = np.convolve(marks, np.ones(2 * WINDOW + 1), mode="same") == 0
    last = int(0.8 * normal.shape[1])
    rows = {}
    for key, one in detectors.items():
        null, score = crossed[key].null, one.score(one.fit([normal]), later)
        state = one.fit([normal[:, :last]])
        before = p_values(one.score(state, normal[:, last:]), one.score(state, later))
        rows[key] = {
            "VUS-PR": vus_pr(marks, score),
            "support": crossed[key].support,
            "least p": null.least,
            "alarms": alarms(null.p_values(score), null.least, away),
            "alarms before": alarms(before, 0.0, away),
        }
    return {"written": best_supported(crossed, len(normal)), "rows": rows}


def main():
    """Run what is not there yet."""
    options = arguments(__doc__, (*DEVELOPMENT, *CHECK), steps=100).parse_args()
    if options.sets in ("even", "odd"):
        options.sets = ",".join(sampled(options.data, options.sets))
    about = {
        "experiment": "detectors",
        "steps": options.steps,
        "command": "python benchmarks/detectors.py --data DATA",
    }
    run_missing(
        options,
        about,
        lambda name, seed: rows_of(name, options.data, options.steps, seed),
    )


if __name__ == "__main__":
    main()
