"""GRUs side by side: torch's own, their gradients, and no way from one to another."""

import pytest
import torch
from torch import nn

from caesura.nn.parallel_gru import ParallelGRU


def alone(model, copy, inputs, hidden):
    """Return torch's GRU with the weights of one copy."""
    weight = model.weight.detach()[copy]
    r, z, kept, new = weight.split(hidden)
    made = nn.GRU(inputs, hidden)
    of_state, of_inputs = slice(0, hidden), slice(hidden, hidden + inputs)
    with torch.no_grad():
        made.weight_hh_l0.copy_(torch.cat([part[:, of_state] for part in (r, z, kept)]))
        made.weight_ih_l0.copy_(torch.cat([part[:, of_inputs] for part in (r, z, new)]))
        made.bias_ih_l0.copy_(torch.cat([part[:, -2] for part in (r, z, new)]))
        made.bias_hh_l0.copy_(torch.cat([part[:, -1] for part in (r, z, kept)]))
    return made.double()


@pytest.mark.parametrize(("copies", "inputs", "hidden", "steps"), [(3, 2, 4, 7), (1, 5, 1, 1)])
def test_states_and_gradients_are_those_of_torch(copies, inputs, hidden, steps):
    torch.manual_seed(0)
    model = ParallelGRU(copies, inputs, hidden).double()
    x = torch.randn(steps, copies, inputs, 6, dtype=torch.float64)
    found = model(x)
    assert found.shape == (steps, copies, hidden, 6)
    goal = torch.randn(found.shape, dtype=torch.float64)
    (found * goal).sum().backward()
    for copy in range(copies):
        one = alone(model, copy, inputs, hidden)
        said = one(x[:, copy].mT)[0].mT
        torch.testing.assert_close(found[:, copy], said)
        (said * goal[:, copy]).sum().backward()
        r, z, kept, new = model.weight.grad[copy].split(hidden)
        for grad, parts, at in (
            (one.weight_hh_l0.grad, (r, z, kept), slice(0, hidden)),
            (one.weight_ih_l0.grad, (r, z, new), slice(hidden, hidden + inputs)),
            (one.bias_ih_l0.grad[:, None], (r, z, new), slice(-2, -1)),
            (one.bias_hh_l0.grad[:, None], (r, z, kept), slice(-1, None)),
        ):
            torch.testing.assert_close(torch.cat([part[:, at] for part in parts]), grad)


def test_blocks_that_a_gru_does_not_have_stay_zero():
    torch.manual_seed(0)
    model = ParallelGRU(2, 3, 4)
    absent = model.weight.detach() == 0
    assert absent.sum() == 2 * (4 * (3 + 1) + 4 * (4 + 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(4, 2, 3, 5)).square().sum().backward()
        optimizer.step()
    assert torch.equal(model.weight == 0, absent)
