"""The README's commands and Python are run as they stand, on small data."""

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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
    t = np.arange(1500)
    for name, noise in (("machines", 0.1), ("old", 0.2), ("test", 0.3)):
        rng = np.random.default_rng(int(10 * noise))
        rows = [np.sin(t / k) + noise * rng.standard_normal(1500) for k in (5, 9)]
        ids = np.repeat(["a", "b"], 1500)
        series = {"id": ids, "time": np.tile(t, 2), "value": np.concatenate(rows)}
        pq.write_table(pa.table(series), folder / f"{name}.parquet")
    known = pq.read_table(folder / "machines.parquet").filter(pc.field("time") < 15)
    pq.write_table(known, folder / "plan.parquet")
    return folder


SHORTER = {
    "caesura pretrain himae": "--steps 20",
    "caesura probe": "--folds 2",
    "caesura study dividend": "--steps 2 --tuning-steps 2 --most 150 --folds 2 --seeds 1 "
    "--encoders 16x1 --objectives lejepa --augmentations none",
    "caesura study recommend": "--minutes 0.01 --most 150 --objectives lejepa "
    "--augmentations jitter",
    "caesura data synthesise": "-n 12",
    "caesura pretrain lejepa": "--steps 3",
    "caesura pretrain timemar": "--steps 6 --set encoder.width=16 --set encoder.heads=2",
    "caesura generate maker -n 1000": "-n 64",
    "caesura generate maker -n 10 ": "-n 2 --steps 100",
    "caesura forecast maker": "--draws 4",
    "caesura evaluate generation": "--repeats 1 --critics conv",
}
"""What tests add to commands that take minutes; the last of two equal options counts."""


def commands():
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL):
        joined = block.replace("\\\n", " ")
        yield from (line for line in joined.splitlines() if line.startswith("caesura "))


def keep_few(path):
    """Leave 160 of 3,500 stays: a test has seconds."""
    table = pq.read_table(path)
    stays = np.unique(table["stay"].to_numpy())[:160]
    pq.write_table(table.filter(np.isin(table["stay"].to_numpy(), stays)), path)


@pytest.mark.slow
def test_the_commands_run_in_order(place, monkeypatch):
    monkeypatch.chdir(place)
    found = list(commands())
    assert len(found) >= 7
    for command in found:
        words = shlex.split(command, comments=True)
        words += next((v.split() for k, v in SHORTER.items() if command.startswith(k)), [])
        result = CliRunner().invoke(app, words[1:])
        assert result.exit_code == 0, (command, result.output, result.exception)
        if command.startswith("caesura data bundled"):
            keep_few(place / "records" / "stays.parquet")
    assert "<svg" in (place / "scales.svg").read_text()
    assert (place / "watch8.json").is_file()
    assert "over training from scratch" in (place / "study" / "report.html").read_text()
    assert (place / "synthetic.html").read_text().count("<svg") == 5
    for name in ("predictions", "filled", "z", "next", "scores", "synthetic", "drawn", "whole"):
        name = f"{name}.parquet"
        assert pq.read_table(place / name).num_rows > 0


def test_the_python_runs(place, monkeypatch):
    monkeypatch.chdir(place)
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = block.replace('"run",', '"run_python",').replace('load("run")', 'load("run_python")')
    code = code.replace("steps=3000", "steps=5").replace("steps=300", "steps=5")
    rng = np.random.default_rng(0)
    names = {"X": rng.standard_normal((20, 2, 15)), "y": np.arange(20) % 2}
    hours = np.arange(400)
    names["frame"] = pa.table({"hour": hours, "load": np.sin(hours / 4)}).to_pandas()
    exec(compile(code, "README.md", "exec"), names)
    assert names["vectors"].shape[0] == 24
    assert len(names["ahead"].predict()) == 24
    assert names["model"].predict(names["X"]).shape == (20,)
    assert names["tuned"].predict_proba(names["X"]).shape == (20, 2)
