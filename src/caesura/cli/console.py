"""What the command line prints: notes and bars to standard error, results to standard output."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from caesura.training.loop import Progress as Step

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class _State:
    debug: bool = False
    quiet: bool = False


STATE = _State()


class _Notes(logging.Handler):
    """Prints the library's warnings and notes as lines, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text not in self.shown:
            self.shown.add(text)
            ERR.print(f"[yellow]note[/yellow]  {_plain(text)}")


def set_up(*, debug: bool, quiet: bool) -> None:
    """Send the library's log to standard error."""
    STATE.debug, STATE.quiet = debug, quiet
    logger = logging.getLogger("caesura")
    logger.handlers = [logging.NullHandler() if quiet else _Notes()]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def say(text: str) -> None:
    """Print a line for the person, on standard error."""
    if not STATE.quiet:
        ERR.print(_plain(text))


def fail(text: str) -> None:
    """Print an error."""
    ERR.print(f"[bold red]error[/bold red]  {_plain(text)}")


def result(text: str) -> None:
    """Print a line of the result, on standard output."""
    OUT.print(_plain(text))


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def table(rows: list[dict[str, Any]], title: str = "") -> None:
    """Print rows as a table."""
    if not rows:
        return
    shown = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for name in rows[0]:
        numeric = not isinstance(rows[0][name], str)
        shown.add_column(str(name), justify="right" if numeric else "left")
    for row in rows:
        shown.add_row(*(_plain(_cell(value)) for value in row.values()))
    OUT.print(shown)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


@contextmanager
def bar(name: str) -> Iterator[Progress]:
    """Show a progress bar within the block."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[note]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, disable=STATE.quiet, transient=False) as progress:
        progress.add_task(name, total=1.0, note="")
        try:
            yield progress
        except BaseException:
            progress.live.transient = True  # an error should not stand beneath a dead bar
            raise


def stepping(progress: Progress, total: int) -> Callable[[str], None]:
    """Return what advances a bar by one of `total` steps and names it; "" ends it."""
    task, done = progress.task_ids[0], 0

    def show(name: str) -> None:
        nonlocal done
        progress.update(task, completed=min(done / total, 1.0) if name else 1.0, note=name)
        done += 1

    return show


@contextmanager
def training_bar(name: str) -> Iterator[Callable[[Step], None]]:
    """Show a bar with losses; yields what the loop calls after each step."""
    with bar(name) as progress:
        task = progress.task_ids[0]

        def show(step: Step) -> None:
            note = f"step {step.step}  loss {step.train_loss:.4f}"
            if math.isfinite(step.validation_loss):
                note += f"  validation {step.validation_loss:.4f}"
            progress.update(task, completed=min(step.fraction, 1.0), note=step.note or note)

        yield show
        progress.update(task, completed=1.0)


@contextmanager
def counting_bar(name: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar over counted things; yields `show(done, total)`."""
    with bar(name) as progress:
        task = progress.task_ids[0]
        yield lambda done, total: progress.update(task, completed=done / max(total, 1))
        progress.update(task, completed=1.0)
