"""Do three witnesses find more anomalies than one? Series of the UCR archive and machines.

Usage: python benchmarks/witnesses.py --data DATA [--sets A,B] [--steps 400] [--seeds 2] [-o FILE]

For each recording a `himae-small` and a `timemar` are trained on its normal part; settings are the
same for all and were fixed beforehand. VUS-PR of each witness, of all together, of the plain
detectors and of uniform noise, and the share of normal later time stamps with p of 0.01 or less.
Lines that FILE holds already are not computed again.
"""

from __future__ import annotations

import numpy as np
from kept_lines import arguments, run_missing
from witness_parts import testify, together

import caesura
from caesura.metrics.detect import vus_pr
from caesura.tasks.plain_detectors import DETECTORS, over_channels

WINDOW = 64
UCR = ("UCR-135", "UCR-136", "UCR-137", "UCR-138")
MACHINES = ("SMD-1-2", "SMD-1-6", "SMD-2-1", "SMD-2-2")
CHANNELS = 8
"""Of a machine: those of the largest variance in its normal part."""


def recording(name, root):
    """Return normal and later part (channels, time), standardised, and marks of the later one."""
    if name.startswith("UCR-"):
        with np.load(root / "anomaly" / "ucr_anomaly_sample.npz", allow_pickle=False) as z:
            key = next(k for k in z.files if k.startswith(name[4:]))
            whole = z[key][None]
        cut, start, stop = (int(part) for part in key.split("_")[-3:])
        marks = np.zeros(whole.shape[1], dtype=bool)
        marks[start : stop + 1] = True
        normal, later, marks = whole[:, :cut], whole[:, cut:], marks[cut:]
    else:
        with np.load(root / "anomaly" / "SMD" / f"machine-{name[4:]}.npz", allow_pickle=False) as z:
            normal, later, marks = z["train"].T, z["test"].T, z["label"] > 0
        top = np.sort(np.argsort(-normal.var(1))[:CHANNELS])
        normal, later = normal[top], later[top]
    center, spread = normal.mean(1, keepdims=True), normal.std(1, keepdims=True) + 1e-3
    return (normal - center) / spread, np.clip((later - center) / spread, -20, 20), marks


def trained(recipe, normal, steps, seed, settings=()):
    """Pre-train on the part that witnesses learn from."""
    known = normal[:, : int(0.8 * normal.shape[1])]
    cuts = [known[:, i : i + 4 * WINDOW] for i in range(0, known.shape[1], 4 * WINDOW)]
    cuts = [one for one in cuts if one.shape[1] >= WINDOW]
    base = ("data.rate=1", f"data.window={WINDOW}", *settings)
    return caesura.pretrain(cuts, recipe=recipe, steps=steps, seed=seed, settings=base)


def rows_of(name, root, steps, seed):
    """Return VUS-PR and the false alarms of each detector on one recording."""
    normal, later, marks = recording(name, root)
    patch = ("stages.0.objective.patch_ms=4000", "stages.0.objective.mask=mixed")
    runs = [trained("himae-small", normal, steps, seed, patch),
            trained("timemar", normal, steps, seed)]  # fmt: skip
    said = testify(runs, normal, later, WINDOW, 1.0)
    rows = {}
    for one in (*said, together(said)):
        alarms = float((one.p_value[~marks] <= 0.01).mean())
        rows[one.name] = {"VUS-PR": vus_pr(marks, one.score), "false alarms at 0.01": alarms}
    if seed == 0:
        for plain, way in DETECTORS.items():
            rows[plain] = {"VUS-PR": vus_pr(marks, over_channels(way, normal, later))}
        noise = np.random.default_rng(0)
        rows["uniform noise"] = {"VUS-PR": vus_pr(marks, noise.random(len(marks)))}
    return rows


def main():
    """Run what is not there yet."""
    options = arguments(__doc__, (*UCR, *MACHINES), steps=400).parse_args()
    about = {"experiment": "witnesses", "steps": options.steps,
             "command": "python benchmarks/witnesses.py --data DATA"}  # fmt: skip
    run_missing(
        options,
        about,
        lambda name, seed: {"rows": rows_of(name, options.data, options.steps, seed)},
    )


if __name__ == "__main__":
    main()
