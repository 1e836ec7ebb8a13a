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


def best_of(codes, rounds=4):
    """Return the least time of each code, in seconds: what else the machine does only adds.

    One after the other, round by round, so that a busy while is shared by all.
    """
    found = {code: [] for code in codes}
    for _ in range(rounds):
        for code in codes:
            begun = time.perf_counter()
            run(code)
            found[code].append(time.perf_counter() - begun)
    return [min(found[code]) for code in codes]


HELP = "from typer.testing import CliRunner; from caesura.cli.main import app; " \
       "assert CliRunner().invoke(app, ['--help']).exit_code == 0"  # fmt: skip


@pytest.mark.parametrize("code", ["import caesura", HELP])
def test_nothing_heavy_is_imported(code):
    loaded = run(f"{code}\nimport sys; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)


def test_the_help_takes_a_part_of_what_importing_torch_does():
    torch, types, told = best_of(["import torch", "import caesura.types", HELP])
    assert types < 1.1 * torch  # what every verb needs
    assert told < max(0.5, 0.4 * torch)


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
