"""Series longer than a window: no seams between tiles, and a plan that they go through."""

import numpy as np
import pytest

from caesura.data.grid import sample_store
from caesura.errors import DataError, RecipeError
from caesura.tasks.generate import SamplingSettings
from caesura.tasks.generate_long import generate_long
from caesura.workflow import pretrain

pytestmark = pytest.mark.slow

WINDOW, EVERY = 16, 4
SMALL = (
    "encoder.width=32", "encoder.heads=2", "training.threads=1", "stages.1.objective.width=32",
    "stages.1.objective.heads=2", "stages.1.objective.depth=2",
    "stages.0.objective.quantiser.codes=64",
)  # fmt: skip


def waves(channels=1, count=6, time=400):
    rng = np.random.default_rng(0)
    at = np.arange(time) / 24 + rng.uniform(size=(count, channels, 1))
    return list(np.sin(2 * np.pi * at) + 0.02 * rng.standard_normal((count, channels, time)))


def trained(*settings, data=None, steps=500):
    fast = ("training.lr=0.003", "training.batch_tokens=512")
    settings = [f"data.window={WINDOW}", *SMALL, *fast, *settings]
    return pretrain(data or waves(), "timemar", steps=steps, settings=settings)


@pytest.fixture(scope="module")
def run():
    return trained()


@pytest.fixture(scope="module")
def plan():
    return trained(f"data.every={EVERY}", steps=60)


def test_a_plan_reads_one_sample_of_each_few(run, plan):
    own, thin = run.schema.sampling, plan.schema.sampling
    assert thin.every == EVERY
    assert own.rate_hz == pytest.approx(EVERY * thin.rate_hz)
    store = plan.open(waves())
    seen = sample_store(store, plan.schema).series()
    for one, whole in zip(seen, waves(), strict=True):
        np.testing.assert_allclose(one, whole[:, ::EVERY].astype(np.float32))


def test_tiles_join_without_a_seam(run):
    made = generate_long(run, 200, 5 * WINDOW)
    assert made.shape == (200, 1, 5 * WINDOW)
    jump = np.abs(np.diff(made[:, 0], axis=1)).mean(0)
    seams = np.arange(WINDOW, 5 * WINDOW, WINDOW // 2) - 1
    assert jump[seams].mean() < 1.3 * np.delete(jump, seams).mean()
    first, last = (made[..., part].std() for part in (slice(WINDOW), slice(-WINDOW, None)))
    assert 0.85 < last / first < 1.15


def test_tiles_go_through_the_samples_of_their_plan(run, plan):
    steps = 3 * WINDOW
    made = generate_long(run, 20, steps, plan=plan, seed=3)
    points = -(-steps // EVERY)
    planned = generate_long(plan, 20, points, seed=4)  # its own draws
    np.testing.assert_allclose(made[..., ::EVERY], planned, atol=1e-4)


def test_a_seed_makes_the_same_and_longer_begins_as_shorter(run):
    one, two = (generate_long(run, 5, n, seed=1) for n in (WINDOW, 3 * WINDOW))
    np.testing.assert_array_equal(two[..., : WINDOW // 2], one[..., : WINDOW // 2])


def test_a_plan_of_other_channels_or_of_the_same_rate_is_an_error(run):
    with pytest.raises(RecipeError, match="train both on the same table"):
        generate_long(run, 1, 40, plan=trained("data.every=4", data=waves(2), steps=4))
    with pytest.raises(RecipeError, match="a plan needs"):
        generate_long(run, 1, 40, plan=run)


def test_tiles_with_gaps_are_an_error(run):
    with pytest.raises(RecipeError, match="made as windows"):
        generate_long(run, 1, 40, settings=SamplingSettings(gaps=True))


def test_no_series_and_no_steps_are_errors(run):
    with pytest.raises(DataError, match="ask for one at least"):
        generate_long(run, 0, 40)
