"""Print the ablations of docs/results/romae.md from romae.jsonl: error over the plain model's.

Usage: python scripts/options_table.py

Intervals: 95 % by Student's t over the seeds; bold where they leave 1 out.
"""

import json
import math
from pathlib import Path

from scipy.stats import t as student

SETS = ("smooth curves", "spirals", "waves")
CONTROLS = ("plain", "no error weighting")
RESULTS = Path(__file__).parents[1] / "docs" / "results" / "romae.jsonl"


def main():
    """Print a Markdown table."""
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    rows = [row for row in rows if row["experiment"] == "romae-options"]
    found = {(row["row"], row["metric"]): row for row in rows}
    options = dict.fromkeys(row["row"].split(": ", 1)[1] for row in rows)
    print("| option | " + " | ".join(SETS) + " | time of a step |\n" + "|---" * 5 + "|")
    for option in options:
        if option in CONTROLS:
            continue
        cells = [ratio(found[f"{name}: {option}", "MSE / control"]) for name in SETS]
        times = [found.get((f"{name}: {option}", "time of a step / control")) for name in SETS]
        cells.append("" if None in times else f"{sum(t['value'] for t in times) / 3:.2f}")
        print(f"| {option} | " + " | ".join(cells) + " |")


def ratio(row):
    """Return the mean with its interval."""
    reach = student.ppf(0.975, row["seeds"] - 1) * row["std"] / math.sqrt(row["seeds"])
    low, high = row["value"] - reach, row["value"] + reach
    text = f"{row['value']:.2f} [{low:.2f}, {high:.2f}]"
    return text if low <= 1 <= high else f"**{text}**"


if __name__ == "__main__":
    main()
