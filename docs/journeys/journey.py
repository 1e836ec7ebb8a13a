"""What pages that are run begin with: a folder, cells of commands, pictures of reports."""

import os
import re
import subprocess
import tempfile
from pathlib import Path

from IPython.core.magic import register_cell_magic
from IPython.display import SVG, display

for name in ("FORCE_COLOR", "CLICOLOR_FORCE"):  # the kernel sets them
    os.environ.pop(name, None)
os.environ |= {"COLUMNS": "86", "TERM": "dumb", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
os.chdir(tempfile.mkdtemp())


@register_cell_magic
def shell(line, cell):
    """Run commands, show what they print in one piece, and fail as the first of them does."""
    done = subprocess.run(["bash", "-e", "-c", cell], capture_output=True, text=True)
    print(done.stdout.rstrip())
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr[-2000:]}")


def pictures(page):
    """Show the figures of a report."""
    for picture in re.findall(r"<svg.*?</svg>", Path(page).read_text(), re.DOTALL):
        display(SVG(picture))
