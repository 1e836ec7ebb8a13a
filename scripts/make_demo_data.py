"""Make the bundled demo data from PhysioNet/CinC Challenge 2012, set A.

Usage: python scripts/make_demo_data.py PATH_TO_PHYSIONET2012 [--stays N]

The folder holds set_a.parquet (RecordID, minute, param, value) and outcomes_a.parquet.
Cleaning: -1 means unknown; a pH above 100 lacks its point; values outside PLAUSIBLE are
dropped; two variables seen in too few stays are dropped. Measurements of one variable are
averaged over 4 hours, values and times alike, so that a stay has about 150 of them; values
keep 3 digits. Static variables stand once, at hour 0. Licence of the data: ODC-BY 1.0.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).resolve().parents[1] / "src" / "caesura" / "data" / "bundled"
BIN_HOURS = 4.0
STATIC = ("Age", "Gender", "Height", "ICUType", "Weight")
RARE = ("Cholesterol", "TroponinI")
PLAUSIBLE = {
    "Age": (15, 100), "Gender": (0, 1), "Height": (120, 220), "ICUType": (1, 4),
    "Weight": (25, 300), "GCS": (3, 15), "HR": (10, 300), "NIDiasABP": (10, 250),
    "NIMAP": (10, 250), "NISysABP": (20, 300), "RespRate": (2, 80), "Temp": (25, 45),
    "Urine": (0, 3000), "HCT": (5, 70), "BUN": (1, 250), "Creatinine": (0.05, 30),
    "Glucose": (10, 1500), "HCO3": (2, 60), "Mg": (0.3, 12), "Platelets": (2, 2000),
    "K": (1, 12), "Na": (90, 190), "WBC": (0.05, 250), "pH": (6.5, 8), "PaCO2": (8, 150),
    "PaO2": (15, 600), "DiasABP": (10, 250), "FiO2": (0.2, 1), "MAP": (10, 250),
    "MechVent": (0, 1), "SysABP": (20, 300), "SaO2": (20, 100), "Albumin": (0.5, 7),
    "ALP": (5, 5000), "ALT": (1, 15000), "AST": (1, 20000), "Bilirubin": (0.05, 80),
    "Lactate": (0.1, 40), "TroponinT": (0, 50),
}  # fmt: skip


def clean(table: pa.Table) -> tuple[np.ndarray, ...]:
    """Return stay, hour, variable and value of the plausible rows."""
    stay = table["RecordID"].to_numpy().astype(np.int64)
    hour = table["minute"].to_numpy() / 60.0
    name = np.array(table["param"].cast(pa.string()).to_pylist())
    value = table["value"].to_numpy().astype(np.float64)
    value = np.where((name == "pH") & (value > 100), value / 100, value)
    value = np.where((name == "pH") & (value > 10), value / 10, value)
    low = np.array([PLAUSIBLE.get(n, (1, 0))[0] for n in np.unique(name)])
    high = np.array([PLAUSIBLE.get(n, (1, 0))[1] for n in np.unique(name)])
    names, code = np.unique(name, return_inverse=True)
    keep = (value >= low[code]) & (value <= high[code])
    static = np.isin(names, STATIC)[code]
    keep &= ~static | (hour == 0) | (name == "Weight")
    return stay[keep], hour[keep], name[keep], value[keep]


def binned(stay, hour, name, value):
    """Average a variable's measurements over each bin, their times too; statics once."""
    static = np.isin(name, STATIC)
    bins = np.where(static, -1, np.floor(hour / BIN_HOURS)).astype(np.int64)
    names, code = np.unique(name, return_inverse=True)
    order = np.lexsort((hour, code, bins, stay))
    key = np.stack([stay, bins, code], 1)[order]
    first = np.flatnonzero(np.r_[True, (np.diff(key, axis=0) != 0).any(1)])
    count = np.diff(np.r_[first, len(key)])
    mean_value = np.add.reduceat(value[order], first) / count
    mean_hour = np.add.reduceat(hour[order], first) / count
    is_static = np.isin(names, STATIC)[key[first, 2]]
    mean_value = np.where(is_static, value[order][first], mean_value)  # the first valid one
    mean_hour = np.where(is_static, 0.0, mean_hour)
    return key[first, 0], mean_hour, names[key[first, 2]], mean_value


def digits(value, count=3):
    """Round to significant digits, which compress well."""
    scale = 10.0 ** (count - 1 - np.floor(np.log10(np.maximum(np.abs(value), 1e-9))))
    return np.round(value * scale) / scale


def main() -> None:
    """Write observations and outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--stays", type=int, default=3000)
    options = parser.parse_args()
    table = pq.read_table(options.folder / "set_a.parquet")
    outcomes = pq.read_table(options.folder / "outcomes_a.parquet")
    stay, hour, name, value = binned(*clean(table))
    everyone = np.unique(outcomes["RecordID"].to_numpy())
    chosen = np.sort(np.random.default_rng(0).permutation(everyone)[: options.stays])
    keep = np.isin(stay, chosen) & ~np.isin(name, RARE)
    order = np.lexsort((name[keep], hour[keep], stay[keep]))
    columns = {
        "stay": pa.array(stay[keep][order].astype(np.int32)),
        "hour": pa.array(np.round(hour[keep][order], 1).astype(np.float32)),
        "variable": pa.array(name[keep][order]).dictionary_encode(),
        "value": pa.array(digits(value[keep][order]).astype(np.float32)),
    }
    OUT.mkdir(exist_ok=True)
    path = OUT / "physionet2012.parquet"
    pq.write_table(pa.table(columns), path, compression="zstd", compression_level=19)
    died = outcomes["In-hospital_death"].to_numpy()
    record = outcomes["RecordID"].to_numpy()
    known = np.isin(record, chosen)
    labels = pa.table({"stay": record[known].astype(np.int32), "died": died[known].astype(np.int8)})
    pq.write_table(labels, OUT / "physionet2012_outcomes.parquet", compression="zstd")
    print(f"{len(chosen)} stays, {int(keep.sum())} values, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
