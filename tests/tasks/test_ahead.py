"""Forecasts and anomaly scores of a frozen encoder, in order of time."""

import numpy as np
import pyarrow as pa
import pytest

import caesura
from caesura.errors import CheckpointError, DataError
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.forecast_anchors import season_of
from caesura.tasks.forecast_examples import examples_of
from caesura.tasks.forecast_head import (
    dlinear_features,
    fit_head,
    predict_with,
    window_floor,
    window_size,
)
from caesura.tasks.ridge import fit_ridge
from caesura.tasks.window_features import pooled_features, windows_of


def waves(count=4, length=400, seed=0, odd=None):
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    rows = np.stack([np.sin(2 * np.pi * t / 16 + k) + 0.1 * rng.standard_normal(length)
                     for k in range(count)])  # fmt: skip
    if odd is not None:
        rows[0, odd : odd + 16] = np.sign(rows[0, odd : odd + 16])
    ids = np.repeat([f"s{k}" for k in range(count)], length)
    return pa.table({"id": ids, "time": np.tile(t, count), "value": rows.ravel()})


@pytest.fixture(scope="module")
def run():
    settings = ["encoder.width=16", "encoder.depth=1", "encoder.patch=8", "data.rate=1",
                "data.window=64", "stages.0.decoder.width=16"]  # fmt: skip
    return caesura.pretrain(waves(), "mae", steps=20, settings=settings)


def test_a_wave_is_forecast_with_intervals_that_hold(run):
    store = run.open(waves())
    found = forecast(run, store, ForecastSettings(8))
    assert found.value.shape == (4, 1, 8)
    assert found.season == 16
    ways = {"linear head on this run", "DLinear", "seasonal naive", "last value", "average"}
    assert {row["forecast"] for row in found.backtest} == ways | {"written (best by channel)"}
    assert set(found.ways) == ways
    t = np.arange(400, 408)
    truth = np.stack([np.sin(2 * np.pi * t / 16 + k) for k in range(4)])[:, None]
    assert np.abs(found.value - truth).mean() < 0.2
    assert ((truth >= found.lower) & (truth <= found.upper)).mean() > 0.8


def test_the_future_never_reaches_a_forecast(run):
    """The scored futures are changed: the head and its forecasts stay."""
    values = np.sin(np.arange(400) / 3)[None]
    other = values.copy()
    examples = examples_of([values], 64, 8)
    bound = 64 + int((400 - 64) * 0.8)
    other[:, bound:] += 100
    changed = examples_of([other], 64, 8)
    one, two = (fit_head(e, dlinear_features) for e in (examples, changed))
    np.testing.assert_array_equal(one.ridge.weights, two.ridge.weights)
    past, _ = examples.of(0)
    assert predict_with(one, dlinear_features, past, 8).shape == (len(past), 1, 8)


def test_a_gap_before_a_forecast_is_not_bridged_to_what_follows():
    values = np.sin(np.arange(400) / 3)[None]
    values[:, 195:205] = np.nan
    other = values.copy()
    other[:, 205:] += 100
    one, two = (examples_of([v], 64, 8, [(150, 190)]) for v in (values, other))
    inside = (one.begin > 190) & (one.begin <= 205)
    assert inside.sum() > 10
    np.testing.assert_array_equal(one.past[inside], two.past[inside])
    assert np.isfinite(one.past).all()
    (row,) = np.flatnonzero(one.begin == 200)
    np.testing.assert_array_equal(one.past[row, 0, -5:], values[0, 194])
    before = examples_of([np.r_[[np.nan] * 80, np.arange(300.0)][None]], 64, 8)
    assert before.past[0].max() == 0  # nothing is known yet


def test_roles_follow_time_and_do_not_overlap():
    found = examples_of([np.arange(300.0)[None]], 20, 10)
    starts = [found.future[found.role == k][:, 0, 0] for k in range(3)]
    assert starts[0].max() + 10 <= starts[1].min()
    assert starts[1].max() + 10 <= starts[2].min()
    assert found.future[found.role == 2][:, 0, -1].max() == 299  # the last one is kept


