"""Packed tokens give what padded rows give, gradients too."""

import pytest
import torch

from caesura.nn import pack
from caesura.nn.transformer import Transformer, TransformerConfig

LENGTHS = [3, 40, 1, 90, 33, 0, 64]


def _ragged():
    valid = torch.arange(90) < torch.tensor(LENGTHS)[:, None]
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(len(LENGTHS), 90, 24, generator=rng)
    return x, torch.rand(len(LENGTHS), 90, 2, generator=rng).cumsum(1), valid


def _answers(model, monkeypatch, packed, context=None):
    monkeypatch.setattr("caesura.nn.transformer.worth_packing", lambda valid: packed)
    x, positions, valid = _ragged()
    x.requires_grad_(True)
    layers = model(x, positions, valid, context, every_layer=True)
    real = [layer * valid[..., None] for layer in layers]
    model.zero_grad()
    sum(layer.sin().sum() for layer in real).backward()
    grads = [parameter.grad.clone() for parameter in model.parameters()]
    return real, grads, x.grad * valid[..., None]


@pytest.mark.parametrize("context", [None, 35])
def test_packed_and_padded_tokens_give_equal_layers_and_gradients(monkeypatch, context):
    torch.manual_seed(0)  # of some weights the sums of gradients differ by 2e-5
    model = Transformer(TransformerConfig(width=24, heads=2, depth=3), axes=2)
    padded, packed = (_answers(model, monkeypatch, kind, context) for kind in (False, True))
    for a, b in zip(
        (*padded[0], *padded[1], padded[2]), (*packed[0], *packed[1], packed[2]), strict=True
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_stochastic_depth_drops_the_same_series_in_both_layouts(monkeypatch):
    model = Transformer(TransformerConfig(width=24, heads=2, depth=3, stochastic_depth=0.5), 2)
    model.train()
    outputs = []
    for kind in (False, True):
        torch.manual_seed(3)
        outputs.append(_answers(model, monkeypatch, kind)[0])
    for a, b in zip(*outputs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("lengths", "expected"), [([90, 88], False), ([90, 20, 30], True)])
def test_packing_is_used_where_rows_are_mostly_padding(lengths, expected):
    valid = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    assert pack.worth_packing(valid) is expected


def test_gaps_inside_a_row_are_packed_too(monkeypatch):
    model = Transformer(TransformerConfig(width=24, heads=2, depth=1), axes=2)
    x, positions, valid = _ragged()
    valid = valid & (torch.arange(90) % 3 > 0)
    out = []
    for kind in (False, True):
        monkeypatch.setattr("caesura.nn.transformer.worth_packing", lambda valid, kind=kind: kind)
        out.append(model(x, positions, valid)[-1] * valid[..., None])
    torch.testing.assert_close(*out, atol=1e-5, rtol=1e-4)
