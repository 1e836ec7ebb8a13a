"""Values less their own channel's mean, against the definition."""

import pytest
import torch

from builders import make_tokens
from caesura.signal.center import less_own_mean


@pytest.mark.parametrize("channels", [0, 3])
def test_less_own_mean_equals_its_definition(channels):
    tokens = make_tokens((9, 4), extra=3)
    found = less_own_mean(tokens, channels)
    code = tokens.positions[..., -1].long()
    for row in range(2):
        for place in range(tokens.valid.shape[1]):
            if not tokens.valid[row, place]:
                assert found[row, place] == 0
                continue
            own = tokens.valid[row] & ((code[row] == code[row, place]) | (channels == 0))
            wanted = tokens.values[row, place] - tokens.values[row][own].mean()
            torch.testing.assert_close(found[row, place], wanted, atol=1e-6, rtol=1e-5)


def test_a_level_that_all_values_share_does_not_matter():
    tokens = make_tokens((6,))
    moved = type(tokens)(tokens.values + 50.0, tokens.observed, tokens.positions, tokens.valid)
    torch.testing.assert_close(
        less_own_mean(tokens, 3), less_own_mean(moved, 3), atol=1e-4, rtol=1e-4
    )
