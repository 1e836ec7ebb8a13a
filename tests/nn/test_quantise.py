"""Codes coarse to fine: nearest ones, sums, a codebook that follows its vectors."""

import pytest
import torch
from torch.nn import functional as F

from builders import generator
from caesura.nn.quantise import (
    QuantiserConfig,
    ScaleQuantiser,
    geometric_scales,
    nearest_codes,
)


def draws(rows, seed=0):
    rng = generator(seed)
    return lambda count: torch.rand(rows, count, generator=rng)


def book(**settings):
    torch.manual_seed(0)
    made = ScaleQuantiser(QuantiserConfig(**{"codes": 32, "width": 4} | settings))
    made.codes.copy_(torch.randn(32, 4, generator=generator(1)))
    return made


def test_scales_rise_geometrically_to_all_places():
    assert geometric_scales(6, 1.5) == (1, 2, 3, 5, 6)
    assert geometric_scales(16, 2.0) == (1, 2, 4, 8, 16)
    assert geometric_scales(1, 2.0) == (1,)
    with pytest.raises(ValueError, match="must rise"):
        book(scales=(1, 3)).scales(6)


def test_nearest_codes_are_those_of_all_distances():
    vectors = torch.randn(5000, 4, generator=generator(0))
    codes = torch.randn(32, 4, generator=generator(1))
    assert torch.equal(nearest_codes(vectors, codes), torch.cdist(vectors, codes).argmin(1))


def test_quantising_is_the_residual_recursion_written_out():
    made, latent = book(ratio=2.0, refiners=1), torch.randn(3, 4, 6, generator=generator(2))
    found = made(latent, draws(3))
    left, total = latent.clone(), torch.zeros_like(latent)
    for k, places in enumerate((1, 2, 4, 6)):
        pooled = F.adaptive_avg_pool1d(left, places).mT
        code = torch.cdist(pooled.reshape(-1, 4), made.codes).argmin(1).view(3, places)
        assert torch.equal(found.codes[k], code)
        wide = F.interpolate(made.codes[code].mT, size=6, mode="linear", align_corners=False)
        total = total + 0.5 * wide + 0.5 * made.refine[0](wide)
        left = latent - total
        torch.testing.assert_close(found.partial[k], total)
    again = torch.zeros_like(latent)
    for k, code in enumerate(found.codes):
        again = made.add(again, code, k, 6)
    torch.testing.assert_close(again, found.partial[-1])


def test_replaced_codes_change_what_finer_scales_have_to_mend():
    made, latent = book(), torch.randn(64, 4, 8, generator=generator(2))
    clean, mended = made(latent, draws(64)), made(latent, draws(64), corrupted=0.9)
    assert torch.equal(clean.codes[0], mended.codes[0])  # the right code is still what is wanted
    assert not torch.equal(clean.codes[1], mended.codes[1])
    assert not torch.allclose(clean.partial[0], mended.partial[0])


def test_the_codebook_fills_from_data_and_follows_it():
    torch.manual_seed(0)
    made = ScaleQuantiser(QuantiserConfig(codes=16, width=2, refiners=0, decay=0.9))
    centres = torch.tensor([[4.0, 0], [-4, 0], [0, 4], [0, -4]])
    rng = generator(3)
    errors = []
    for step in range(200):
        which = torch.randint(4, (256,), generator=rng)
        latent = (centres[which] + 0.1 * torch.randn(256, 2, generator=rng))[:, :, None]
        found = made(latent, draws(256, step))
        made.learn(found.carry)
        errors.append(float((found.partial[-1] - latent).square().mean()))
    assert errors[-1] < 0.02 < errors[0]
    assert float(made.usage(found.codes)["codes_in_use"]) >= 4


def test_a_code_that_nobody_uses_comes_back_to_the_data():
    made = book(refiners=0)
    made.hits.fill_(1.0)
    made.sums.copy_(made.codes)
    made.codes[5], made.sums[5] = 1e3, 1e3
    latent = torch.randn(512, 4, 4, generator=generator(4))
    for step in range(400):
        made.learn(made(latent, draws(512, step)).carry)
    assert made.codes[5].abs().max() < 10


def test_evaluation_does_not_move_the_codebook_and_parts_add_up():
    made = book().eval()
    before = made.codes.clone()
    latent = torch.randn(6, 4, 6, generator=generator(2))
    whole = made(latent, draws(6)).carry
    assert torch.equal(made.codes, before)
    parts = [made(latent[k : k + 3], draws(3)).carry for k in (0, 3)]
    for name in ("code_hits", "code_sums"):
        torch.testing.assert_close(parts[0][name] + parts[1][name], whole[name])
