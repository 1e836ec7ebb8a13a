"""Export an encoder of recipes/tables.py and compare it at other sizes. Usage: NAME"""

import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
from test_tables import make_encoder

from builders import make_tokens
from caesura.types import Tokens


class Plain(torch.nn.Module):
    """Plain tensors in, a tuple out: the form in which an encoder is exported."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, values, observed, positions, valid):
        features = self.encoder(Tokens(values, observed, positions, valid))
        level = features.levels[-1]
        # what stands on padding is unspecified, and differs between layouts
        return level.features * level.valid[..., None], features.summary


def plain(*lengths):
    """Return the four tensors of tokens, none a view of another."""
    t = make_tokens(lengths)
    return t.values.clone(), t.observed.clone(), t.positions.clone(), t.valid.clone()


model = Plain(make_encoder(sys.argv[1])).eval()
sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=500)}
exported = torch.export.export(model, plain(9, 5), dynamic_shapes=(sizes,) * 4).module()
for ours, theirs in zip(model(*plain(6, 3, 2)), exported(*plain(6, 3, 2)), strict=True):
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
