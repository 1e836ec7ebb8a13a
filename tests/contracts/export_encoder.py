"""Export encoders of recipes/tables.py and compare them at other sizes. Usage: NAME ..."""

import sys
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
from test_tables import GRID, make_encoder

from builders import make_grid, make_tokens
from caesura.types import Grid, Tokens


class PlainTokens(torch.nn.Module):
    """Plain tensors in, a tuple out: the form in which an encoder is exported."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, values, observed, positions, valid):
        features = self.encoder(Tokens(values, observed, positions, valid))
        level = features.levels[-1]
        # what stands on padding is unspecified, and differs between layouts
        return level.features * level.valid[..., None], features.summary


class PlainGrid(torch.nn.Module):
    """The same for a grid: all levels out."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, values, observed):
        return tuple(level.features for level in self.encoder(Grid(values, observed)).levels)


def tokens(*lengths):
    """Return the four tensors of tokens, none a view of another."""
    t = make_tokens(lengths)
    return t.values.clone(), t.observed.clone(), t.positions.clone(), t.valid.clone()


def grid(count, length):
    """Return the two tensors of a grid without padding."""
    g = make_grid((length,) * count)
    return g.values.clone(), g.observed.clone()


def export(name):
    """Fail if an encoder cannot be exported or answers otherwise then."""
    batch = torch.export.Dim("batch")
    if name in GRID:
        model, example, other = PlainGrid(make_encoder(name)), grid(2, 64), grid(3, 64)
        shapes = ({0: batch},) * 2
    else:
        model, example, other = PlainTokens(make_encoder(name)), tokens(9, 5), tokens(6, 3, 2)
        shapes = ({0: batch, 1: torch.export.Dim("tokens", max=500)},) * 4
    exported = torch.export.export(model.eval(), example, dynamic_shapes=shapes).module()
    for ours, theirs in zip(model(*other), exported(*other), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


for name in sys.argv[1:]:
    print(name, file=sys.stderr)
    export(name)
