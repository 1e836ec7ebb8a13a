"""Cells of reproductions as lines of docs/results, and tables in the pages beside them."""

import json
import re
from pathlib import Path

from caesura.files import write_json, write_text
from caesura.reproduce.queue import cell_file

DOCS = Path(__file__).parents[1] / "docs" / "results"


class KeptCells:
    """The cells of one paper: PAPER.jsonl, a line a cell and seed, and PAPER.md."""

    def __init__(self, paper):
        self.paper = paper
        self.lines, self.page = DOCS / f"{paper}.jsonl", DOCS / f"{paper}.md"

    def known(self):
        """Return the kept cells by (experiment, cell, seed)."""
        lines = self.lines.read_text().splitlines() if self.lines.is_file() else []
        rows = [json.loads(line) for line in lines]
        return {(row["experiment"], row["cell"], row["seed"]): row for row in rows}

    def collect(self, folder):
        """Join the finished cells of a folder to those that are kept, and return all."""
        cells = self.known()
        for path in sorted(folder.glob(f"{self.paper}-*/medium/cells/*.json")):
            row = {"experiment": path.parents[2].name, **json.loads(path.read_text())}
            cells[row["experiment"], row["cell"], row["seed"]] = row
        ordered = [cells[key] for key in sorted(cells, key=str)]
        write_text(self.lines, "".join(json.dumps(row) + "\n" for row in ordered))
        print(f"{len(ordered)} cells")
        return cells

    def restore(self, folder):
        """Lay the kept cells out, so that `caesura reproduce --resume` goes on from them."""
        for (name, cell, seed), row in self.known().items():
            own = {key: value for key, value in row.items() if key != "experiment"}
            write_json(folder / name / "medium" / "cells" / cell_file(cell, seed), own)
        print(f"{len(self.known())} cells")

    def fill(self, blocks):
        """Write each text between `<!-- NAME -->` and `<!-- end -->` of the page."""
        page = self.page.read_text()
        for name, text in blocks.items():
            pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
            page = pattern.sub(lambda m, text=text: f"{m[1]}\n{text}\n\n{m[2]}", page)
        write_text(self.page, page)


def markdown(rows):
    """Return rows as a Markdown table."""
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(str(r[k]) for k in head) + " |" for r in rows])
