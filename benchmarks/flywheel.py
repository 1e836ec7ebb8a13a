"""Can synthetic series stand in for one's own in a pre-training? Generate, pre-train, measure.

Usage: python benchmarks/flywheel.py --data DATA [--sets A,B] [--seeds 2] [-o FILE]

On the training series of each set, labels unseen, a `timemar` is trained; then the same encoder
(`mae`) is pre-trained for the same number of steps on: nothing, series of no origin (LMC), the own
series, synthetic ones in growing number (1, 2, 4, ... times the own), and own with synthetic ones.
A ridge on the frozen features learns from all training labels and from 10 % of them; accuracy on
the official test part. The amount at which synthetic series saturate is read from folds of the
training part. The audit of copies: nearest own over nearest unseen series, of synthetic series
beside that of unseen ones (1: no nearer). Settings are the same for all sets and were fixed
beforehand. Lines that FILE holds already are not computed again.
"""

from __future__ import annotations

import time

import numpy as np
from few_labels import few
from kept_lines import arguments, run_missing
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import caesura
from caesura.data.synthetic.kernels import kernel_synth, lmc
from caesura.metrics.generate import copying_ratio

SETS = ("MelbournePedestrian", "LSST", "Libras")
BENT = ("LSST",)
"""Sets whose values span magnitudes: asinh of their robust units."""
MOST = 8192


def opened(name, root):
    """Return train and test series and their labels, in robust units of the training part."""
    with np.load(root / "ucr_uea" / f"{name}.npz", allow_pickle=False) as z:
        x, y, new, truth = (z[k] for k in ("X_train", "y_train", "X_test", "y_test"))
    center = np.nanmedian(x, axis=(0, 2), keepdims=True)
    spread = np.nanmedian(np.abs(x - center), axis=(0, 2), keepdims=True) * 1.48 + 1e-6
    x, new = ((one.astype(np.float64) - center) / spread for one in (x, new))
    return (np.arcsinh(x), y, np.arcsinh(new), truth) if name in BENT else (x, y, new, truth)


def encoder(x, steps, seed):
    """Return features of `mae`, pre-trained on x, on patches of about a thirty-second."""
    length = x.shape[2]
    settings = ("data.rate=1", f"data.window={length}", f"encoder.patch={max(2, length // 32)}")
    made = caesura.PretrainedFeatures("mae", steps=steps, settings=settings, random_state=seed)
    return made.fit(x)


def untrained(x, seed):
    """Return the same encoder after one step whose rate is nothing, as a random twin is."""
    length = x.shape[2]
    settings = ("data.rate=1", f"data.window={length}", f"encoder.patch={max(2, length // 32)}",
                "training.lr=1e-12")  # fmt: skip
    made = caesura.PretrainedFeatures("mae", steps=1, settings=settings, random_state=seed)
    return made.fit(x)


def ridge():
    """Return the linear model that reads all features alike."""
    return make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-3, 3, 10)))


def scores(features, x, y, new, truth, seed):
    """Return test accuracies, and those of folds of the training part."""
    known, unknown = features.transform(x), features.transform(new)
    rows = few(y, 0.1, np.random.default_rng(seed))
    of_few = ridge().fit(known[rows], y[rows]).predict(unknown)
    folds = StratifiedKFold(3, shuffle=True, random_state=seed)
    return {
        "all labels": float((ridge().fit(known, y).predict(unknown) == truth).mean()),
        "10% of labels": float((of_few == truth).mean()),
        "folds": cross_val_score(ridge(), known, y, cv=folds).tolist(),
    }


def generic(count, shape, seed):
    """Return series of no origin, (count, channels, length)."""
    channels, length = shape
    if channels == 1:
        return kernel_synth(count, length, seed)[:, None]
    return lmc(count, length, channels, seed)


def saturated(rows, names):
    """Return the least amount whose folds are within a standard error of the best."""
    best = max(names, key=lambda name: np.mean(rows[name]["folds"]))
    for name in names:
        gap = np.array(rows[best]["folds"]) - np.array(rows[name]["folds"])
        if gap.mean() <= gap.std(ddof=1) / np.sqrt(len(gap)):
            return name
    return best


def row_of(name, root, options, seed):
    """Return all arms of one set."""
    x, y, new, truth = opened(name, root)
    shape, count = x.shape[1:], len(x)
    begun = time.monotonic()
    maker = caesura.SeriesGenerator(shape[1], steps=options.generator_steps, random_state=seed)
    maker.fit(x)
    trained = time.monotonic() - begun
    amounts = [k for k in (1, 2, 4, 8, 16) if k * count <= MOST]
    made = maker.sample(amounts[-1] * count, seed=seed)
    arms = {
        "no training": lambda: untrained(x, seed),
        "no origin": lambda: encoder(generic(count, shape, seed), options.steps, seed),
        "own": lambda: encoder(x, options.steps, seed),
    }
    synthetic = [f"synthetic x {k}" for k in amounts]
    for arm, k in zip(synthetic, amounts, strict=True):
        arms[arm] = lambda k=k: encoder(made[: k * count], options.steps, seed)
    arms["own and synthetic"] = lambda: encoder(
        np.concatenate([x, made[:count]]), options.steps, seed
    )
    rows = {}
    for arm, way in arms.items():
        rows[arm] = scores(way(), x, y, new, truth, seed)
        print(name, seed, arm, {k: np.round(v, 3) for k, v in rows[arm].items()}, flush=True)
    known, unseen = (np.nan_to_num(one) for one in (x, new))
    unseen = unseen[np.random.default_rng(0).permutation(len(unseen))]  # sets come class by class
    audit = [copying_ratio(one, known, unseen[::2], known)
             for one in (np.nan_to_num(made[:1000]), unseen[1::2][:1000])]  # fmt: skip
    return {"rows": rows, "saturated at": saturated(rows, synthetic),
            "copying ratio": round(audit[0], 4), "copying ratio of unseen": round(audit[1], 4),
            "generator s": round(trained)}  # fmt: skip


def main():
    """Run what is not there yet."""
    parser = arguments(__doc__, SETS, steps=400)
    parser.add_argument("--generator-steps", type=int, default=1000)
    options = parser.parse_args()
    about = {"experiment": "flywheel", "steps": options.steps,
             "generator steps": options.generator_steps,
             "command": "python benchmarks/flywheel.py --data DATA"}  # fmt: skip
    run_missing(options, about, lambda name, seed: row_of(name, options.data, options, seed))


if __name__ == "__main__":
    main()
