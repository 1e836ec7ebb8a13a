"""Noise as it was measured: of values in tests/nn/test_quantise.py, of events here."""

import torch

from caesura.nn.residual import Residual


def test_events_hang_together_over_channels_and_time_as_they_were_seen():
    rng = torch.Generator().manual_seed(0)
    true = Residual(3)
    true.memory.copy_(torch.tensor([0.6, 0.6, 0.0]))
    covariance = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]])
    covariance *= 1 - true.memory[:, None] * true.memory
    true.factor.copy_(torch.linalg.cholesky(covariance))
    share = torch.tensor([0.5, 0.5, 0.3])[:, None]

    def events(source):
        drawn = source.standard(2000, 30, rng)
        return (torch.special.ndtr(drawn) > 1 - share).float()

    seen = events(true)
    fitted = Residual(3)
    fitted.measure_binary((seen - share) / (share * (1 - share)).sqrt())
    made = events(fitted)
    torch.testing.assert_close(made.mean((0, 2)), share[:, 0], atol=0.01, rtol=0)
    for found in (made, seen):
        both = torch.corrcoef(found.transpose(0, 1).flatten(1))
        assert 0.6 < both[0, 1] < 0.8
        assert both[0, 2].abs() < 0.05
        lag = torch.corrcoef(torch.stack([found[:, 0, 1:].flatten(), found[:, 0, :-1].flatten()]))
        assert 0.3 < lag[0, 1] < 0.5


def test_noise_that_nobody_measured_is_white():
    drawn = Residual(2).standard(500, 20, torch.Generator().manual_seed(0))
    assert abs(drawn.std() - 1) < 0.02
