"""Anomaly scores by the detector that normal data support, and their p-values."""

import logging

import numpy as np
import pyarrow as pa
import pytest

import caesura
from caesura.errors import RecipeError
from caesura.metrics.detect import Null
from caesura.tasks.cross_fit import CrossFitted
from caesura.tasks.detect import (
    DetectSettings,
    best_supported,
    compare_detectors,
    detect,
    learn_normal,
    limited,
)


def waves(count=2, length=400, seed=0, odd=None):
    rng = np.random.default_rng(seed)
    at = np.arange(length)
    rows = [
        np.sin(2 * np.pi * at / 16 + k) + 0.1 * rng.standard_normal(length) for k in range(count)
    ]
    if odd is not None:
        rows[0][odd : odd + 16] = np.sign(rows[0][odd : odd + 16])
    return rows


def table(rows):
    ids = np.repeat([f"s{k}" for k in range(len(rows))], [len(one) for one in rows])
    time = np.concatenate([np.arange(len(one)) for one in rows])
    return pa.table({"id": ids, "time": time, "value": np.concatenate(rows)})


@pytest.fixture(scope="module")
def run():
    settings = [
        "encoder.width=16",
        "encoder.depth=1",
        "encoder.patch=8",
        "data.rate=1",
        "data.window=64",
        "stages.0.decoder.width=16",
    ]
    return caesura.pretrain(table(waves()), "mae", steps=10, settings=settings)


def stores(run, normal, new):
    return run.open(table(new)), run.open(table(normal))


def test_an_odd_wave_scores_highest_and_normal_ones_have_uniform_p(run):
    store, normal = stores(run, waves(length=1600, seed=5), waves(length=800, seed=9, odd=400))
    detected = detect(run, store, normal)
    top = int(detected.score[0].argmax())
    assert 390 <= top <= 430
    assert 0.3 < detected.p_value[1].mean() < 0.7
    assert detected.p_value[0][top] == detected.least < 0.05
    by_support = {row["detector"]: row["support"] for row in detected.table}
    controls = {"random-init-twin", "energy", "change", "spectral-residual"}
    assert controls | {"this-run", "KNN", "PCA"} <= set(by_support)
    assert by_support[detected.by] == max(
        support for name, support in by_support.items() if name not in controls
    )


def test_a_detector_is_chosen_by_its_name_and_an_unknown_one_lists_the_known(run):
    store, normal = stores(run, waves(length=800), waves(length=200, seed=1, odd=100))
    detected = detect(run, store, normal, DetectSettings(by="knn"))
    assert detected.by == "KNN"
    assert [row["detector"] for row in detected.table] == ["KNN"]
    twin = detect(run, store, normal, DetectSettings(by="random init twin"))
    assert twin.by == "random-init-twin"
    assert not np.allclose(twin.score[0], detected.score[0])
    with pytest.raises(RecipeError, match=r"unknown detector 'LOF'; known: auto, this-run, .*KNN"):
        detect(run, store, normal, DetectSettings(by="LOF"))


def test_scores_are_compared_with_all_detectors_and_noise(run):
    store, normal = stores(run, waves(length=800, seed=5), waves(length=400, seed=9, odd=200))
    truth = [np.zeros(400, bool) for _ in range(2)]
    truth[0][200:216] = True
    detected = detect(run, store, normal, DetectSettings(by="KNN"))
    rows = {row["detector"]: row for row in compare_detectors(run, store, normal, truth, detected)}
    assert {"this-run", "random-init-twin", "KNN", "PCA", "uniform noise"} <= set(rows)
    assert rows["KNN"]["VUS-PR"] > 2 * rows["uniform noise"]["VUS-PR"]
    assert rows["KNN"]["written"] == "yes"
    assert 0 <= rows["PCA"]["range F1"] <= 1
    assert np.isnan(rows["uniform noise"]["support"])


