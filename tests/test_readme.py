"""The README's commands and Python are run as they stand, on small data."""

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from builders import long_table
from caesura.cli.main import app
from caesura.data.synthetic.pulses import PulseSettings, pulses

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    table = long_table(24, longest=12)
    table = table.rename_columns(["star", "mjd", "band", "flux", "flux_err"])
    pq.write_table(table, folder / "stars.parquet")
    pq.write_table(table.slice(0, 120), folder / "new.parquet")
    stars = [f"s{n}" for n in range(24)]
    kinds = [f"type{n % 2}" for n in range(24)]
    csv.write_csv(pa.table({"star": stars, "type": kinds}), folder / "labels.csv")
    found = pulses(60, 0, PulseSettings(seconds=2.0, interval=0.5), subjects=8)
    windows = [f"w{n}" for n in range(60)]
    wrist = {
        "window": np.repeat(windows, 200),
        "person": np.repeat(found.subjects, 200),
        "time": np.tile(np.arange(200) / 100, 60),
        "ppg": found.signals.ravel(),
    }
    pq.write_table(pa.table(wrist), folder / "ppg.parquet")
    known = pa.table({"window": windows, "rhythm": found.labels["rhythm"]})
    csv.write_csv(known, folder / "ppg_labels.csv")
    return folder


def commands():
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL):
        joined = block.replace("\\\n", " ")
        yield from (line for line in joined.splitlines() if line.startswith("caesura "))


def test_the_commands_run_in_order(place, monkeypatch):
    monkeypatch.chdir(place)
    found = list(commands())
    assert len(found) >= 7
    for command in found:
        result = CliRunner().invoke(app, shlex.split(command, comments=True)[1:])
        assert result.exit_code == 0, (command, result.output, result.exception)
    assert "<svg" in (place / "scales.svg").read_text()
    assert (place / "watch8.json").is_file()
    for name in ("predictions.parquet", "filled.parquet", "z.parquet"):
        assert pq.read_table(place / name).num_rows > 0


def test_the_python_runs(place, monkeypatch):
    monkeypatch.chdir(place)
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = block.replace('"run",', '"run_python",').replace('load("run")', 'load("run_python")')
    code = code.replace("steps=300", "steps=5")
    rng = np.random.default_rng(0)
    names = {"X": rng.standard_normal((20, 2, 15)), "y": np.arange(20) % 2}
    exec(compile(code, "README.md", "exec"), names)
    assert names["vectors"].shape[0] == 24
    assert names["model"].predict(names["X"]).shape == (20,)
