"""What each journey runs first: a folder of its own, and cells of commands that may not fail."""

import os
import subprocess
import tempfile

from IPython.core.magic import register_cell_magic

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
