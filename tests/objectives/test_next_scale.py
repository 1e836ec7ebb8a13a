"""TimeMAR's second stage: which weights of the prior are the better ones."""

import numpy as np
import pytest
import torch

from builders import generator, make_grid
from caesura.decoders.dual_path import DualPathDecoder, DualPathDecoderConfig
from caesura.encoders.dual_path import DualPathEncoder, DualPathEncoderConfig
from caesura.nn.quantise import QuantiserConfig, ScaleQuantiser
from caesura.nn.scale_prior import ScalePrior
from caesura.objectives.next_scale import NextScale, NextScaleConfig
from caesura.types import Batch


class Said(ScalePrior):
    """A prior that gives the right codes, or one beside them, so many logits above all others."""

    def __init__(self, sure, wrong):
        torch.nn.Module.__init__(self)
        self.sure, self.wrong, self.right = sure, wrong, []

    def known(self, values, seen):
        return values

    def forward(self, partial, sizes, *_):
        scores = []
        for codes in self.right:
            rows = torch.arange(len(codes))[:, None] % self.wrong
            aim = torch.where(rows == 0, (codes + 1) % 16, codes)
            scores.append(self.sure * torch.nn.functional.one_hot(aim, 16).float())
        return scores


def held_loss(sure, wrong):
    """Return the loss of 12 held-out windows, of which one in `wrong` is misjudged."""
    shape = {"channels": 2, "width": 16, "latent": 8, "heads": 2}
    torch.manual_seed(0)
    encoder = DualPathEncoder(DualPathEncoderConfig(**shape)).eval()
    book = ScaleQuantiser(QuantiserConfig(codes=16, width=8))
    prior = Said(sure, wrong)
    batch = Batch(make_grid([96] * 12), torch.arange(12))
    with torch.no_grad():
        latent = encoder(batch.inputs).levels[-1].features.mT
        prior.right = book(latent, lambda count: torch.rand(12, count)).codes
        decoder = DualPathDecoder(DualPathDecoderConfig(**shape))
        objective = NextScale(encoder, book, decoder, prior, NextScaleConfig()).eval()
        return float(objective(batch, generator()).total)


def test_a_prior_too_sure_that_knows_more_is_the_better_one():
    unsure = held_loss(0.0, 3)
    assert unsure == pytest.approx(np.log(16))
    assert held_loss(9.0, 3) < unsure  # right in two of three; at temperature 1 it is the worse
    assert held_loss(9.0, 2) > held_loss(9.0, 3) > held_loss(6.0, 12)
