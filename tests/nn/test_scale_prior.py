"""The prior over scales: nothing of a finer scale is seen, and a cache changes nothing."""

import pytest
import torch

from builders import generator
from caesura.nn.attend import attend
from caesura.nn.scale_prior import ScalePrior
from caesura.nn.scale_transformer import (
    Cache,
    ScaleTransformerConfig,
    attend_by_scale,
    groups_of,
    scale_mask,
)

SIZES = (1, 2, 4, 6)


def prior(conditions=0):
    torch.manual_seed(0)
    config = ScaleTransformerConfig(width=16, heads=2, depth=2)
    made = ScalePrior(config, 32, 8, conditions, 2, 2).eval()
    torch.nn.init.normal_(made.transformer.modulate.weight, std=0.1)
    torch.nn.init.normal_(made.score.weight)
    return made


def sums(seed=0):
    rng = generator(seed)
    return [torch.randn(3, 8, 6, generator=rng) for _ in SIZES[:-1]]


def nothing(made):
    empty = torch.zeros(3, 2, 24)
    return made.known(empty, empty > 0)


def test_scores_of_a_scale_depend_on_coarser_ones_alone():
    made, given = prior(), sums()
    before = made(given, SIZES, nothing(made))
    for changed in range(len(given)):
        other = [one + (k == changed) for k, one in enumerate(given)]
        after = made(other, SIZES, nothing(made))
        for k in range(len(SIZES)):
            same = torch.allclose(before[k], after[k])
            assert same == (k <= changed)  # sums number `changed` feeds the scale after it


def test_a_cache_gives_what_one_pass_gives():
    made, given = prior(), sums()
    whole = made(given, SIZES, nothing(made))
    cache = Cache(2)
    for number, size in enumerate(SIZES):
        (one,) = made(given[number - 1 : number], [size], nothing(made), first=number, cache=cache)
        torch.testing.assert_close(one, whole[number], atol=1e-5, rtol=1e-4)
    assert cache.places == sum(SIZES)


def test_places_of_a_scale_see_one_another():
    mask = scale_mask((1, 2), torch.device("cpu"))[0, 0]
    assert mask.tolist() == [[True, False, False], [True] * 3, [True] * 3]


@pytest.mark.parametrize("sizes", [(1,), (64,), (1, 2, 4, 8), (1, 2, 16, 32, 32), (1, 15, 65)])
def test_scales_that_attend_by_themselves_see_what_the_mask_allows(sizes):
    q, k, v = torch.randn(3, 2, 3, sum(sizes), 8, generator=generator(0)).unbind(0)
    leaves = [part.clone().requires_grad_() for part in (q, k, v)]
    whole = attend(*leaves, scale_mask(sizes, q.device))
    found = attend_by_scale(*leaves, groups_of(sizes, q.device))
    torch.testing.assert_close(found, whole, atol=1e-6, rtol=1e-5)
    weight = torch.randn(whole.shape, generator=generator(1))
    for one, two in zip(
        torch.autograd.grad((found * weight).sum(), leaves),
        torch.autograd.grad((whole * weight).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


def test_a_condition_counts_unless_it_is_dropped():
    made = prior(conditions=2)
    shown = torch.randn(3, 2, generator=generator(1))
    known, given = nothing(made), sums()
    without = made(given, SIZES, known)
    dropped = made(given, SIZES, known, shown, torch.ones(3, dtype=torch.bool))
    kept = made(given, SIZES, known, shown, torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(without[2], dropped[2])
    assert not torch.allclose(without[2], kept[2])


def test_what_is_known_counts_and_what_is_not_shown_does_not():
    made, given = prior(), sums()
    values = torch.randn(3, 2, 24, generator=generator(1))
    seen = torch.zeros(3, 2, 24, dtype=torch.bool)
    torch.testing.assert_close(
        made(given, SIZES, made.known(values, seen))[0], made(given, SIZES, nothing(made))[0]
    )
    seen[..., :12] = True
    other = made(given, SIZES, made.known(values, seen))[0]
    assert not torch.allclose(other, made(given, SIZES, nothing(made))[0])
    later = values + 5.0 * ~seen
    torch.testing.assert_close(made.known(values, seen), made.known(later, seen))
