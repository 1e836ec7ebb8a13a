"""Generative objectives predict nothing that they were shown."""

import dataclasses

import pytest
import torch

from builders import generator, make_batch, make_grid
from caesura.encoders.point_transformer import PointTransformer, PointTransformerConfig
from caesura.errors import RecipeError
from caesura.objectives.denoise import Denoise, DenoiseConfig, signal_share
from caesura.objectives.masked_tokens import MaskedTokens, MaskedTokensConfig
from caesura.objectives.next_patch import NextPatch, NextPatchConfig
from caesura.types import Batch
from contracts.test_tables import make_objective

PATCH = {
    "width": 16,
    "heads": 2,
    "depth": 2,
    "patch": 4,
    "values_per_token": 8,
    "normalise": "window",
}


def patches(order="causal", **settings):
    torch.manual_seed(0)
    return PointTransformer(PointTransformerConfig(**(PATCH | {"order": order} | settings)))


def later_changed(batch, start):
    """Return the batch with other samples from `start` on."""
    grid = batch.inputs
    values = grid.values.clone()
    values[..., start:] += 50 * grid.observed[..., start:]
    return dataclasses.replace(batch, inputs=dataclasses.replace(grid, values=values))


@pytest.mark.parametrize("cls", [True, False])
def test_a_causal_encoder_never_looks_ahead(cls):
    encoder = patches(cls=cls).eval()
    batch = Batch(make_grid((40, 40)), torch.arange(2))
    one = encoder(batch.inputs)
    two = encoder(later_changed(batch, 24).inputs)
    torch.testing.assert_close(one.levels[0].features[:, :6], two.levels[0].features[:, :6])
    torch.testing.assert_close(one.scale.center[:, :6], two.scale.center[:, :6])
    assert (one.levels[0].features[:, 6:] - two.levels[0].features[:, 6:]).abs().max() > 0.1


def test_next_patch_equals_its_formula_and_the_next_one_is_not_read():
    encoder = patches()
    objective = NextPatch(encoder, NextPatchConfig(values_per_token=8)).eval()
    batch = Batch(make_grid((40, 32)), torch.arange(2))
    tokens = encoder.tokenise(batch.inputs)
    features = encoder(tokens)
    said = objective._predict(features.levels[0].features[:, :-1], tokens, tokens)
    total, count = 0.0, 0
    for row in range(2):
        real = tokens.values[row][tokens.observed[row] & tokens.valid[row][:, None]]
        unit = max(float(real.std(unbiased=False)), 0.1)
        for i in range(int(tokens.valid[row].sum()) - 1):
            mean, spread = features.scale.center[row, i], features.scale.spread[row, i]
            error = (said[row, i] * spread + mean - tokens.values[row, i + 1]) / unit
            seen = tokens.observed[row, i + 1]
            total, count = total + float(error[seen].square().sum()), count + int(seen.sum())
    loss = objective(batch, generator(0))
    assert float(loss.total) == pytest.approx(total / count, rel=1e-4)
    assert float(loss.count) == count
    other = later_changed(batch, 24)  # tokens 0 to 5 predict 1 to 6; 6 begins at sample 24
    again = objective._predict(encoder(other.inputs).levels[0].features[:, :-1], tokens, tokens)
    torch.testing.assert_close(said[:, :6], again[:, :6])


def test_the_noise_schedule_is_the_cosine_of_its_paper():
    share = signal_share(torch.tensor([0.0, 250.0, 500.0, 1000.0]), 1000)
    assert float(share[0]) == pytest.approx(1)
    assert float(share[2]) == pytest.approx(0.4938, abs=1e-3)
    assert float(share[3]) == pytest.approx(0, abs=1e-6)
    assert bool((share[:-1] > share[1:]).all())


def test_the_denoiser_reads_its_own_noised_patch_and_the_past():
    encoder = patches()
    objective = Denoise(encoder, DenoiseConfig(width=16, values_per_token=8)).eval()
    x = torch.randn(1, 9, 16, generator=generator(0))
    context = torch.randn(1, 9, 16, generator=generator(1))
    places = torch.arange(10.0)[None, :, None]
    valid = torch.ones(1, 9, dtype=torch.bool)
    one = objective._denoised(x, context, valid, places[:, 1:], places[:, :-1])
    changed, other = context.clone(), x.clone()
    changed[:, 5:] += 3
    other[:, 4] += 3
    two = objective._denoised(x, changed, valid, places[:, 1:], places[:, :-1])
    three = objective._denoised(other, context, valid, places[:, 1:], places[:, :-1])
    torch.testing.assert_close(one[:, :5], two[:, :5])
    assert (one[:, 5:] - two[:, 5:]).abs().max() > 1e-3
    unread = [0, 1, 2, 3, 5, 6, 7, 8]
    torch.testing.assert_close(one[:, unread], three[:, unread])


@pytest.mark.parametrize("kind", [NextPatch, Denoise])
def test_an_encoder_that_looks_ahead_is_refused(kind):
    config = {NextPatch: NextPatchConfig, Denoise: DenoiseConfig}[kind]
    with pytest.raises(RecipeError, match=r"set encoder\.order=causal"):
        kind(patches("full"), config(values_per_token=8))


def test_hidden_samples_reach_neither_prediction_nor_statistics_of_patches():
    encoder = patches("full")
    seen = {}

    class Watch(torch.nn.Module):
        def forward(self, features, query):
            seen["features"] = features
            return query.values.new_zeros(*query.valid.shape, 8)

    objective = MaskedTokens(encoder, Watch(), MaskedTokensConfig(mask_ratio=0.5)).eval()
    batch = Batch(make_grid((40, 40)), torch.arange(2))
    objective(batch, generator(3))
    before = seen["features"]
    from caesura.signal.mask import draw_mask

    tokens = encoder.tokenise(batch.inputs)
    hidden = draw_mask(tokens, batch.index, generator(3), 0.5, "uniform")
    whole = hidden.repeat_interleave(4, 1)[:, None]
    values = torch.where(whole & batch.inputs.observed, 77.0, batch.inputs.values)
    objective(
        dataclasses.replace(batch, inputs=dataclasses.replace(batch.inputs, values=values)),
        generator(3),
    )
    torch.testing.assert_close(before.levels[0].features, seen["features"].levels[0].features)
    torch.testing.assert_close(before.scale.center, seen["features"].scale.center)


def test_patches_make_room_for_a_rest_and_keep_gaps():
    encoder = patches("full")
    grid = make_grid((42, 21))
    tokens = encoder.tokenise(grid)
    assert tokens.valid.sum(1).tolist() == [11, 6]
    assert torch.equal(tokens.observed[1, 5, :2], grid.observed[1, :, 20])
    assert not tokens.observed[1, 5, 2:].any()  # a rest of one sample
    assert tokens.observed[0, 0].view(4, 2)[3].sum() == 0  # the gap from sample 3


def test_a_corruption_is_seen_and_the_clean_series_predicted():
    """With noise without end the error stays that of the clean targets."""
    batch = make_batch((9, 6, 4))
    losses = []
    for jitter in (0.0001, 1000.0):
        objective = make_objective("masked_tokens", view={"kind": "jitter", "jitter": jitter})
        losses.append(float(objective.eval()(batch, generator(0)).total))
    assert losses[1] < 10 * losses[0]  # values are near 1, the noise near 1000
