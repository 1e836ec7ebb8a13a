"""What `forecast` writes beside the ways that it chooses from, on ends that it never sees.

Usage: python benchmarks/forecast_ways.py DATA [--sets A,B] [--minutes 0.5] [--seed 0] [--out FILE]
       [--runs FOLDER]

DATA: the project's data folder (forecasting/). A `lejepa` encoder is pre-trained, with the settings
that choose themselves, on the series less their ends; then each origin's forecast is compared with
what came. One recording has eight origins, spread over its last eighth; a panel has one, a horizon
before its end. MASE: the mean over series, channels and origins of the absolute error over the
seasonal error before the first origin. `cover`: share of values inside the 90 % intervals.
A line of OUT, once there, is kept. --runs: pre-trained encoders are kept there.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import caesura
from caesura.metrics.forecast import seasonal_error

ORIGINS = 8


class Case(NamedTuple):
    """A set: steps ahead, the season of its MASE, pandas' name of its steps, most steps and
    series."""

    horizon: int
    season: int
    step: str
    steps: int = 20_000
    series: int = 400


SETS = {
    "ETTh1": Case(48, 24, "h"),
    "ETTm1": Case(96, 96, "15min"),
    "bike_sharing": Case(24, 24, "h"),
    "air_quality_valencia": Case(24, 24, "h"),
    "exchange_rate": Case(30, 1, "D"),
    "national_illness": Case(24, 1, "7D"),
    "monash_us_births_dataset": Case(30, 7, "D"),
    "monash_saugeenday_dataset": Case(30, 7, "D"),
    "monash_electricity_weekly_dataset": Case(8, 1, "7D"),
    "monash_m4_weekly_dataset": Case(13, 1, "7D"),
    "monash_solar_weekly_dataset": Case(5, 1, "7D"),
    "monash_tourism_monthly_dataset": Case(24, 12, "MS"),
    "monash_tourism_monthly_dataset:72": Case(12, 12, "MS", 72),
}
"""A number after a colon: of each series its last steps."""


def series_of(name: str, case: Case, root: Path) -> list[np.ndarray]:
    """Return the series of a set, each (channels, time)."""
    table = pd.read_parquet(root / "forecasting" / f"{name.partition(':')[0]}.parquet")
    if "series" in table:
        groups = table.sort_values(["series", "t"]).groupby("series", observed=True)["value"]
        found = [one.to_numpy(float)[None] for _, one in groups][: case.series]
    else:
        numbers = table.select_dtypes("number")
        drop = ["holiday", "workingday", "month", "hour", "weekday"]
        found = [numbers.drop(columns=drop, errors="ignore").to_numpy(float).T]
    return [one[:, -case.steps :] for one in found]


def table_of(series: list[np.ndarray], step: str) -> pd.DataFrame:
    """Return series as a wide table with dates."""
    parts = []
    for number, one in enumerate(series):
        times = pd.date_range("2001-01-01", periods=one.shape[1], freq=step)
        named = {f"v{k}": row for k, row in enumerate(one)}
        parts.append(pd.DataFrame({"id": f"s{number:04}", "time": times} | named))
    return pd.concat(parts, ignore_index=True)


def measured(name: str, root: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Return the line of a set."""
    case = SETS[name]
    series = series_of(name, case, root)
    horizon, alone = case.horizon, len(series) == 1
    first = [
        one.shape[1] - (max(horizon, one.shape[1] // 8) if alone else horizon) for one in series
    ]
    hop = (series[0].shape[1] - horizon - first[0]) // (ORIGINS - 1) if alone else 0
    columns = {"value": [f"v{k}" for k in range(len(series[0]))]}
    train = [one[:, :end] for one, end in zip(series, first, strict=True)]
    kept = Path(given.runs) / f"{name.replace(':', '-')}-{given.seed}" if given.runs else None
    if kept is not None and kept.is_dir():
        run = caesura.load(kept)
    else:
        run = caesura.pretrain(
            table_of(train, case.step),
            "lejepa",
            kept,
            columns=columns,
            minutes=given.minutes,
            seed=given.seed,
            settings=["data.own_rate=true"],
        )
    unit = np.stack([[seasonal_error(row, case.season) for row in one] for one in train])
    errors: dict[str, list[np.ndarray]] = {}
    inside, written, began = [], [], time.time()
    for number in range(ORIGINS if hop else 1):
        ends = [end + number * hop for end in first]
        past = [one[:, :end] for one, end in zip(series, ends, strict=True)]
        came = np.stack([one[:, e : e + horizon] for one, e in zip(series, ends, strict=True)])
        values, lower, upper, names = answered(run, table_of(past, case.step), horizon, came.shape)
        for way, value in values.items():
            scaled = np.nanmean(np.abs(value - came), -1) / np.where(unit > 0, unit, np.nan)
            errors.setdefault(way, []).append(scaled)
        known = np.isfinite(came)
        inside.append(((came >= lower) & (came <= upper))[known].mean())
        written.append(names)
    line = {"set": name, "horizon": horizon, "origins": len(inside), "series": len(series)}
    line |= {way: float(np.nanmean(np.stack(each))) for way, each in errors.items()}
    line |= {"cover": float(np.mean(inside)), "seconds": round((time.time() - began), 1)}
    return line | {"ways": written}


def answered(
    run: Any, data: pd.DataFrame, horizon: int, shape: tuple[int, ...]
) -> tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray, Any]:
    """Return forecasts by each way, bounds of what is written, and who wrote it."""
    from caesura.tasks import forecast as task

    if not hasattr(task, "ForecastSettings"):  # as it was before ways were chosen from
        table = run.forecast(data, horizon=horizon)
        value, *bounds = (
            np.asarray(table[name]).reshape(shape) for name in ("value", "lower", "upper")
        )
        return {"written": value}, bounds[0], bounds[1], "head"
    made = task.forecast(run, run.open(data), task.ForecastSettings(horizon))
    return {"written": made.value, **made.ways}, made.lower, made.upper, made.written


def main() -> None:
    """Measure the sets, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--minutes", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="")
    parser.add_argument("--runs", default="")
    given = parser.parse_args()
    out = Path(given.out) if given.out else None
    lines = [] if out is None or not out.is_file() else out.read_text().splitlines()
    done = {line["set"]: line for line in map(json.loads, lines)}
    for name in given.sets.split(","):
        if name not in done:
            done[name] = measured(name, given.data, given)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(done[name]) + "\n")
        line = {k: v for k, v in done[name].items() if k != "ways"}
        print(
            " | ".join(f"{v:.3f}" if isinstance(v, float) else str(v) for v in line.values()),
            "|",
            list(line)[4:],
            flush=True,
        )


if __name__ == "__main__":
    main()
