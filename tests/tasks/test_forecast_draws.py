"""Forecasts by draws: bounds in order, stretched to what they promise, and errors that say why."""

import numpy as np
import pytest

from caesura.errors import RecipeError
from caesura.tasks import forecast_draws
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.forecast_draws import Drawn, stretched
from caesura.workflow import pretrain

pytestmark = pytest.mark.slow

WINDOW = 24


def waves(count=4, time=300, seed=0):
    rng = np.random.default_rng(seed)
    at = np.arange(time)
    return [
        np.sin(2 * np.pi * (at / 12 + rng.uniform()))[None] + 0.1 * rng.standard_normal((1, time))
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def run():
    settings = [
        f"data.window={WINDOW}", "encoder.width=32", "encoder.heads=2", "training.threads=1",
        "stages.1.objective.width=32", "stages.1.objective.heads=2", "stages.1.objective.depth=2",
        "stages.0.objective.quantiser.codes=64", "training.lr=0.003", "training.batch_tokens=768",
    ]  # fmt: skip
    return pretrain(waves(), "timemar", steps=300, settings=settings)


def test_draws_follow_the_end_of_a_series(run):
    store = run.open(waves())
    found = forecast(run, store, ForecastSettings(6, draws=16))
    assert found.value.shape == (4, 1, 6)
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()
    by_name = {row["forecast"]: row for row in found.backtest}
    assert list(by_name)[1:3] == ["draws of this run", "linear head on this run"]
    assert by_name["draws of this run"]["MAE"] < 0.45  # the waves' own size is 0.64


def test_what_is_beyond_the_end_is_never_looked_at(run):
    past = np.stack([one[:, :WINDOW] for one in waves()])
    drawn = Drawn(run, 6, 8)
    changed = past.copy()
    changed[..., :6] += 5.0  # the part of the window that the horizon pushes out
    np.testing.assert_array_equal(drawn.quantiles(past), drawn.quantiles(changed))


def test_bounds_are_stretched_until_they_hold_nine_tenths():
    rng = np.random.default_rng(0)
    came = rng.standard_normal((4000, 2, 3)) * np.array([1.0, 3.0])[:, None]
    middle = np.zeros_like(came)
    quantiles = np.stack([middle - 0.5, middle, middle + 1.0])
    lower, upper = stretched(quantiles, quantiles, came)
    inside = (came >= lower) & (came <= upper)
    np.testing.assert_allclose(inside.mean((0, 2)), 0.9, atol=0.002)
    np.testing.assert_allclose(-lower / upper, 0.5, atol=0.02)


def test_where_draws_agree_and_are_wrong_bounds_reach_as_far_as_errors_did():
    """A flag: draws are sure of it, and one time in five they are wrong."""
    came = (np.random.default_rng(0).random((500, 1, 4)) < 0.2).astype(float)
    sure = np.zeros((3, *came.shape))
    unsure = np.broadcast_to(np.array([0.0, 0.0, 0.5])[:, None, None, None], (3, 2, 1, 4))
    lower, upper = stretched(np.concatenate([sure, unsure], 1), sure, came)
    np.testing.assert_allclose(lower, -1.0)
    np.testing.assert_allclose(upper, 1.0)
    lower, upper = stretched(sure, sure, np.zeros_like(came))
    np.testing.assert_allclose(upper - lower, 0.0, atol=1e-12)


def test_bounds_are_stretched_by_what_was_measured():
    rng = np.random.default_rng(0)
    came = rng.standard_normal((400, 2, 3))
    sure = np.stack([np.full_like(came, by) for by in (-0.5, 0.0, 0.5)])
    missing = came.copy()
    missing[200:, 0] = np.nan
    missing[:, 1] = np.nan
    lower, upper = stretched(sure, sure, missing)
    alone = stretched(sure[:, :200, :1], sure[:, :200, :1], came[:200, :1])
    np.testing.assert_allclose(lower[:200, :1], alone[0])
    np.testing.assert_array_equal([lower[:, 1], upper[:, 1]], sure[::2, :, 1])


def test_draws_are_shown_gaps_as_gaps_and_each_window_once(run, monkeypatch):
    series = waves()
    series[1][0, -WINDOW:-8:2] = np.nan
    asked = []

    def recorded(run, windows, *args, fill=forecast_draws.fill_windows, **kwargs):
        asked.append(windows)
        return fill(run, windows, *args, **kwargs)

    monkeypatch.setattr(forecast_draws, "fill_windows", recorded)
    forecast(run, run.open(series), ForecastSettings(6, draws=2))
    assert len(asked) == 3  # the ends, windows that score, and earlier ones
    missing = np.isnan(asked[0][..., :-6])
    np.testing.assert_array_equal(missing[1, 0], np.isnan(series[1][0, -WINDOW + 6 :]))
    assert not missing[[0, 2, 3]].any()


def test_a_horizon_as_long_as_a_window_is_an_error(run):
    with pytest.raises(RecipeError, match="shorter than a window"):
        forecast(run, run.open(waves()), ForecastSettings(WINDOW, draws=16))
