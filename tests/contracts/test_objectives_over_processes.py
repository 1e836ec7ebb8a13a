"""Losses with statistics of the batch are those of the whole batch, over any number of ranks.

`python -m torch.distributed.run --nproc-per-node=2 run_objectives.py OUT fsdp` shards them, too; it
passes, and takes ten seconds more than a test has.
"""

import subprocess
import sys
from pathlib import Path

import pytest
from run_objectives import run
from safetensors.torch import load_file

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def reference():
    return run("single")


@pytest.mark.slow
def test_two_processes_equal_one(reference, tmp_path):
    out = tmp_path / "weights.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += [str(HERE / "run_objectives.py"), str(out), "ddp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_file(out)
    assert len(weights) > 100
    for key, value in weights.items():
        # steps of 1e-2 each: half a percent of one, where a gradient is near zero, by rounding; one
        # weight of ten thousand may be one percent off: by instruction set up to 0.75 was seen
        off = (value - reference[key]).abs() - 1e-3 * reference[key].abs()
        assert int((off > 5e-5).sum()) <= 1e-4 * off.numel(), key
        assert float(off.max()) <= 1e-4, key
