"""The commands that are proposed run as they are printed, whatever a path is called."""

import shlex

import pytest
from typer.testing import CliRunner

from caesura.cli.main import app


def proposed(output):
    line = next(line for line in output.splitlines() if line.startswith("next:"))
    return shlex.split(line.removeprefix("next: "))


@pytest.mark.parametrize("name", ["my data", "a(1)", "it's", "x;y", "plain", "[bold]"])
def test_paths_are_quoted(name, tmp_path):
    folder = str(tmp_path / name)
    done = CliRunner().invoke(
        app, ["data", "synthesise", "kernel-synth", "-n", "2", "--length", "8", "-o", folder]
    )
    words = proposed(done.output)
    assert words[words.index("--data") + 1] == folder
    done = CliRunner().invoke(app, ["data", "bundled", "-o", f"{folder} 2"])
    words = proposed(done.output)
    assert words[words.index("--labels") + 1] == f"{folder} 2/outcomes.parquet"
