"""Losses with statistics of the batch are those of the whole batch, over any number of ranks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_objectives import run
from safetensors.torch import load_file

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def reference():
    return run("single")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_equal_one(reference, strategy, tmp_path):
    out = tmp_path / "weights.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += [str(HERE / "run_objectives.py"), str(out), strategy]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_file(out)
    assert len(weights) > 100
    for key, value in weights.items():
        torch.testing.assert_close(value, reference[key], atol=5e-5, rtol=1e-3, msg=key)
