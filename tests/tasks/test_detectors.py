"""Detectors that read samples, anomalies that are put into normal data, and what supports what."""

import numpy as np
import pytest

from caesura.tasks.cross_fit import balanced_precision, cross_fitted, folds_of
from caesura.tasks.detector_table import period_of, windows_for
from caesura.tasks.detectors import (
    CLIP,
    Change,
    Energy,
    NearestWindows,
    PrincipalChannels,
    PrincipalWindows,
    SpectralResidual,
    average_by_time,
    in_deviations,
    instance_normalised,
    normal_scale,
)
from caesura.tasks.perturb import KINDS, perturbed


def waves(time, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    phase = np.arange(channels)[:, None]
    return np.sin(np.arange(time) / 4 + phase) + 0.1 * rng.standard_normal((channels, time))


DETECTORS = [
    NearestWindows("KNN", 16),
    NearestWindows("shape", 16, instance_normalised),
    PrincipalWindows("PCA", 16),
    PrincipalChannels("PCA-channels"),
    SpectralResidual("spectral-residual", 32),
    Change("change"),
    Energy("energy"),
]


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda one: one.name)
def test_a_detector_finds_what_is_not_normal_in_any_unit(detector):
    normal, later = waves(600), waves(300, seed=1)
    later[0, 150:154] += 6.0
    scores = detector.score(detector.fit([normal]), later)
    assert scores.shape == (300,)
    assert 130 <= scores.argmax() < 175
    # powers of two, so that rounding is the same
    unit = np.array([[2.0**-90], [2.0**90]])
    scaled = detector.score(detector.fit([normal * unit]), later * unit)
    np.testing.assert_allclose(scaled, scores, rtol=1e-6)


def test_a_constant_channel_counts_wherever_it_differs():
    normal = np.stack([waves(200, 1)[0], np.full(200, 0.1)])
    later = normal[:, :10].copy()
    later[1, 4] = 0.1 + 1e-3
    deviations = in_deviations(normal_scale([normal]), later)
    np.testing.assert_array_equal(np.flatnonzero(deviations[1]), [4])
    assert deviations[1, 4] == CLIP
    assert np.isfinite(deviations).all()


def test_overlapping_windows_are_averaged_by_time_stamp():
    scores = np.array([[1.0, 1.0], [3.0, 3.0]])
    averaged = average_by_time(scores, np.array([0, 2]), 4, 6)
    np.testing.assert_array_equal(averaged, [1, 1, 2, 2, 3, 3])


def test_anomalies_of_each_kind_change_what_they_say_and_nothing_else():
    series, spread = waves(2000), np.ones(2)
    altered = perturbed(series, spread, 32, 0, np.random.default_rng(0))
    assert set(altered.kind) == set(KINDS)
    inside = np.zeros(2000, bool)
    for start, stop in zip(altered.start, altered.stop, strict=True):
        inside[start:stop] = True
        assert (altered.series[:, start:stop] != series[:, start:stop]).any()
    np.testing.assert_array_equal(altered.series[:, ~inside], series[:, ~inside])
    assert not perturbed(series, np.zeros(2), 32, 0, np.random.default_rng(0)).kind


def test_folds_hold_out_every_normal_step_once():
    one, two = np.arange(100.0)[None], np.arange(100.0, 112.0)[None]
    folds = folds_of([one, two], 20)
    assert len(folds) == 5
    held = np.concatenate([piece for fold in folds for piece in fold.held], axis=1)
    np.testing.assert_array_equal(np.sort(held[0]), np.arange(112))
    for fold in folds:
        fitted = np.concatenate(fold.fitted, axis=1)[0]
        assert not np.intersect1d(fitted, np.concatenate(fold.held, axis=1)[0]).size
    assert folds_of([np.zeros((1, 30))], 20) == []
    assert len(folds_of([np.zeros((1, 30))] * 3, 20)) == 3  # each is held out whole


def test_a_detector_of_shapes_is_supported_by_waves_and_one_of_sizes_is_not():
    folds = folds_of([waves(1500, 1)], 100)
    shape, size = (
        cross_fitted(one, folds, 25) for one in (NearestWindows("KNN", 16), Energy("energy"))
    )
    assert shape.support > size.support + 0.1
    assert len(shape.null.score) == 1500
    too_long = cross_fitted(NearestWindows("KNN", 1400), folds, 25)
    assert np.isnan(too_long.support)
    assert too_long.null.least == 1


def test_precision_does_not_depend_on_how_many_anomalies_there_are():
    rng = np.random.default_rng(0)
    normal, odd = rng.standard_normal(4000), 1 + rng.standard_normal(4000)
    few = balanced_precision(odd[:400], normal)
    assert few == pytest.approx(balanced_precision(odd, normal), abs=0.03)
    assert balanced_precision(normal[:2000], normal[2000:]) == pytest.approx(0.1, abs=0.02)


def test_windows_follow_the_period_and_the_length():
    daily = [np.sin(np.arange(4000) * 2 * np.pi / 48)[None]]
    assert period_of(daily) == 48
    assert windows_for(daily, 96, 5) == (96, 64, 48)
    noise = [np.random.default_rng(0).standard_normal((1, 4000))]
    assert windows_for(noise, 96, 5).period == 0
    assert windows_for([np.zeros((1, 51))] * 9, 96, 5).others == 8
