"""Of several ways to forecast the best one is written, and short series get what is possible."""

import numpy as np
import pyarrow as pa
import pytest

import caesura
from caesura.data.schema import Sampling
from caesura.errors import RecipeError
from caesura.tasks.backtest import Predictions
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.forecast_anchors import seasonal_anchors, usual_season
from caesura.tasks.forecast_examples import examples_of, plan_of
from caesura.tasks.forecast_ways import averaged, best_ways, by_channel, choose

SETTINGS = ["data.own_rate=true", "encoder.width=16", "encoder.depth=1", "training.threads=1"]


def trained(series, *more):
    return caesura.pretrain(series, "lejepa", steps=2, settings=[*SETTINGS, *more])


def by_name(found):
    return {row["forecast"]: row for row in found.backtest}


@pytest.fixture(scope="module")
def mixed():
    """Return a run and series: of the first channel the last season comes again to the digit, the
    second is a walk."""
    rng = np.random.default_rng(0)
    week = rng.standard_normal(12)
    series = []
    for _ in range(4):
        walk = np.cumsum(rng.standard_normal(240))
        series.append(np.stack([np.tile(week, 20) + rng.normal(), walk]))
    return trained(series, "data.window=24"), series


def test_each_channel_gets_the_way_that_was_best_before(mixed):
    run, series = mixed
    found = forecast(run, run.open(series), ForecastSettings(6))
    assert found.season == 12
    np.testing.assert_allclose(found.value[:, 0], [one[0, :6] for one in series], atol=1e-5)
    assert found.written[1] != "seasonal naive"
    np.testing.assert_array_equal(found.value[:, 1], found.ways[found.written[1]][:, 1])
    assert by_name(found)["written (best by channel)"] == found.backtest[0]
    least = min(row["MAE"] for row in found.backtest[1:])
    assert found.backtest[0]["MAE"] <= 1.1 * least  # no single way is best of both


def test_a_way_can_be_asked_for(mixed):
    run, series = mixed
    found = forecast(run, run.open(series), ForecastSettings(6, way="DLinear"))
    assert set(found.written) == {"DLinear"}
    np.testing.assert_array_equal(found.value, found.ways["DLinear"])
    with pytest.raises(RecipeError, match="unknown way to forecast 'ARIMA'; known: draws"):
        ForecastSettings(6, way="ARIMA")
    with pytest.raises(RecipeError, match="no forecast by 'draws of this run'"):
        forecast(run, run.open(series), ForecastSettings(6, way="draws of this run"))


def test_intervals_are_those_of_the_way_that_is_written(mixed):
    """A channel that comes again to the digit has no width; the walk's is that of its errors."""
    run, series = mixed
    found = forecast(run, run.open(series), ForecastSettings(6))
    width = found.upper - found.lower
    assert width[:, 0].max() < 1e-4
    assert 2.0 < width[:, 1, 0].mean() < 8.0  # one step of a walk: 1.64 deviations to both sides


def test_the_choice_that_is_scored_sees_nothing_of_what_scores_it():
    """A way that is best on the latest windows alone is written, but does not gild the backtest."""
    series = [np.sin(np.arange(200) / 5.0)[None] + np.arange(200)[None] * 0.01]
    examples = examples_of(series, 20, 5)
    latest, earlier = (examples.of(role)[1] for role in (2, 1))
    ends = np.zeros((1, 1, 5))
    ways = {
        "seasonal naive": Predictions(latest + 9.0, earlier, ends),
        "last value": Predictions(latest, earlier + 1.0, ends + 1.0),
    }
    choice = choose(examples, ways, [np.ones(1)])
    assert choice.before == ["seasonal naive"]
    assert choice.written == ["last value"]
    assert ways["average"].latest[0, 0, 0] == latest[0, 0, 0] + 9.0  # the other was not good before


def test_a_head_is_no_worse_than_the_season_that_it_leans_on():
    """Windows shorter than the season, of whose level nothing is told: the anchor is all."""
    rng = np.random.default_rng(0)
    season = 10 * rng.standard_normal(48)
    series = [np.tile(season, 12)[None] + 0.1 * rng.standard_normal((1, 576)) for _ in range(3)]
    run = trained(series, "data.window=16")
    found = by_name(forecast(run, run.open(series), ForecastSettings(48, season=48)))
    assert found["linear head on this run"]["MASE"] < 1.1 * found["seasonal naive"]["MASE"]
    assert found["seasonal naive"]["MASE"] < 1.2


