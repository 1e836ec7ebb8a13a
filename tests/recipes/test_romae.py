"""RoMAE's sizes are the paper's."""

import pytest
import torch

from builders import make_tokens
from caesura.errors import RecipeError
from caesura.nn.heads import LinearHead
from caesura.recipes import romae


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("size", "whole"),
    [("tiny-shallow", 781_921), ("tiny", 4_673_521), ("small", 26_892_865), ("base", 74_681_281)],
)
def test_parameter_counts_of_table_8(size, whole):
    with torch.device("meta"):
        encoder = romae.encoder(size, position_axes=1, values_per_token=16, cls=True)
        head = LinearHead(encoder.widths[-1], 1)
    assert count(encoder) + count(head) == whole
    if size == "tiny":
        assert count(encoder) == 4_673_160


def test_unknown_settings_and_sizes_name_the_known_ones():
    with pytest.raises(RecipeError, match="unknown size 'huge'; known: tiny-shallow, tiny"):
        romae.encoder("huge")
    with pytest.raises(RecipeError, match=r"unknown settings head; known: .*heads"):
        romae.encoder("tiny", head=3)


def test_no_real_token_has_the_position_of_cls():
    """A token at 0 on every axis is told apart from one that sits where [CLS] is."""
    encoder = romae.encoder("tiny-shallow", position_axes=2)
    seen = []
    encoder.transformer.rope.register_forward_hook(lambda m, args, out: seen.append(args[0]))
    tokens = make_tokens((4,))
    encoder(type(tokens)(tokens.values, tokens.observed, tokens.positions * 0, tokens.valid))
    assert (seen[0][:, 0] == 0).all()
    assert (seen[0][:, 1:] >= 1).all()
