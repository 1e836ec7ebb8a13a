"""Whether irregular series come out irregular: 3,000 supernova light curves in four bands (SNPCC).

    python benchmarks/irregular_generation.py --data DATA --out OUT

Trains `timemar` on them as they are (3,000 steps, fluxes bent), or takes the run in OUT/run, makes
1,500 and prints how many observations a series has, in which gaps, over which span, and how many
bands are measured in a night; beside the real ones. Leaves three tables for `caesura evaluate
generation`: OUT/real.parquet, OUT/made.parquet and OUT/unseen.parquet, of 1,500 curves that trained
nothing.

Also prints how far codes of unseen curves, decoded, are from what was measured: at the nearest step
of the grid, and on lines between steps at the times of measurement.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from caesura.answers import synthetic_table
from caesura.data.grid import sample_store
from caesura.run import load
from caesura.signal.noise import keyed_uniform
from caesura.tasks.generate import decoded, generate
from caesura.training.inference import row_slices, run_batches
from caesura.workflow import pretrain

COLUMNS = {"id": "snid", "time": "mjd", "channel": "band", "value": ["flux"]}
BANDS = 4
TRAINED, UNSEEN = 3000, 1500


def light_curves(data):
    """Return a table of 3,000 of the light curves, and one of 1,500 others."""
    table = pq.read_table(data / "irregular/snpcc/lightcurves.parquet").drop(["err"])
    ids = np.random.default_rng(0).permutation(np.unique(table["snid"].to_numpy()))
    parts = ids[:TRAINED], ids[TRAINED : TRAINED + UNSEEN]
    return [table.filter(pc.is_in(table["snid"], pa.array(some))) for some in parts]


def described(table):
    """Return what a table of light curves looks like."""
    frame = table.to_pandas().sort_values(["snid", "band", "mjd"])
    by_series, by_band = frame.groupby("snid"), frame.groupby(["snid", "band"])
    gaps = by_band["mjd"].diff().dropna()
    longest = frame.assign(gap=by_band["mjd"].diff()).groupby(["snid", "band"])["gap"].max()
    span = by_series["mjd"].max() - by_series["mjd"].min()
    bands = frame.assign(night=frame["mjd"].round()).groupby(["snid", "night"])["band"].nunique()
    size = by_series.size()
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "observations a series": f"{size.mean():.0f}, deviation {size.std():.0f}",
        "gaps in a band, days (5, 25, 50, 75, 95 %)": _row(gaps.quantile(quantiles)),
        "longest gap of a band, days (50, 95, 100 %)": _row(longest.quantile((0.5, 0.95, 1.0)), 1),
        "span, days": f"{span.mean():.0f}, deviation {span.std():.0f}",
        "nights with 1, 2, 3, 4 bands": _row([(bands == n + 1).mean() for n in range(BANDS)]),
        "flux (1, 5, 25, 50, 75, 95, 99 %)": _row(
            frame["flux"].quantile((0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)), 1
        ),
    }


def _row(values, digits=2):
    return ", ".join(f"{value:.{digits}f}" for value in values)


def reconstruction(run, table):
    """Return the median absolute error at measurements, by the nearest step and between steps."""
    store = run.open(table)
    view = sample_store(store, run.schema)
    rate, window = run.schema.sampling.rate_hz, run.schema.sampling.window
    windows = view.tiles(np.arange(len(view)))
    code = run.schema.channel_codes(store)
    by_step, between = [], []

    def read(pair):
        batch = pair[1]
        latent = run.parts["encoder"](batch.inputs).levels[-1].features.mT
        draw = partial(keyed_uniform, torch.Generator(), batch.index)
        codes = run.parts["tokenizer"](latent, draw).partial[-1]
        return decoded(run, codes, window, noise=False, rng=torch.Generator())

    numbers = np.arange(len(windows))
    chosen = (windows.take(numbers[rows]) for rows in row_slices(len(windows)))
    batches = ((some, view.collate(some)) for some in chosen)
    for (some, _), curves in run_batches(run.parts.values(), batches, read):
        for curve, series in zip(curves, some.series, strict=True):
            rows = slice(*store.offsets[series : series + 2])
            at, true = store.times[rows] * rate, store.values[rows, 0]
            inside = at <= window - 1
            for band in range(BANDS):
                mine = inside & (code[rows] == band)
                near = curve[band][np.round(at[mine]).astype(int)]
                by_step.append(near - true[mine])
                between.append(np.interp(at[mine], np.arange(window), curve[band]) - true[mine])
    return [float(np.median(np.abs(np.concatenate(one)))) for one in (by_step, between)]


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--set", nargs="*", default=["encoder.scaling=asinh"])
    args = parser.parse_args()
    (real, unseen), folder = light_curves(args.data), args.out / "run"
    if (folder / "model.safetensors").is_file():
        run = load(folder)
    else:
        run = pretrain(real, "timemar", folder, columns=COLUMNS, steps=args.steps,
                       settings=["training.threads=1", *args.set])  # fmt: skip
    made = synthetic_table(run, generate(run, UNSEEN))
    for name, table in (("real", real), ("unseen", unseen), ("made", made)):
        pq.write_table(table, args.out / f"{name}.parquet")
    ours, true = described(made), described(real)
    print("| | real | made |\n|---|---|---|")
    for name, value in true.items():
        print(f"| {name} | {value} | {ours[name]} |")
    near, between = reconstruction(run, unseen)
    print(f"\nmedian error at measurements: nearest step {near:.3f}, between steps {between:.3f}")


if __name__ == "__main__":
    main()
