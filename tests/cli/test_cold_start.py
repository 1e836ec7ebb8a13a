"""What a first word costs: nothing heavy is imported to say what there is."""

import os
import subprocess
import sys
import time

import pytest

HEAVY = {"torch", "pyarrow", "sklearn", "pandas", "polars", "scipy", "matplotlib"}


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def best_of(code, times=3):
    """Return the least of some times, in seconds: what else the machine does only adds."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        run(code)
        found.append(time.perf_counter() - begun)
    return min(found)


HELP = "from typer.testing import CliRunner; from caesura.cli.main import app; " \
       "assert CliRunner().invoke(app, ['--help']).exit_code == 0"  # fmt: skip


@pytest.mark.parametrize("code", ["import caesura", HELP])
def test_nothing_heavy_is_imported(code):
    loaded = run(f"{code}\nimport sys; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)


AFTER_TORCH = """
import time
begun = time.perf_counter()
import torch
torch = time.perf_counter()
import caesura.types  # what every verb needs
print((time.perf_counter() - torch) / (torch - begun))
"""


def test_what_every_verb_needs_adds_a_tenth_to_torch_at_most():
    """Both in one process: two processes on a busy machine differ by more than that."""
    assert min(float(run(AFTER_TORCH)) for _ in range(3)) < 0.1


def test_the_help_takes_a_part_of_what_importing_torch_does():
    assert best_of(HELP) < max(0.5, 0.4 * best_of("import torch"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete(shell):
    found = subprocess.run(
        [sys.executable, "-c", "from caesura.cli.main import app; app(prog_name='caesura')"],
        env=os.environ | {"_CAESURA_COMPLETE": f"source_{shell}"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "complete" in found.stdout
    assert "caesura" in found.stdout
