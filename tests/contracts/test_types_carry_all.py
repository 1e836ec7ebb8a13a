"""The types and the loop carry all four systems, in one process or two, DDP or sharded."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from run_toys import run
from safetensors.torch import load_file
from toys import ToyEncoder, ragged_batch

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def reference():
    return run("single", micro=1)


def test_every_system_trains_in_one_process(reference):
    names = {key.split(".")[0] for key in reference}
    assert names == {"masked", "jepa", "dino", "scale_tokens", "next_scale", "finetune", "distil"}
    assert all(value.isfinite().all() for value in reference.values())


def test_micro_batches_change_nothing(reference):
    cut = run("single", micro=3)
    for key, value in reference.items():
        torch.testing.assert_close(cut[key], value, atol=2e-5, rtol=1e-4, msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_equal_one(reference, strategy, tmp_path):
    out = tmp_path / "weights.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    command += [str(HERE / "run_toys.py"), str(out), strategy, "2"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    weights = load_file(out)
    assert weights.keys() == reference.keys()
    for key, value in reference.items():
        torch.testing.assert_close(weights[key], value, atol=2e-5, rtol=1e-4, msg=key)


def test_toy_encoder_exports():
    """An encoder keeps our types; a wrapper with plain tensors is what is exported."""
    from caesura.types import Tokens

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = ToyEncoder()

        def forward(self, values, observed, positions, valid):
            features = self.encoder(Tokens(values, observed, positions, valid))
            return features.levels[-1].features, features.summary

    tokens = ragged_batch(range(4)).inputs
    plain = (tokens.values, tokens.observed, tokens.positions, tokens.valid)
    plain = tuple(x.clone() for x in plain)  # views of one another would tie their sizes
    model = Plain().eval()
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens")}
    exported = torch.export.export(model, plain, dynamic_shapes=(sizes,) * 4)
    shorter = tuple(x[:2, :5] for x in plain)
    for ours, theirs in zip(model(*shorter), exported.module()(*shorter), strict=True):
        torch.testing.assert_close(ours, theirs)