def test_a_short_a_gappy_and_a_constant_series_take_no_answer_from_the_others(run, caplog):
    new = waves(3, 200, seed=1)
    new[0] = new[0][:5]
    new[1] = np.full(200, 0.5)
    gappy = table(new).filter(np.r_[np.ones(255, bool), np.arange(150) % 5 > 1])
    normal = run.open(table(waves(length=800)))
    caplog.set_level(logging.WARNING, "caesura")
    detected = detect(run, run.open(gappy), normal, DetectSettings(by="KNN"))
    assert np.isnan(detected.score[0]).all()
    assert np.isnan(detected.p_value[0]).all()
    assert len(detected.score[0]) == 5
    assert all(np.isfinite(one).all() for one in detected.score[1:])
    assert "1 of 3 series have no score, first 's0'" in caplog.text
    alone = detect(run, run.open(table(waves(3, 200, seed=1)[2:])), normal, DetectSettings("KNN"))
    whole = detect(run, run.open(table(waves(3, 200, seed=1))), normal, DetectSettings("KNN"))
    np.testing.assert_allclose(whole.score[2], alone.score[0])


@pytest.mark.parametrize("length", [12, 60, 100])
def test_short_normal_data_are_used_as_far_as_they_reach(run, caplog, length):
    store, normal = stores(run, waves(1, length), waves(1, 200, seed=1, odd=100))
    caplog.set_level(logging.WARNING, "caesura")
    detected = detect(run, store, normal)
    assert np.isfinite(detected.score[0]).all()
    assert len(detected.score[0]) == 200
    assert (detected.p_value[0] >= detected.least).all()
    if length == 12:
        assert "every p-value is 1" in caplog.text
        assert detected.least == 1


def test_more_normal_data_than_are_read_are_thinned_in_time(monkeypatch):
    monkeypatch.setattr("caesura.tasks.detect.MAX_NORMAL_STEPS", 1000)
    pieces = limited([np.arange(5000.0)[None], np.arange(30.0)[None]], 10)
    assert sum(one.shape[1] for one in pieces) <= 1000
    assert pieces[0][0, 0] == 0
    assert max(one.max() for one in pieces) > 3500


def test_learning_is_the_same_twice(run):
    normal = run.open(table(waves(1, 400)))
    one, two = (learn_normal(run, normal, DetectSettings(by="PCA", seed=3)) for _ in range(2))
    assert one.table == two.table
    np.testing.assert_array_equal(one.null.p_value, two.null.p_value)


def test_a_run_that_supports_no_more_than_its_random_twin_is_not_taken():
    support = {"this-run": 0.6, "random-init-twin": 0.6, "KNN": 0.4, "energy": 0.9}
    crossed = {name: CrossFitted(Null.of([]), {"spike": one}) for name, one in support.items()}
    assert best_supported(crossed, channels=1) == "KNN"
    crossed["this-run"] = CrossFitted(Null.of([]), {"spike": 0.7})
    assert best_supported(crossed, channels=1) == "this-run"
    crossed["shape"] = CrossFitted(Null.of([]), {"spike": 0.8})
    assert best_supported(crossed, channels=1) == "shape"
    assert best_supported(crossed, channels=2) == "this-run"
    assert best_supported({"KNN": CrossFitted(Null.of([]))}, channels=1) == ""


def test_it_is_said_that_what_is_scored_differs_from_normal_data_as_a_whole(run, caplog):
    caplog.set_level(logging.WARNING, "caesura")
    new = waves(1, 200, seed=1)
    for shift, told in ((0.0, False), (5.0, True)):
        caplog.clear()
        store, normal = stores(run, waves(1, 800), [new[0] + shift])
        detect(run, store, normal, DetectSettings(by="KNN"))
        assert ("differs from the normal data as a whole" in caplog.text) == told


def test_normal_data_that_never_change_are_learned_and_a_change_stands_out(run):
    store, normal = stores(
        run, [np.full(400, 2.0)], [np.r_[np.full(100, 2.0), 3.0, np.full(99, 2)]]
    )
    detected = detect(run, store, normal)
    assert detected.score[0].argmax() in range(90, 111)
    assert np.isfinite(detected.score[0]).all()
