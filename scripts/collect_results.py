"""Copy the results of `caesura reproduce` into docs/results.

Usage: python scripts/collect_results.py REPRODUCED PAPER

Joins REPRODUCED/PAPER-*/SCALE/results.jsonl (medium and full) into docs/results/PAPER.jsonl, and
fills each block `<!-- table: NAME SCALE -->` ... `<!-- end -->` of docs/results/PAPER.md with that
run's table. Figures named in the page as `NAME.svg` are copied beside it.
"""

import re
import shutil
import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs" / "results"
BLOCK = re.compile(r"(<!-- table: (\S+) (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    """Copy everything that is there."""
    folder, paper = Path(sys.argv[1]), sys.argv[2]
    runs = [run for run in sorted(folder.glob(f"{paper}-*/*")) if run.name in ("medium", "full")]
    found = [run / "results.jsonl" for run in runs if (run / "results.jsonl").is_file()]
    (DOCS / f"{paper}.jsonl").write_text("".join(path.read_text() for path in found))
    page = DOCS / f"{paper}.md"

    def filled(match):
        table = folder / match[2] / match[3] / "table.md"
        text = table.read_text() if table.is_file() else "Not measured yet.\n"
        return f"{match[1]}\n{text}\n{match[4]}"

    text = BLOCK.sub(filled, page.read_text())
    page.write_text(text)
    for name in re.findall(r"\((\w[\w-]*)\.svg\)", text):
        for scale in ("full", "medium"):
            figure = folder / name / scale / "figure.svg"
            if figure.is_file():
                shutil.copy(figure, DOCS / f"{name}.svg")
                break
    print(f"{len(found)} runs")


if __name__ == "__main__":
    main()
