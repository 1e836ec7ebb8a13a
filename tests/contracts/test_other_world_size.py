"""A training that was stopped on some processes goes on with another number of them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_resume import run
from safetensors.torch import load_file

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def whole():
    return run(None, "single")


def launched(folder, strategy, out):
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += [str(HERE / "run_resume.py"), str(folder), strategy, str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def compare(found, whole):
    assert found.keys() == whole.keys()
    for key, value in whole.items():
        torch.testing.assert_close(found[key], value, atol=5e-5, rtol=1e-3, msg=key)


@pytest.mark.slow
def test_one_process_goes_on_as_two_and_two_as_one(whole, tmp_path, caplog):
    run(tmp_path / "one", "single", stops=True)
    launched(tmp_path / "one", "ddp", tmp_path / "ddp.safetensors")
    compare(load_file(tmp_path / "ddp.safetensors"), whole)
    launched(tmp_path / "two", "fsdp", "stop")
    compare(run(tmp_path / "two", "single"), whole)
    assert "begun on 2 processes, goes on with 1" in caplog.text
