"""One self-contained HTML page from sections of text, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import caesura
from caesura.files import write_text


@dataclass(frozen=True)
class Table:
    """Rows of equal keys; `best` marks the column or row to print in bold, by row number."""

    rows: Sequence[dict[str, Any]]
    caption: str = ""
    bold: frozenset[tuple[int, str]] = frozenset()

    def cells(self) -> list[list[tuple[str, bool, bool]]]:
        """Return (text, is a number, bold) of each cell."""
        return [
            [
                (_shown(value), isinstance(value, int | float), (place, key) in self.bold)
                for key, value in row.items()
            ]
            for place, row in enumerate(self.rows)
        ]


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, then figures (SVG text), then tables."""

    title: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[tuple[str, str]] = ()
    tables: Sequence[Table] = field(default_factory=tuple)


def write_report(path: Path, title: str, lead: str, sections: Sequence[Section]) -> None:
    """Render the page and write it whole; figures must be trusted SVG, all else is escaped."""
    import jinja2

    source = (files("caesura.study") / "report.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(source)
    write_text(
        path, page.render(title=title, lead=lead, sections=sections, version=caesura.__version__)
    )


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
