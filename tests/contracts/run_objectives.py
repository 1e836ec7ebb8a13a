"""Train each objective with statistics of the batch for two steps and save its weights.

Usage: python run_objectives.py OUT.safetensors single|ddp|fsdp
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
from test_tables import make_grid, make_objective, make_tokens
from toys import ToySource

from caesura.training.config import TrainingConfig
from caesura.training.loop import Trainer
from caesura.training.state import model_tensors
from caesura.types import Batch, Grid

GRIDS = ("scale_tokens", "sampling_times", "next_scale")
NAMES = ("jepa", "lejepa", "vicreg", "dino", "next_patch", "denoise", "sum", *GRIDS)
SETTINGS = {"dino": {"centring": "sinkhorn"}, "scale_tokens": {"presence": True}}


def rows(numbers):
    """Return a batch of some of eight series of unequal length."""
    whole = make_tokens((9, 8, 7, 9, 6, 8, 9, 7))
    index = torch.tensor(list(numbers))
    most = torch.arange(9)[None].expand(len(index), -1)
    part = type(whole)(
        *(getattr(whole, k)[index] for k in ("values", "observed", "positions", "valid"))
    )
    return Batch(part.select(most, part.valid), index)


def windows(numbers):
    """Return a batch of some of eight windows of one length."""
    whole, index = make_grid([96] * 8), torch.tensor(list(numbers))
    return Batch(Grid(whole.values[index], whole.observed[index], rate_hz=100.0), index)


def run(strategy):
    """Return the weights of all objectives after two steps."""
    torch.set_num_threads(1)
    weights = {}
    for name in NAMES:
        if strategy == "fsdp" and name == "sum":
            continue  # its terms share an encoder, which cannot be sharded twice
        torch.manual_seed(0)
        objective = make_objective(name, **SETTINGS.get(name, {}))
        # each process would choose its kernels by its own timings; they differ in their rounding,
        # of which an optimiser's first steps keep the sign, so they are fixed (fused ones round
        # more coarsely)
        pinned = {"precision": "fp32", "products": "default", "plain_attention": 4096}
        config = TrainingConfig(steps=2, lr=1e-2, warmup=0.0, strategy=strategy, **pinned)
        Trainer(objective, ToySource(windows if name in GRIDS else rows), config, seed=5).fit()
        weights |= {f"{name}.{key}": value for key, value in model_tensors(objective).items()}
    return weights


if __name__ == "__main__":
    out, strategy = sys.argv[1:]
    weights = run(strategy)
    if weights:  # rank 0 alone holds the whole state
        save_file({k: v.contiguous().clone() for k, v in weights.items()}, out)
