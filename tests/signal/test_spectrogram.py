"""Log-mel spectrograms: sizes, pitch, power, and every band heard."""

import math

import pytest
import torch

from caesura.errors import RecipeError
from caesura.signal.spectrogram import log_mel, mel_filters


def test_a_second_has_a_frame_every_ten_milliseconds():
    frames = log_mel(torch.randn(2, 16_000), 16_000.0)
    assert frames.shape == (2, 98, 128)  # (1000 - 25) / 10 + 1
    assert log_mel(torch.randn(1, 10), 16_000.0).shape == (1, 1, 128)


def test_a_tone_is_loudest_in_the_band_of_its_pitch():
    rate, time = 16_000.0, torch.arange(16_000) / 16_000
    highest = 2595 * math.log10(1 + rate / 2 / 700)
    for pitch in (300.0, 1_000.0, 4_000.0):
        frames = log_mel(torch.sin(2 * math.pi * pitch * time)[None], rate)[0].mean(0)
        mel = 2595 * math.log10(1 + pitch / 700)
        assert abs(int(frames.argmax()) - (mel / highest * 129 - 1)) < 1.5


def test_ten_times_the_amplitude_is_log_100_more():
    wave = torch.randn(1, 8_000, generator=torch.Generator().manual_seed(0))
    gap = log_mel(10 * wave, 8_000.0) - log_mel(wave, 8_000.0)
    torch.testing.assert_close(gap, torch.full_like(gap, math.log(100)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("rate", [2_000.0, 8_000.0, 44_100.0])
def test_no_band_is_empty(rate):
    size = 2 ** math.ceil(math.log2(4 * round(0.025 * rate)))
    assert (mel_filters(128, size, rate).sum(1) > 0).all()


def test_windows_shorter_than_a_sample_are_an_error():
    with pytest.raises(RecipeError, match="choose longer ones"):
        log_mel(torch.randn(1, 100), 50.0)
