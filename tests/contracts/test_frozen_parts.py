"""What an objective freezes (teachers, the stage before) evaluates in each step of a training."""

import pytest
from run_objectives import GRIDS, rows, windows
from test_tables import make_objective
from toys import ToySource

from caesura.training.config import TrainingConfig
from caesura.training.loop import Trainer


def frozen_modules(objective):
    """Return the modules whose parameters all stand still, by name."""
    found = {}
    for name, module in objective.named_modules():
        own = list(module.parameters())
        if own and not any(p.requires_grad for p in own):
            found[name] = module
    return found


@pytest.mark.parametrize("name", ["jepa", "dino", "sampling_times", "next_scale"])
def test_frozen_parts_evaluate_from_the_first_step_on(name):
    objective = make_objective(name)
    seen, training = set(), []
    for part, module in frozen_modules(objective).items():
        module.register_forward_pre_hook(
            lambda module, inputs, part=part: seen.add((part, module.training))
        )
    objective.register_forward_pre_hook(lambda module, inputs: training.append(module.training))
    source = ToySource(windows if name in GRIDS else rows)
    Trainer(objective, source, TrainingConfig(steps=3, evaluate_every=2), seed=5).fit()
    assert training == [True, True, False, True, False]
    assert seen
    assert not [part for part, was_training in seen if was_training]
