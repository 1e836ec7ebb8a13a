"""Scores of forecasts: by measured samples alone, each channel by its own size."""

import numpy as np
import pytest

from caesura.tasks.backtest import Predictions, backtest, measured_quantiles, seasonal_scales
from caesura.tasks.forecast_examples import examples_of
from caesura.tasks.forecast_head import dlinear_features, fit_head, predict_with, window_floor

WINDOW, HORIZON = 24, 6


def series(missing=0.0, size=1.0):
    """Return two channels of waves, the second so many times as large."""
    rng = np.random.default_rng(0)
    at = np.arange(600)
    values = np.sin(2 * np.pi * at / 12 + np.array([[0.0], [1.0]]))
    values = (values + 0.2 * rng.standard_normal((2, 600))) * np.array([[1.0], [size]])
    values[rng.random((2, 600)) < missing] = np.nan
    return values


def scored(values, said=None):
    """Return the row of DLinear, or of forecasts that `said` gives for pasts."""
    examples = examples_of([values], WINDOW, HORIZON)
    head = fit_head(examples, dlinear_features)
    said = said or (lambda past: predict_with(head, dlinear_features, past, HORIZON))
    latest, earlier = (said(examples.of(role)[0]) for role in (2, 1))
    found = {"one": Predictions(latest, earlier, latest[:0])}
    (row,) = backtest(examples, found, head.floor, [seasonal_scales(values[:, :360], 12)])
    return row


def test_a_large_channel_has_no_larger_share_of_the_scaled_error():
    """Tens and thousands: each error is told by its channel's own seasonal one."""
    one, other = scored(series()), scored(series(size=1000.0))
    assert other["MASE"] == pytest.approx(one["MASE"], rel=1e-6)
    assert other["MAE"] > 100 * one["MAE"]


def test_a_channel_that_never_changes_is_left_out_of_the_scaled_error():
    values = series()
    values[1] = 5.0
    off = scored(values, lambda past: past[..., -HORIZON:] + 1.0)
    alone = scored(values[:1], lambda past: past[..., -HORIZON:] + 1.0)
    assert off["MASE"] == pytest.approx(alone["MASE"])


def test_what_was_not_measured_is_not_scored():
    """Lines across gaps are smooth: whoever says lines would be best on them."""
    values = series(missing=0.5)
    examples = examples_of([values], WINDOW, HORIZON)
    (past, future), (then, later) = examples.of(2), examples.measured_of(2)
    assert 0.4 < np.isnan(later).mean() < 0.6
    begin = examples.begin[examples.role == 2]
    for row in (0, len(begin) - 1):
        np.testing.assert_array_equal(later[row], values[:, begin[row] : begin[row] + HORIZON])
        np.testing.assert_array_equal(then[row], values[:, begin[row] - WINDOW : begin[row]])
    assert np.isfinite(past).all()
    assert np.isfinite(future).all()
    perfect = {
        "one": Predictions(np.where(np.isnan(later), 99.0, later), examples.of(1)[1], past[:0])
    }
    floor = window_floor(examples.of(0)[0])
    (row,) = backtest(examples, perfect, floor, [seasonal_scales(values[:, :360], 12)])
    assert row["MASE"] == row["MAE"] == row["MSE"] == 0


def test_quantiles_are_of_measured_errors_of_a_step_or_of_its_channel():
    errors = np.random.default_rng(0).standard_normal((400, 3, 2)) * np.array([[1], [5], [9]])
    whole = np.quantile(errors, [0.1, 0.9], axis=0)
    np.testing.assert_array_equal(measured_quantiles(errors, [0.1, 0.9]), whole)
    errors[5:, 1, 0] = np.nan  # five are left
    errors[:, 2] = np.nan
    found = measured_quantiles(errors, [0.1, 0.9])
    np.testing.assert_array_equal(found[:, 0], whole[:, 0])
    pooled = errors[:, 1][np.isfinite(errors[:, 1])]
    np.testing.assert_allclose(found[:, 1, 0], np.quantile(pooled, [0.1, 0.9]))
    every = errors[np.isfinite(errors)]
    np.testing.assert_allclose(found[:, 2].T, [np.quantile(every, [0.1, 0.9])] * 2)


def test_the_seasonal_error_is_of_measured_samples():
    values = series()
    gappy = values.copy()
    gappy[0, ::3] = np.nan
    whole, some = seasonal_scales(values, 12), seasonal_scales(gappy, 12)
    assert some[1] == whole[1]
    pairs = np.abs(values[0, 12:] - values[0, :-12])[np.arange(588) % 3 != 0]
    assert some[0] == pytest.approx(pairs.mean())
    alternate = values.copy()
    alternate[0, ::2] = np.nan  # no two measured samples are an odd number of steps apart
    assert np.isfinite(seasonal_scales(alternate, 7)).all()
