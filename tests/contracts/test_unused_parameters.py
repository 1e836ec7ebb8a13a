"""A parameter that no batch uses (a part that other settings need) does not stop a resume."""

import pytest
import torch
from toys import ToyMasked, ToySource, ragged_batch

from caesura.errors import StoppedError
from caesura.training.config import TrainingConfig
from caesura.training.loop import Trainer


def idle_objective():
    torch.manual_seed(3)
    objective = ToyMasked()
    objective.idle = torch.nn.Linear(2, 2)
    return objective


def fitted(folder, stop=0, resume=False):
    """Train six steps, or stop after some; return the weights."""

    def watch(progress):
        if progress.step == stop:
            raise StoppedError("as asked")

    objective = idle_objective()
    config = TrainingConfig(steps=6, evaluate_every=2)
    source = ToySource(ragged_batch)
    Trainer(objective, source, config, seed=5, folder=folder, on_progress=watch).fit(resume=resume)
    return objective.state_dict()


def test_a_training_with_an_unused_parameter_resumes_bit_equal(tmp_path):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = fitted(tmp_path / "whole")
    with pytest.raises(StoppedError):
        fitted(tmp_path / "cut", stop=5)
    resumed = fitted(tmp_path / "cut", resume=True)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    begun = idle_objective().state_dict()
    assert torch.equal(whole["idle.weight"], begun["idle.weight"])
