"""TimeMAR's first stage: what its loss makes of errors of a curve's course."""

import torch

from builders import generator, make_grid
from caesura.decoders.dual_path import DualPathDecoder, DualPathDecoderConfig
from caesura.encoders.dual_path import DualPathEncoder, DualPathEncoderConfig
from caesura.nn.quantise import QuantiserConfig
from caesura.objectives.scale_tokens import ScaleTokens, ScaleTokensConfig, roughness
from caesura.types import Batch


def curves():
    """Two channels that move a little, and far less than their levels differ."""
    time = torch.linspace(0, 3, 40)
    moving = torch.stack([time.sin(), 0.02 * time.cos()])
    return moving + torch.randn(5, 2, 1, generator=torch.Generator().manual_seed(0)) * 30


def test_best_weights_are_not_chosen_by_how_far_codes_are():
    shape = {"channels": 2, "width": 16, "latent": 8, "heads": 2}
    encoder = DualPathEncoder(DualPathEncoderConfig(**shape))
    decoder = DualPathDecoder(DualPathDecoderConfig(**shape))
    config = ScaleTokensConfig(quantiser=QuantiserConfig(codes=16, width=8))
    objective = ScaleTokens(encoder, decoder, config)
    batch = Batch(make_grid([96, 96]), torch.arange(2))
    said = {}
    for weight in (0.0, 100.0):
        objective.config = config.model_copy(update={"quantiser_weight": weight})
        for mode in (True, False):
            with torch.no_grad():
                found = objective.train(mode)(batch, generator())
            said[weight, mode] = float(found.total)
    assert said[100.0, False] == said[0.0, False]
    assert said[100.0, True] > said[0.0, True]


def test_roughness_is_that_of_its_formula():
    goal = curves()
    said = goal + torch.randn(goal.shape, generator=torch.Generator().manual_seed(1)) * 0.01
    observed = torch.ones_like(goal, dtype=torch.bool)
    steps, wrong = goal.diff(dim=-1), (said - goal).diff(dim=-1)
    ratio = wrong.square().mean(-1) / (steps.square().mean(-1) + 0.005**2)
    torch.testing.assert_close(roughness(said, goal, observed), ratio.log1p() * 39)


def test_a_level_that_is_missed_is_no_roughness_and_jumps_are():
    goal = curves()
    observed = torch.ones_like(goal, dtype=torch.bool)
    assert float(roughness(goal + 7, goal, observed).max()) < 1e-4
    jumps = 0.01 * torch.tensor([1.0, -1.0]).repeat(20)
    quick, slow = roughness(goal + jumps, goal, observed).mean(0)
    assert slow > 10 * quick  # the same error, of the channel that moves less


def test_roughness_knows_nothing_of_what_was_not_observed():
    goal = curves()
    observed = torch.rand(goal.shape, generator=torch.Generator().manual_seed(2)) > 0.3
    said = goal + 0.05 * torch.randn(goal.shape, generator=torch.Generator().manual_seed(3))
    other, wild = (torch.where(observed, one, 1e3) for one in (said, goal))
    torch.testing.assert_close(
        roughness(other, wild, observed), roughness(said, goal, observed), rtol=1e-4, atol=1e-4
    )
    nothing = torch.zeros_like(observed)
    assert float(roughness(said, goal, nothing).abs().max()) == 0.0
