"""Heads: inputs of a standardised one count as so many deviations at most."""

import torch

from caesura.nn.heads import StandardisedHead


def _head(limit):
    head = StandardisedHead(2, 1, limit=limit)
    center, spread = torch.tensor([10.0, 0.0]), torch.tensor([2.0, 1.0])
    head.start(center, spread, torch.tensor([[1.0, 3.0]]), torch.tensor([0.5]))
    return head


def test_a_far_input_counts_as_the_limit_and_none_as_the_centre():
    inputs = torch.tensor([[14.0, 1.0], [1e9, torch.nan], [-torch.inf, torch.inf]])
    wanted = torch.tensor([[5.5], [5.5], [10.5]])
    torch.testing.assert_close(_head(5.0)(inputs), wanted)


def test_a_head_saved_before_there_were_limits_answers_as_it_did():
    saved = _head(5.0).state_dict()
    assert set(saved) == {"center", "spread", "linear.weight", "linear.bias"}
    head = StandardisedHead(2, 1)
    head.load_state_dict(saved)
    torch.testing.assert_close(head(torch.tensor([[30.0, 0.0]])), torch.tensor([[10.5]]))
