"""Run one step of every toy system through the loop and save the resulting weights.

Usage: python run_toys.py OUT.safetensors single|ddp|fsdp MICRO_BATCHES
"""

import copy
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
from toys import ToySource, systems

from caesura.training.config import TrainingConfig
from caesura.training.loop import Trainer
from caesura.training.state import model_tensors
from caesura.types import PART_NAMES


def run(strategy: str, micro: int) -> dict[str, torch.Tensor]:
    """Train each system for two steps; a later stage starts from an earlier one's parts."""
    torch.set_num_threads(1)
    parts, weights = {}, {}
    for name, make, batches in systems():
        torch.manual_seed(0)
        objective = make(copy.deepcopy(parts))
        config = TrainingConfig(steps=2, lr=1e-2, warmup=0.0, strategy=strategy, precision="fp32")
        trainer = Trainer(objective, ToySource(batches, micro), config, seed=5)
        trainer.fit()
        whole = model_tensors(objective)
        weights |= {f"{name}.{key}": value for key, value in whole.items()}
        assert set(objective.parts()) <= set(PART_NAMES)
        # sharded modules cannot be copied: the next stage starts from plain weights
        torch.manual_seed(0)
        plain = make(copy.deepcopy(parts))
        plain.load_state_dict(trainer.fabric.broadcast(whole))
        parts[name] = dict(plain.parts())
    return weights


if __name__ == "__main__":
    out, strategy, micro = sys.argv[1:]
    weights = run(strategy, int(micro))
    if weights:  # rank 0 alone holds the whole state
        save_file({k: v.contiguous().clone() for k, v in weights.items()}, out)
