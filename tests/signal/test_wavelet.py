"""The wavelet transform equals PyWavelets, has an inverse, and carries gradients."""

import numpy as np
import pytest
import pywt
import torch

from builders import generator
from caesura.errors import RecipeError
from caesura.signal import wavelet
from caesura.signal.wavelet import bands, decompose, most_levels, recompose

FAMILIES = [
    name
    for name in pywt.wavelist(kind="discrete")
    if name != "dmey" and len(pywt.Wavelet(name).dec_lo) <= 40
]


@pytest.mark.parametrize("name", FAMILIES)
def test_bands_and_inverse_equal_pywavelets(name):
    for length in (97, 128):
        levels = min(3, pywt.dwt_max_level(length, pywt.Wavelet(name).dec_len))
        x = torch.randn(2, 3, length, generator=generator(1), dtype=torch.float64)
        found = decompose(x, name, levels)
        theirs = pywt.wavedec(x.numpy(), name, level=levels)
        ours = bands(found, name, levels, length)
        assert [b.shape[-1] for b in ours] == [b.shape[-1] for b in theirs]
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, torch.from_numpy(other), atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(recompose(found, name, levels, length), x, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["db4", "bior4.4", "sym8"])
def test_the_filter_bank_and_the_matrix_are_one_transform(name, monkeypatch):
    x = torch.randn(3, 300, generator=generator(2), dtype=torch.float64)
    one = decompose(x, name, 3)
    back = recompose(one * 0.5, name, 3, 300)
    monkeypatch.setattr(wavelet, "_MATRIX_UP_TO", 0)
    torch.testing.assert_close(decompose(x, name, 3), one, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(recompose(one * 0.5, name, 3, 300), back, atol=1e-5, rtol=1e-5)


def test_the_longest_filters_are_those_of_pywavelets_too():
    for name in ("db38", "coif17", "dmey"):
        x = torch.randn(2, 400, generator=generator(3), dtype=torch.float64)
        joined = np.concatenate(pywt.wavedec(x.numpy(), name, level=1), -1)
        # dmey is not exactly invertible, in PyWavelets neither
        torch.testing.assert_close(
            decompose(x, name, 1), torch.from_numpy(joined), atol=2e-5, rtol=1e-5
        )


def test_gradients_go_through_both_ways():
    x = torch.randn(2, 64, generator=generator(4), dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 64, generator=generator(5), dtype=torch.float64)
    (recompose(decompose(x, "db4", 2), "db4", 2, 64) * weight).sum().backward()
    torch.testing.assert_close(x.grad, weight, atol=1e-5, rtol=1e-5)


def test_levels_are_counted_as_pywavelets_counts_them():
    for name in ("db4", "haar", "sym8", "bior6.8"):
        for length in (5, 7, 24, 97, 336, 1000):
            assert most_levels(name, length) == pywt.dwt_max_level(
                length, pywt.Wavelet(name).dec_len
            )


def test_unknown_wavelets_and_too_many_levels_say_what_to_do():
    with pytest.raises(RecipeError, match="unknown wavelet 'db99'"):
        decompose(torch.zeros(1, 64), "db99", 1)
    with pytest.raises(RecipeError, match="5 levels of db4 for series of 64 samples, which have 3"):
        decompose(torch.zeros(1, 64), "db4", 5)


def test_taps_asked_for_under_another_device_are_numbers():
    """A recipe is checked on the meta device, and its constants are kept."""
    wavelet.filters.cache_clear()
    wavelet._matrices.cache_clear()
    with torch.device("meta"):
        wavelet.filters("db4")
        wavelet._matrices("db4", 64, 2)
    x = torch.randn(1, 64, generator=generator(0))
    assert recompose(decompose(x, "db4", 2), "db4", 2, 64).isfinite().all()
