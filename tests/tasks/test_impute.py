"""Gaps are filled: what was measured stays, and intervals hold what they promise."""

import numpy as np
import pytest

from builders import TINY_GENERATOR, waves_and_counts
from caesura.errors import RecipeError
from caesura.tasks.impute import fill_windows, impute
from caesura.workflow import pretrain


def series(count=6, time=120, seed=0):
    """A wave, a count of events, white noise, and the wave once more."""
    rng = np.random.default_rng(seed + 100)
    found = []
    for wave, events in waves_and_counts(count, time, seed):
        one = np.stack([wave, events, rng.standard_normal(time), wave])
        found.append(one.astype(np.float32).astype(np.float64))
    return found


@pytest.fixture(scope="module")
def run():
    return pretrain(series(), "timemar", steps=40, settings=["data.window=20", *TINY_GENERATOR])


def gapped(seed=9):
    """Two series with points, a block and the end of a channel missing, and one very short."""
    data = [one[:, :60] for one in series(2, 60, seed)]
    data.append(series(1, 7, seed)[0])
    for one in data[:2]:
        one[[0, 3], 5:9] = np.nan
        one[1, ::3] = np.nan
        one[[0, 3], 52:] = np.nan
    data[2][[0, 3], 3] = np.nan
    return data


def test_gaps_are_filled_and_what_was_measured_stays(run):
    data = gapped()
    found = impute(run, run.open(data), draws=16)
    for own, low, value, high, seen in zip(
        data, found.lower, found.value, found.upper, found.observed, strict=True
    ):
        assert value.shape == own.shape
        np.testing.assert_array_equal(seen, np.isfinite(own))
        for kept in (low, value, high):
            np.testing.assert_allclose(kept[seen], own[seen], rtol=1e-6)
        assert np.isfinite(value).all()
        assert (low <= value).all()
        assert (value <= high).all()
        assert (high > low)[0][~seen[0]].all()
        assert np.array_equal(value[1], np.round(value[1]))


def test_a_short_gap_is_nearer_its_neighbours_than_the_usual(run):
    """The model of this test has learned little; that it meets what is measured needs none."""
    data = series(4, 100, 3)
    lacks = [one.copy() for one in data]
    for one in lacks:
        one[[0, 3], 10:90:10] = np.nan
    found = impute(run, run.open(lacks), draws=32)
    true = np.concatenate([one[0, 10:90:10] for one in data])
    said = np.concatenate([one[0, 10:90:10] for one in found.value])
    assert np.sqrt(np.mean((said - true) ** 2)) < 0.6 * true.std()


def test_what_was_measured_of_a_copy_is_known(run):
    assert run.schema.sampling.copies == (0, 1, 2, 0)
    data = np.stack(series(3, 20, 5))
    lacks = data.copy()
    lacks[:, 0, :10], lacks[:, 3, 10:] = np.nan, np.nan
    for filled in fill_windows(run, lacks, draws=2):
        np.testing.assert_array_equal(filled[:, [0, 3]], data[:, [0, 3]])
    found = impute(run, run.open(list(lacks)), draws=2)
    np.testing.assert_array_equal(np.stack(found.lower)[:, [0, 3]], data[:, [0, 3]])
    assert [one.tolist() for one in found.observed] == np.isfinite(lacks).tolist()


def test_white_noise_stays_wide_beside_what_was_measured(run):
    """Noise narrows as far as it remembers alone, and errors of neighbours are hardly laid over: by
    distance alone 0.66 were held, and with errors laid over by distance middles were 1.22 off."""
    data = np.stack(series(60, 20, 7))
    hidden = np.random.default_rng(0).random((60, 20)) < 0.3
    lacks = data.copy()
    lacks[:, 2][hidden] = np.nan
    low, middle, high = (one[:, 2][hidden] for one in fill_windows(run, lacks))
    true = data[:, 2][hidden]
    assert 0.85 < ((true >= low) & (true <= high)).mean() < 0.95
    assert (middle - true).std() < 1.15 * true.std()


def test_a_level_that_never_trained_is_kept_to(run):
    """Another season: no code says it, so each measured sample is missed by as much."""
    data = np.stack(series(20, 20, 8))
    data[:, [0, 3]] += 200
    lacks = data.copy()
    lacks[:, 0, 5:8], lacks[:, 3, 5:8] = np.nan, np.nan
    lacks[:, 0, 16:], lacks[:, 3, 16:] = np.nan, np.nan
    _, middle, _ = fill_windows(run, lacks)
    assert np.abs(middle - data)[:, 0, 5:8].mean() < 20
    assert np.abs(middle - data)[:, 0, 16:].mean() < 40


def test_impossible_draws_are_said(run):
    for wrong in ({"draws": 1}, {"level": 1.0}):
        with pytest.raises(RecipeError, match="give two at least"):
            impute(run, run.open(gapped()), **wrong)
