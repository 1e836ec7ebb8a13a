"""HiMAE's pyramid: published sizes, any length, what padding, gaps and statistics may change."""

import dataclasses

import pytest
import torch
from torch.nn import functional

from builders import generator, make_grid
from caesura.encoders.conv_pyramid import ConvPyramid, ConvPyramidConfig
from caesura.errors import DataError
from caesura.nn.conv import StridedPoint, hops, receptive_fields
from caesura.nn.normalise import Normalise, window_scale
from caesura.objectives.masked_grid import patch_samples
from caesura.recipes import himae
from caesura.types import Batch, Grid


def count(module):
    return sum(p.numel() for p in module.parameters())


def small(**settings):
    torch.manual_seed(0)
    return himae.encoder(channels=2, widths=(8, 16, 32), **settings)


def test_the_published_sizes_come_out_exactly():
    base = himae.encoder(channels=1)
    assert count(base) == 700_672
    assert count(himae.objective(base)) == 1_245_953
    assert count(himae.objective(himae.encoder("small"))) == 309_889


def test_levels_have_the_published_lengths_hops_and_receptive_fields():
    encoder = himae.encoder().eval()
    window = Grid(torch.randn(1, 1, 1000), torch.ones(1, 1, 1000, dtype=torch.bool), rate_hz=100.0)
    levels = encoder(window).levels
    assert [level.features.shape[1] for level in levels] == [500, 250, 125, 63, 32]
    assert receptive_fields(5, (2,) * 5) == (13, 37, 85, 181, 373)
    assert [level.reach_s for level in levels] == [0.13, 0.37, 0.85, 1.81, 3.73]
    assert [level.hop_s for level in levels] == [0.02, 0.04, 0.08, 0.16, 0.32]


@pytest.mark.parametrize(("kernel", "strides"), [(5, (2, 2, 2)), (3, (2, 2)), (7, (4, 1, 2))])
def test_a_place_sees_exactly_its_receptive_field(kernel, strides):
    widths = (4,) * len(strides)
    encoder = ConvPyramid(
        ConvPyramidConfig(widths=widths, kernel=kernel, strides=strides, statistics="fixed")
    ).eval()
    x = torch.randn(1, 1, 400, requires_grad=True)
    features = encoder(Grid(x, torch.ones_like(x, dtype=torch.bool)))
    for level, field, hop in zip(
        features.levels, receptive_fields(kernel, strides), hops(strides), strict=True
    ):
        place = 200 // hop
        (gradient,) = torch.autograd.grad(level.features[0, place].sum(), x, retain_graph=True)
        seen = gradient[0, 0].nonzero().flatten()
        assert int(seen[-1] - seen[0]) + 1 == field
        assert int(seen[0] + seen[-1]) // 2 == place * hop  # centred on the place's sample


@pytest.mark.parametrize(("length", "stride"), [(1, 2), (40, 1), (41, 2), (41, 3)])
def test_a_point_convolution_strides_as_torch_does(length, stride):
    torch.manual_seed(0)
    point = StridedPoint(2, 3, stride)
    x = torch.randn(4, 2, 1, length, requires_grad=True)
    ours, theirs = point(x), functional.conv2d(x, point.weight, stride=(1, stride))
    torch.testing.assert_close(ours, theirs)
    for one in (x, point.weight):
        (mine,), (other,) = (
            torch.autograd.grad(out.square().sum(), one, retain_graph=True)
            for out in (ours, theirs.contiguous())
        )
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("length", [1, 7, 63, 64, 250, 1001])
def test_any_length_comes_back_whole(length):
    encoder = small()
    objective = himae.objective(encoder).eval()
    grid = make_grid((length,), extra=0)
    out = objective.decoder(encoder(grid), grid.without_values())
    assert out.shape == grid.values.shape


@pytest.mark.parametrize("absent", ["zero", "mean", "learned", "flag"])
@pytest.mark.parametrize("kind", ["min-max", "standard"])
def test_rows_are_independent_and_padding_changes_nothing(absent, kind):
    encoder = small(absent=absent, kind=kind).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.05)  # biases and the learned value must not be zero
    together = make_grid((50, 37), extra=9)
    alone = make_grid((50, 37))
    whole = encoder(together)
    for row, length in enumerate((50, 37)):
        one = Grid(
            alone.values[row : row + 1, :, :length], alone.observed[row : row + 1, :, :length]
        )
        for ours, theirs in zip(whole.levels, encoder(one).levels, strict=True):
            places = theirs.features.shape[1]
            torch.testing.assert_close(
                ours.features[row, :places], theirs.features[0], atol=1e-5, rtol=1e-4
            )
            assert torch.equal(ours.valid[row, :places], theirs.valid[0])
            assert not ours.valid[row, places:].any()


