"""Steps and limits that values keep to, and copies."""

import numpy as np
import pytest

from caesura.data.lattice import as_measured, copied_from, on_steps, reach_limits, value_step


@pytest.mark.parametrize(
    ("step", "most"), [(10.0, 1e3), (1.0, 5e4), (0.5, 1e3), (0.01, 900.0), (0.0004, 1.0), (3.0, 60)]
)
def test_a_step_is_found_in_float32_and_kept(step, most):
    rng = np.random.default_rng(0)
    counts = np.concatenate([[0, 1, 3], rng.integers(-most / step, most / step, 500)])
    values = (counts * step).astype(np.float32)
    assert value_step(values) == pytest.approx(step)
    moved = values + rng.uniform(-0.45, 0.45, len(values)) * step
    np.testing.assert_allclose(on_steps(moved, value_step(values)), counts * step, atol=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_normal(500),
        np.linspace(0, 1, 7),
        np.array([1234567.25, 1234567.5, 7654321.0]),  # float32 has no cents there
        np.zeros(5),
        np.array([]),
        np.array([np.nan]),
    ],
)
def test_no_step_is_made_up(values):
    assert value_step(values.astype(np.float32)) == 0.0


def test_of_many_values_the_last_one_counts_too():
    many = np.zeros(100_003, np.float32)
    many[1::7] = 30.0  # a part of them alone shows nothing else
    assert value_step(many) == 30.0
    many[-1] = 20.0
    assert value_step(many) == 10.0
    many[-1] = 0.123456
    assert value_step(many) == 0.0


def test_prices_have_two_decimals():
    np.testing.assert_array_equal(on_steps(np.array([0.30000001, 19.987]), 0.01), [0.3, 19.99])


def test_measured_values_lose_the_digits_of_float32_and_nothing_else():
    raw = np.array([[9.84, np.nan, 9.84001], [0.1, 1e7, 0.3]], dtype=np.float32)
    found = as_measured(raw, (0.01, 0.0))
    assert found.dtype == np.float64
    assert (found[0, 0], np.isnan(found[0, 1])) == (9.84, True)
    assert found[0, 2] == np.float64(raw[0, 2])  # keeps to no cent: as it was
    np.testing.assert_array_equal(found[1], raw[1].astype(np.float64))
    np.testing.assert_array_equal(found.astype(np.float32), raw)
    both = as_measured(np.stack([raw, raw]), (0.01, 0.0))
    np.testing.assert_array_equal(both, np.stack([found, found]))


def test_a_copy_is_told_by_values_where_they_were_measured_and_by_gaps():
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 50)).astype(np.float32)
    seen = rng.random(50) < 0.8
    hidden = np.where(seen, one, -1).astype(np.float32)  # another value where nothing was measured
    values = np.stack([one, other, one, hidden, other, one])
    every = np.ones(50, dtype=bool)
    observed = np.stack([seen, every, every, seen, every, seen])
    assert copied_from(values, observed) == (0, 1, 2, 0, 1, 0)
    assert copied_from(values[:0], observed[:0]) == ()


def test_a_limit_is_an_end_that_values_come_to_again_and_again():
    rng = np.random.default_rng(0)
    tail = np.round(rng.standard_normal(20_000), 3)
    assert reach_limits(tail) == (False, False)
    assert reach_limits(np.minimum(tail, 2.0)) == (False, True)
    assert reach_limits(np.maximum(tail, 0.0)) == (True, False)
    assert reach_limits((tail > 2.5).astype(float)) == (True, True)  # a flag that is rarely up
    assert reach_limits(np.minimum(tail[:50], 1.5)) == (False, False)  # too few to tell
    assert reach_limits(tail[:0]) == (False, False)
