"""The `caesura` command: gathers the verbs and turns errors into one line and an exit code."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

# before torch is imported: waiting threads that spin starve each other on a shared machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# likewise: its products keep 1,024 prepared shapes otherwise, 300 MiB where lengths vary
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
os.environ.setdefault("LRU_CACHE_CAPACITY", "128")

import typer
from typer.core import TyperGroup

from caesura.cli import (
    ahead,
    console,
    demo,
    generate,
    inspect,
    reproduce,
    ship,
    study,
    tables,
    train,
    use,
)
from caesura.errors import CaesuraError, StoppedError

app = typer.Typer(
    name="caesura",
    help="Self-supervised learning on irregular time series: pre-train on your own data, "
    "prove that it helped, use it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    cls=TyperGroup,
)
for group in (demo, train, use, ahead, generate, study, ship, inspect, tables, reproduce):
    group.add_to(app)


@app.callback()
def settings(
    debug: Annotated[bool, typer.Option(help="Show tracebacks of errors.")] = False,
    quiet: Annotated[bool, typer.Option(help="Print no progress and no notes.")] = False,
    threads: Annotated[
        int, typer.Option(help="CPU threads; 0: half of the cores, at least 1.")
    ] = 0,
) -> None:
    """Settings of every verb."""
    console.set_up(debug=debug, quiet=quiet)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads or max(1, (os.cpu_count() or 2) // 2)))


def main() -> None:
    """Run the command; errors of caesura are printed bare, with exit code 1 (130: stopped)."""
    try:
        app()
    except StoppedError as error:
        console.say(str(error))
        sys.exit(130)
    except KeyboardInterrupt:
        console.say("stopped")
        sys.exit(130)
    except CaesuraError as error:
        if console.STATE.debug:
            logging.getLogger("caesura").exception("error")
        console.fail(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