@pytest.mark.parametrize("absent", ["zero", "mean", "learned", "flag"])
@pytest.mark.parametrize("mask", ["random", "block", "mixed"])
@pytest.mark.parametrize("shared", [True, False])
def test_hidden_values_reach_neither_prediction_nor_statistics(absent, mask, shared):
    objective = himae.objective(small(absent=absent), mask=mask, shared=shared, patch_ms=40).eval()
    grid = make_grid((96, 96))
    caught = []
    objective.encoder.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
    objective(Batch(grid, torch.arange(2)), generator(0))
    hidden = grid.observed & ~caught[0].observed
    assert hidden.float().mean() > 0.5
    other = dataclasses.replace(grid, values=grid.values + 50.0 * hidden)
    outputs = []
    objective.decoder.register_forward_hook(lambda _, args, out: outputs.append(out))
    for one in (grid, other):
        objective(Batch(one, torch.arange(2)), generator(0))
    assert torch.equal(outputs[0], outputs[1])


def test_the_published_statistics_do_see_hidden_values():
    objective = himae.objective(small(), scale_from="window").eval()
    grid = make_grid((96,))
    seen = []
    objective.encoder.register_forward_hook(lambda _, args, out: seen.append(out.scale.spread))
    loud = dataclasses.replace(grid, values=grid.values * torch.linspace(1, 9, 96))
    for one in (grid, loud):
        objective(Batch(one, torch.arange(1)), generator(0))
    assert objective.decoder.config.output == "tanh"
    assert not torch.equal(seen[0], seen[1])


def test_what_was_never_measured_counts_as_hidden_and_not_in_the_loss():
    objective = himae.objective(small()).eval()
    grid = make_grid((96,))
    spoiled = dataclasses.replace(grid, values=torch.where(grid.observed, grid.values, 1e3))
    with torch.no_grad():
        one, two = (objective(Batch(g, torch.arange(1)), generator(1)) for g in (grid, spoiled))
    assert float(one.total) == float(two.total)
    assert float(one.count) <= int(grid.observed.sum())


def test_the_loss_is_the_mean_over_hidden_observed_samples_of_all_channels():
    objective = himae.objective(small(), patch_ms=50).eval()
    grid = make_grid((100, 100))
    caught = {}
    objective.encoder.register_forward_hook(lambda _, a, out: caught.update(seen=a[0], out=out))
    objective.decoder.register_forward_hook(lambda _, a, out: caught.update(guess=out))
    loss = objective(Batch(grid, torch.arange(2)), generator(2))
    total, counted = 0.0, 0
    for row, channel, time in grid.observed.nonzero().tolist():
        if caught["seen"].observed[row, channel, time]:
            continue
        scale = caught["out"].scale
        goal = (grid.values[row, channel, time] - scale.center[row, channel, 0]) / scale.spread[
            row, channel, 0
        ]
        total += float((caught["guess"][row, channel, time] - goal) ** 2)
        counted += 1
    assert counted == int(loss.count)
    assert float(loss.total) == pytest.approx(total / counted, rel=1e-4)


def test_min_max_maps_to_the_unit_interval_and_a_constant_window_to_zeros():
    values = torch.stack([torch.linspace(-3, 5, 20), torch.full((20,), 7.0)])[:, None]
    observed = torch.ones_like(values, dtype=torch.bool)
    scaled = window_scale(values, observed, "min-max").normalised(values)
    assert scaled[0].min() == -1
    assert scaled[0].max() == 1
    assert (scaled[1] == 0).all()
    none = window_scale(values, ~observed, "standard").normalised(0 * values)
    assert (none == 0).all()


def test_running_statistics_learn_in_training_alone_and_are_used_afterwards():
    module = Normalise(1, "standard", "running")
    grid = Grid(5 + 2 * torch.randn(64, 1, 200, generator=generator(0)),
                torch.ones(64, 1, 200, dtype=torch.bool))  # fmt: skip
    module.eval()
    module(grid)
    assert float(module.center) == 0
    module.train()
    for _ in range(3):
        module(grid)
    module.eval()
    scaled = module(grid).normalised(grid.values)
    assert abs(float(scaled.mean())) < 0.05
    assert float(scaled.std()) == pytest.approx(1, abs=0.05)


def test_a_patch_in_milliseconds_needs_a_rate():
    grid = make_grid((40,), rate=25.0)
    assert patch_samples(grid, 200.0) == 5
    assert patch_samples(grid, 1.0) == 1
    with pytest.raises(DataError, match="pass --rate"):
        patch_samples(dataclasses.replace(grid, rate_hz=None), 50.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel": 4}, "kernel 4 is even; choose 5"),
        ({"kernel": 1}, "greater than or equal to 3"),
        ({"strides": (2, 2)}, "2 strides for 5 widths"),
        ({"widths": (8, 0)}, "must lie in 1..65536"),
    ],
)
def test_sizes_that_cannot_be_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        ConvPyramidConfig(**settings)
