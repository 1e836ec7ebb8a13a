"""The inference engine: modes, order, averages and progress."""

import numpy as np
import torch
from torch import nn

from caesura.data.window import Windows
from caesura.training.inference import (
    averaged,
    device_of,
    evaluating,
    move,
    row_slices,
    run_batches,
    stacked,
)
from caesura.types import Batch, Grid


class Doubled(nn.Module):
    """Doubles, and remembers whether it was asked in training and with gradients."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(2.0))
        self.asked = []

    def forward(self, x):
        self.asked.append((self.training, torch.is_grad_enabled()))
        return self.factor * x


def test_batches_come_back_in_order_with_what_was_read_as_arrays():
    module = Doubled().train()
    batches = [torch.full((2, 1), float(n)) for n in range(3)]
    found = list(run_batches(module, batches, module))
    assert [batch is own for (batch, _), own in zip(found, batches, strict=True)] == [True] * 3
    assert [array.tolist() for _, array in found] == [[[2.0 * n]] * 2 for n in range(3)]
    assert {array.dtype for _, array in found} == {np.dtype(np.float32)}
    assert module.asked == [(False, False)] * 3
    assert module.training


def test_between_batches_nothing_of_the_engine_is_in_force():
    module = Doubled().train()
    for _ in run_batches(module, [torch.ones(1), torch.ones(1)], module):
        assert module.training
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()


def test_the_mode_comes_back_after_an_error():
    module = Doubled().train()
    try:
        with evaluating(module):
            raise ValueError
    except ValueError:
        assert module.training


def test_rows_are_stacked_and_counted():
    module, counts = Doubled(), []
    batches = (torch.arange(7.0)[rows, None] for rows in row_slices(7, 3))
    found = stacked(module, batches, module, total=7, on_progress=lambda *now: counts.append(now))
    assert found[:, 0].tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert counts == [(3, 7), (6, 7), (7, 7)]


def test_windows_of_a_series_are_averaged_by_their_lengths():
    module = Doubled()
    values = torch.tensor([1.0, 3.0, 10.0])
    grid = Grid(values[:, None, None], torch.ones(3, 1, 1, dtype=torch.bool))
    windows = Windows(np.array([0, 0, 1]), np.array([0, 3, 9]), np.array([3, 4, 11]))
    batches = [(windows, Batch(grid, torch.arange(3)))]
    (mean,) = averaged(module, batches, lambda batch: [module(batch.inputs.values[:, 0])], 2)
    assert mean[:, 0].tolist() == [2 * (3 * 1 + 1 * 3) / 4, 20]


def test_batches_move_with_all_they_hold():
    grid = Grid(torch.zeros(1, 1, 2), torch.ones(1, 1, 2, dtype=torch.bool), rate_hz=3.0)
    other = torch.device("meta")
    windows, batch, none, kept = move((np.ones(2), Batch(grid, torch.zeros(1)), None, [2]), other)
    assert batch.inputs.observed.device == batch.index.device == other
    assert batch.inputs.rate_hz == 3.0
    assert (windows.tolist(), none, kept) == ([1, 1], None, [2])
    assert device_of(nn.Linear(1, 1, device="meta")) == other
    assert device_of(nn.ReLU()) == torch.device("cpu")
