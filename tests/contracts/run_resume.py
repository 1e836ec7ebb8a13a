"""Train two toy systems, from where FOLDER stands, and save the weights; or stop after two steps.

Usage: python run_resume.py FOLDER single|ddp|fsdp stop|OUT.safetensors
"""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
from toys import ToyMasked, ToyScaleTokens, ToySource, grid_batch, ragged_batch

from caesura.errors import StoppedError
from caesura.training.config import TrainingConfig
from caesura.training.loop import Trainer
from caesura.training.state import has_state, model_tensors

SYSTEMS = {"masked": (ToyMasked, ragged_batch), "tokens": (ToyScaleTokens, grid_batch)}


def stop(progress):
    """Ask for a stop after the second step, as Ctrl-C does."""
    if progress.step == 2:
        os.kill(os.getpid(), signal.SIGINT)


def run(folder, strategy, stops=False):
    """Return the weights of each system after five steps, or after it was stopped."""
    torch.set_num_threads(1)
    weights = {}
    for name, (make, batches) in SYSTEMS.items():
        own = None if folder is None else folder / name
        torch.manual_seed(0)
        objective = make()
        config = TrainingConfig(
            steps=5, lr=1e-2, strategy=strategy, precision="fp32", evaluate_every=5
        )
        shown = {"on_progress": stop} if stops else {}
        if own is not None:
            own.mkdir(parents=True, exist_ok=True)
        trainer = Trainer(objective, ToySource(batches), config, seed=5, folder=own, **shown)
        try:
            trainer.fit(resume=has_state(own))
        except StoppedError:
            assert stops
        weights |= {f"{name}.{key}": value for key, value in model_tensors(objective).items()}
    return weights


if __name__ == "__main__":
    where, strategy, out = sys.argv[1:]
    weights = run(Path(where), strategy, out == "stop")
    if weights and out != "stop":
        save_file({k: v.contiguous().clone() for k, v in weights.items()}, out)
