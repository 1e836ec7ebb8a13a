"""Whether irregular series come out irregular: 3,000 supernova light curves in four bands (SNPCC).

    python benchmarks/irregular_generation.py --data DATA --out OUT

Trains `timemar` on them as they are (1,200 steps), or takes the run in OUT/run, makes 1,500 and
prints how many observations a series has, in which gaps, over which span, and how many bands are
measured in a night; beside the real ones.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caesura.cli.generate import as_table
from caesura.run import load
from caesura.tasks.generate import generate
from caesura.workflow import pretrain

COLUMNS = {"id": "snid", "time": "mjd", "channel": "band", "value": ["flux"]}
BANDS = 4


def light_curves(data):
    """Return a table of 3,000 of the light curves."""
    table = pq.read_table(data / "irregular/snpcc/lightcurves.parquet")
    ids = np.unique(table["snid"].to_numpy())
    some = np.random.default_rng(0).permutation(ids)[:3000]
    return table.filter(pc.is_in(table["snid"], pa.array(some))).drop(["err"])


def described(table):
    """Return what a table of light curves looks like."""
    frame = table.to_pandas().sort_values(["snid", "band", "mjd"])
    by_series, by_band = frame.groupby("snid"), frame.groupby(["snid", "band"])
    gaps = by_band["mjd"].diff().dropna()
    span = by_series["mjd"].max() - by_series["mjd"].min()
    bands = frame.assign(night=frame["mjd"].round()).groupby(["snid", "night"])["band"].nunique()
    size = by_series.size()
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "observations a series": f"{size.mean():.0f}, deviation {size.std():.0f}",
        "gaps in a band, days (5, 25, 50, 75, 95 %)": _row(gaps.quantile(quantiles)),
        "span, days": f"{span.mean():.0f}, deviation {span.std():.0f}",
        "nights with 1, 2, 3, 4 bands": _row([(bands == n + 1).mean() for n in range(BANDS)]),
        "flux (1, 5, 25, 50, 75, 95, 99 %)": _row(
            frame["flux"].quantile((0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)), 1
        ),
    }


def _row(values, digits=2):
    return ", ".join(f"{value:.{digits}f}" for value in values)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    real, folder = light_curves(args.data), args.out / "run"
    if (folder / "model.safetensors").is_file():
        run = load(folder)
    else:
        run = pretrain(real, "timemar", folder, columns=COLUMNS, steps=1200,
                       settings=["training.threads=1"])  # fmt: skip
    ours, true = described(as_table(run, generate(run, 1500))), described(real)
    print("| | real | made |\n|---|---|---|")
    for name, value in true.items():
        print(f"| {name} | {value} | {ours[name]} |")


if __name__ == "__main__":
    main()
