"""The masked loss: a literal transcription, and hidden values that never leak."""

import dataclasses

import pytest
import torch

from builders import generator, make_batch, make_tokens
from caesura.objectives.masked_tokens import normalised
from caesura.recipes import romae
from caesura.signal.mask import draw_mask


def make_objective(**settings):
    torch.manual_seed(0)
    encoder = romae.encoder("tiny-shallow", position_axes=2, width=24, heads=2, depth=1)
    return romae.objective(encoder, mask_ratio=0.5, **settings).eval()


def test_loss_equals_its_literal_transcription():
    objective = make_objective()
    batch = make_batch((9, 5, 1))
    tokens = batch.inputs
    weight = torch.rand(tokens.values.shape, generator=generator(1))
    tokens = dataclasses.replace(tokens, weight=weight)
    batch = dataclasses.replace(batch, inputs=tokens)
    hidden = draw_mask(tokens, batch.index, generator(0), 0.5, "uniform")
    top = bottom = 0.0
    for row in range(3):
        length = int(tokens.valid[row].sum())
        alone = type(tokens)(*(x[row : row + 1, :length] for x in (
            tokens.values, tokens.observed, tokens.positions, tokens.valid)))  # fmt: skip
        kept = torch.tensor([[i for i in range(length) if not hidden[row, i]]])
        lost = torch.tensor([[i for i in range(length) if hidden[row, i]]], dtype=torch.int64)
        if not lost.numel():
            continue
        real = torch.ones_like(kept, dtype=torch.bool)
        features = objective.encoder(alone.select(kept, real))
        query = alone.select(lost, torch.ones_like(lost, dtype=torch.bool)).without_values()
        guess = objective.decoder(features, query)[0, :, 0]
        for place, position in enumerate(lost[0].tolist()):
            w = float(weight[row, position, 0])
            top += w * float(guess[place] - alone.values[0, position, 0]) ** 2
            bottom += w
    loss = objective(batch, generator(0))
    assert float(loss.total) == pytest.approx(top / bottom, rel=1e-5)
    assert float(loss.count) == pytest.approx(bottom, rel=1e-6)


def test_hidden_values_never_reach_the_prediction():
    objective = make_objective()
    batch = make_batch((12, 8))
    hidden = draw_mask(batch.inputs, batch.index, generator(0), 0.5, "uniform")
    predictions = []
    keep = objective.decoder.register_forward_hook(lambda m, i, out: predictions.append(out))
    for fill in (0.0, 1e6):
        values = torch.where(hidden[..., None], fill, batch.inputs.values)
        inputs = dataclasses.replace(batch.inputs, values=values)
        objective(dataclasses.replace(batch, inputs=inputs), generator(0))
    keep.remove()
    assert torch.equal(*predictions)


def test_unobserved_elements_do_not_count():
    torch.manual_seed(0)
    encoder = romae.encoder(
        "tiny-shallow", values_per_token=3, width=24, heads=2, depth=1, missing_flags=True
    )
    objective = romae.objective(encoder, mask_ratio=0.5).eval()
    batch = make_batch((8, 6), axes=1, size=3)
    observed = torch.rand(batch.inputs.values.shape, generator=generator(2)) < 0.6
    observed &= batch.inputs.valid[..., None]
    hidden = draw_mask(batch.inputs, batch.index, generator(0), 0.5, "uniform")
    absent = hidden[..., None] & ~observed
    losses = []
    for fill in (0.0, 1e6):
        values = torch.where(absent, fill, batch.inputs.values * observed)
        inputs = dataclasses.replace(batch.inputs, values=values, observed=observed)
        losses.append(objective(dataclasses.replace(batch, inputs=inputs), generator(0)))
    assert torch.equal(losses[0].total, losses[1].total)
    assert int(losses[0].count) == int((observed & hidden[..., None]).sum())


def test_missing_differs_from_zero_for_the_encoder():
    encoder = romae.encoder(
        "tiny-shallow", values_per_token=2, width=24, heads=2, depth=1, missing_flags=True
    ).eval()
    tokens = make_tokens((5,), axes=1, size=2)
    zero = dataclasses.replace(tokens, values=tokens.values * torch.tensor([1.0, 0.0]))
    absent = dataclasses.replace(zero, observed=tokens.observed & torch.tensor([True, False]))
    assert (encoder(zero).summary - encoder(absent).summary).abs().max() > 1e-4


def test_normalised_targets_ignore_unobserved_elements():
    tokens = make_tokens((3,), axes=1, size=6)
    observed = tokens.observed.clone()
    observed[..., 4:] = False
    tokens = dataclasses.replace(tokens, observed=observed)
    found = normalised(tokens)[..., :4]
    torch.testing.assert_close(found.mean(-1), torch.zeros(1, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(-1), torch.ones(1, 3), atol=1e-3, rtol=0)


def test_a_row_with_one_token_hides_none_and_the_loss_stays_finite():
    loss = make_objective()(make_batch((1, 1)), generator(0))
    assert float(loss.total) == 0.0
    assert float(loss.count) == 0.0