def test_a_horizon_longer_than_the_series_says_what_to_do(run):
    with pytest.raises(DataError, match=r"needs series of 464; the longest has 400"):
        examples_of([np.zeros((1, 400))], 64, 400)
    with pytest.raises(DataError, match=r"the longest has 64\. Choose a run with a shorter window"):
        examples_of([np.zeros((1, 64))], 64, 1)
    with pytest.raises(DataError, match="give 1 or more"):
        ForecastSettings(0)


def test_a_run_on_irregular_series_is_sent_to_interpolate():
    from builders import long_table, tiny_run

    irregular = tiny_run(steps=4)
    with pytest.raises(CheckpointError, match="caesura interpolate --at"):
        forecast(irregular, irregular.open(long_table()), ForecastSettings(3))


def test_a_season_is_the_shortest_of_its_multiples():
    t = np.arange(2000)
    assert season_of([np.sin(2 * np.pi * t / 24)[None]], 100) == 24
    assert season_of([np.sin(2 * np.pi * t / 24)[None]], 24) == 24  # a window of just one season
    assert season_of([np.random.default_rng(0).standard_normal((1, 2000))], 100) == 1


def test_a_window_has_its_own_linear_features_in_any_company():
    windows = np.random.default_rng(0).standard_normal((5, 1, 64)) * np.arange(1, 6)[:, None, None]
    alone = dlinear_features(windows[2:3])
    np.testing.assert_allclose(dlinear_features(windows)[2:3], alone)


def test_windows_cover_a_series_to_its_end():
    cut, starts = windows_of(np.arange(10.0)[None], 4, 4)
    assert starts.tolist() == [0, 4, 6]
    assert cut[-1, 0].tolist() == [6, 7, 8, 9]
    assert len(windows_of(np.zeros((1, 3)), 4, 1)[0]) == 0


def test_features_tell_level_and_size_that_the_encoder_normalises_away(run):
    windows = np.sin(np.arange(64) / 3)[None, None] * np.array([1.0, 5.0])[:, None, None] + 2
    one, two = pooled_features(run.parts["encoder"], windows, 1.0)
    np.testing.assert_allclose(one[:-2], two[:-2], atol=1e-3)
    assert abs(one[-1] - two[-1]) > 1


def test_ridge_finds_a_line_and_its_strength_by_later_rows():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 30))
    y = x[:, :1] * 3 + 1 + 0.1 * rng.standard_normal((200, 1))
    found = fit_ridge(x[:100], y[:100], x[100:150], y[100:150])
    assert np.square(found.predict(x[150:]) - y[150:]).mean() < 0.03


def test_one_recording_trains_and_validates_by_time():
    settings = ["encoder.width=16", "encoder.depth=1", "encoder.patch=8", "data.rate=1",
                "data.window=64", "stages.0.decoder.width=16"]  # fmt: skip
    alone = caesura.pretrain(waves(1, 900), "mae", steps=4, settings=settings)
    assert alone.metrics["validation_loss"] > 0


def test_a_transformer_of_patches_exports_with_its_normalisation(run, tmp_path):
    pytest.importorskip("onnxruntime")
    from caesura.export.onnx import export_onnx

    found = export_onnx(run, run.open(waves()), tmp_path / "patches.onnx")
    assert found.parity["value"] < 1e-5
    assert found.inputs["samples"] == ["batch", 1, 64]


def test_a_nearly_constant_window_has_no_size_of_its_own():
    """In its own deviation what follows it would be worth thousands."""
    past = np.sin(np.arange(64) / 3)[None, None] * np.array([1.0, 1.0, 1e-9])[:, None, None]
    _, spread = window_size(past, window_floor(past))
    assert spread[2, 0, 0] == pytest.approx(0.1 * spread[0, 0, 0], rel=0.02)


def test_a_flag_that_seldom_changes_spoils_no_forecast():
    """Most windows of it are constant: in their own deviations a change would be worth millions."""
    day = np.arange(24 * 7 * 20) // 24
    flag = np.isin(day % 7, (1, 2)).astype(float)
    late = (day > 120).astype(float)  # and one that never changed in what fits
    examples = examples_of([np.stack([flag, late])], 24, 12)
    head = fit_head(examples, dlinear_features)
    past, future = examples.of(2)
    said = predict_with(head, dlinear_features, past, 12)
    assert np.abs(said[:, 0] - future[:, 0]).mean() < 0.3  # 0.14 of the steps follow a change
    assert np.abs(said[:, 1] - future[:, 1]).max() < 1.5