def test_forecasts_scale_with_the_unit(mixed):
    run, series = mixed
    one = forecast(run, run.open(series), ForecastSettings(6, 12, way="DLinear"))
    small = [x * 2.0**-40 for x in series]
    two = forecast(run, run.open(small), ForecastSettings(6, 12, way="DLinear"))
    np.testing.assert_allclose(two.value * 2.0**40, one.value, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(two.upper * 2.0**40, one.upper, rtol=1e-4, atol=1e-4)


def test_the_last_season_is_read_from_before_the_window_and_never_from_after():
    series = np.arange(20.0)[None].copy()
    at = np.array([0, 0]), np.array([10, 3])
    found = seasonal_anchors([series], *at, horizon=6, season=4)
    assert found[0, 0].tolist() == [6, 7, 8, 9, 6, 7]
    assert found[1, 0].tolist() == [0, 1, 2, 0, 1, 2]  # shorter than a season: all of it
    series[0, 8:12] = np.nan  # a gap in which the future begins
    found = seasonal_anchors([series], *at, horizon=4, season=4)
    assert found[0, 0].tolist() == [6, 7, 7, 7]
    later = series.copy()
    later[0, 12:] = 99.0
    np.testing.assert_array_equal(seasonal_anchors([later], *at, horizon=4, season=4), found)


def test_the_calendar_has_a_usual_season():
    def of(step, calendar=""):
        return usual_season(Sampling(rate_hz=1 / step, window=8, calendar=calendar), dated=True)

    assert [of(3600.0), of(86_400.0), of(7 * 86_400.0)] == [24, 7, 52]
    assert of(365.2425 / 12 * 86_400, "month") == 12
    assert of(365.2425 / 4 * 86_400, "month") == 4
    assert usual_season(Sampling(rate_hz=1.0, window=8), dated=False) == 1


def test_the_season_of_a_calendar_is_taken_where_values_repeat():
    rng = np.random.default_rng(0)
    count, weeks = 3, 400
    times = np.datetime64("2001-01-01") + 7 * np.arange(weeks).astype("timedelta64[D]")
    year = 3 * np.sin(2 * np.pi * np.arange(weeks) / 52) + rng.standard_normal((count, weeks))
    walk = np.cumsum(rng.standard_normal((count, weeks)), 1)
    seasons = []
    for values in (year, walk):
        data = pa.table(
            {
                "id": np.repeat(np.arange(count), weeks),
                "time": np.tile(times, count),
                "value": values.ravel(),
            }
        )
        run = trained(data)
        seasons.append(forecast(run, run.open(data), ForecastSettings(30)).season)
    assert seasons == [52, 1]


@pytest.mark.parametrize(
    ("length", "lookback", "roles"),
    [
        (400, 64, (0, 1, 2)),
        (72, 24, (0, 1, 2)),
        (40, 4, (0, 1, 2)),
        (26, 2, (1, 2)),
        (20, 8, (2,)),
        (8, 8, ()),
    ],
)
def test_short_series_look_back_less(length, lookback, roles):
    assert plan_of(np.array([length] * 3), 64, 12) == (lookback, roles)
    if roles:
        series = [np.arange(length, dtype=float)[None]] * 500  # so many that a hop skips starts
        found = examples_of(series, lookback, 12, most=600, needed=roles)
        assert set(found.role) == set(roles)


@pytest.mark.parametrize("steps", [5, 13, 26, 40, 72, 100])
@pytest.mark.parametrize("count", [1, 5])
def test_series_of_any_length_are_forecast_a_year_ahead(steps, count):
    rng = np.random.default_rng(0)
    series = np.sin(np.arange(steps) * np.pi / 6) + 0.1 * rng.standard_normal((count, 1, steps))
    run = trained(series)
    found = forecast(run, run.open(series), ForecastSettings(12))
    assert found.value.shape == (count, 1, 12)
    assert np.isfinite(found.value).all()
    assert (found.lower <= found.value).all()
    assert (found.value <= found.upper).all()


def test_one_short_series_refuses_the_forecasts_of_no_other(mixed, caplog):
    run, series = mixed
    alone = forecast(run, run.open(series), ForecastSettings(6, 12, way="DLinear"))
    short = np.arange(10.0).reshape(2, 5)
    found = forecast(run, run.open([*series, short]), ForecastSettings(6, 12, way="DLinear"))
    np.testing.assert_array_equal(found.value[:4], alone.value)
    np.testing.assert_array_equal(found.value[4], short[:, [0, 1, 2, 3, 4, 0]])
    assert found.by_series[4].tolist() == ["seasonal naive"] * 2
    assert found.by_series[:4].ravel().tolist() == ["DLinear"] * 8
    assert "first '4'" in caplog.text or "first 4" in caplog.text


def test_a_run_without_windows_forecasts_regular_series_by_what_needs_no_encoder(caplog):
    rng = np.random.default_rng(0)
    series = np.sin(np.arange(72) * np.pi / 6) + 0.1 * rng.standard_normal((4, 1, 72))
    run = caesura.pretrain(series, "mae", steps=2, settings=["encoder.width=16"])
    found = run.forecast(series, horizon=12)
    assert "linear head on this run" not in found["way"].to_pylist()
    truth = np.tile(np.sin(np.arange(72, 84) * np.pi / 6), 4)
    assert np.abs(np.asarray(found["value"]) - truth).mean() < 0.15
    assert "at any times" in caplog.text


def test_an_average_weighs_good_ways_alone():
    ways = {
        name: Predictions(*(np.full((1, 2, 1), size),) * 3)
        for name, size in (("a", 1.0), ("b", 2.0), ("c", 100.0))
    }
    errors = np.array([[1.0, 1.0], [1.0, 1.2], [9.0, 9.0]])
    found = averaged(ways, errors).ends[0, :, 0]
    assert found[0] == pytest.approx(1.5)
    share = 0.25 + 0.5 * (1 / 1.44) / (1 + 1 / 1.44)
    assert found[1] == pytest.approx(1 + share)


def test_a_channel_without_errors_gets_the_way_that_was_best_of_all():
    errors = np.array([[1.0, 5.0, np.nan], [2.0, 1.0, np.nan]])
    assert best_ways(["seasonal naive", "b"], errors) == ["seasonal naive", "b", "b"]
    ways = {"a": Predictions(*np.zeros((3, 1, 2, 4))), "b": Predictions(*np.ones((3, 1, 2, 4)))}
    assert by_channel(ways, ["a", "b"]).ends[0, :, 0].tolist() == [0.0, 1.0]
