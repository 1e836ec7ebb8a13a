"""A basis of channels: what it keeps, what gaps do to it, and how its rank is chosen."""

import numpy as np
import pytest
import torch

from caesura.decoders.dual_path import DualPathDecoder, DualPathDecoderConfig
from caesura.encoders.dual_path import DualPathEncoder, DualPathEncoderConfig
from caesura.errors import RecipeError
from caesura.nn.basis import ChannelBasis
from caesura.types import Grid
from caesura.workflow import pretrain

CHANNELS, RANK = 12, 3
SMALL = {"channels": CHANNELS, "width": 16, "latent": 8, "heads": 2, "rank": RANK}


def orthonormal():
    basis = ChannelBasis(CHANNELS, RANK)
    basis.directions.copy_(torch.linalg.qr(torch.randn(CHANNELS, RANK)).Q)
    return basis


def test_what_lies_in_the_basis_comes_back():
    basis = orthonormal()
    values = basis.channels(torch.randn(2, RANK, 20))
    found, absent = basis.read(values, torch.ones_like(values) > 0)
    torch.testing.assert_close(basis.channels(found), values)
    torch.testing.assert_close(absent, torch.zeros(2, RANK, 20), atol=1e-6, rtol=0)


def test_hidden_values_are_never_read_and_their_share_is_told():
    basis, values = orthonormal(), torch.randn(2, CHANNELS, 20)
    seen = torch.rand(2, CHANNELS, 20) < 0.7
    found, absent = basis.read(values, seen)
    other, _ = basis.read(torch.where(seen, values, values + 9), seen)
    torch.testing.assert_close(found, other)
    hidden = (basis.directions.square()[None, :, :, None] * ~seen[:, :, None]).sum(1)
    torch.testing.assert_close(absent, hidden)


def test_components_of_an_encoder_sum_to_what_the_basis_keeps():
    encoder = DualPathEncoder(DualPathEncoderConfig(**SMALL))
    encoder.basis = orthonormal()
    values = torch.randn(2, CHANNELS, 24)
    inputs = Grid(values, torch.ones_like(values) > 0)
    parts = encoder.components(inputs, encoder.scale_of(inputs))
    kept = encoder.basis.channels(encoder.basis.directions.T @ values)
    torch.testing.assert_close(sum(parts), kept)
    decoder = DualPathDecoder(DualPathDecoderConfig(**SMALL))
    features, query = encoder(inputs), inputs.without_values()
    split = decoder(features, query, split=True)
    assert split.shape == (2, 4, CHANNELS, 24)
    torch.testing.assert_close(split[:, :3].sum(1), decoder(features, query), atol=1e-5, rtol=1e-4)


def low_rank(time=300):
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((RANK, time)).cumsum(1)
    mixed = rng.standard_normal((CHANNELS, RANK)) @ factors
    return [mixed + 0.01 * rng.standard_normal(mixed.shape)]


def trained(tmp_path, *settings):
    small = ("encoder.width=16", "encoder.heads=2", "stages.1.objective.width=16",
             "stages.1.objective.heads=2", "data.window=24")  # fmt: skip
    return pretrain(low_rank(), "timemar", tmp_path / "run", steps=4, settings=[*small, *settings])


def test_the_rank_is_chosen_by_variance_and_the_model_begins_there(tmp_path):
    run = trained(tmp_path, "encoder.explained=0.99")
    assert 1 <= run.recipe.encoder.rank <= RANK
    assert run.recipe.stages[0].decoder.rank == run.recipe.encoder.rank
    directions = run.parts["encoder"].basis.directions
    torch.testing.assert_close(directions.T @ directions, torch.eye(directions.shape[1]))
    whole = np.concatenate(low_rank(), 1)
    scaled = (whole - whole.mean(1, keepdims=True)) / whole.std(1, keepdims=True)
    kept = directions.numpy() @ (directions.numpy().T @ scaled)
    assert np.square(scaled - kept).mean() < 0.011
    learned = run.parts["decoder"].basis.directions.detach()
    assert 0 < (learned - directions).abs().max() < 0.2


def test_more_directions_than_channels_are_an_error(tmp_path):
    with pytest.raises(RecipeError, match="rank=13 of 12 channels"):
        trained(tmp_path, "encoder.rank=13")
