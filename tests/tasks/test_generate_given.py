"""What is known stays and rules what is drawn: channels that lack, ends that are to come."""

import numpy as np
import pyarrow as pa
import pytest

from caesura.errors import DataError, RecipeError
from caesura.tasks.generate_given import generate_given
from caesura.workflow import pretrain

pytestmark = pytest.mark.slow
SMALL = (
    "encoder.width=32", "encoder.heads=2", "stages.1.objective.width=32", "training.threads=1",
    "stages.1.objective.heads=2", "stages.1.objective.depth=2", "data.window=16",
    "stages.0.objective.quantiser.codes=64", "training.lr=0.006", "training.batch_tokens=768",
    "stages.1.objective.shown=0.9", "data.overlap=0.5",
)  # fmt: skip
COLUMNS = {"id": "house", "time": "hour", "value": ["outside", "heating"], "static": ["floor"]}


def table(count=40, seed=0, heating=True):
    """Heating is the higher the colder it is outside."""
    rng = np.random.default_rng(seed)
    level = 6 * rng.standard_normal((count, 1))
    outside = 10 + level + 2 * np.sin(np.arange(40) / 4 + rng.uniform(0, 6, (count, 1)))
    spent = 40 - 2 * outside + 0.5 * rng.standard_normal(outside.shape)
    found = {
        "house": np.repeat([f"h{n}" for n in range(count)], 40),
        "hour": np.tile(np.arange(40.0), count),
        "outside": outside.ravel(),
        "heating": spent.ravel(),
        "floor": np.repeat(rng.integers(0, 3, count), 40),
    }
    return pa.table({k: v for k, v in found.items() if heating or k != "heating"})


@pytest.fixture(scope="module")
def run():
    return pretrain(table(), "timemar", columns=COLUMNS, steps=250, settings=list(SMALL))


def test_a_covariate_that_varies_in_time_rules_what_is_made(run, caplog):
    known = table(30, seed=1, heating=False)
    store = run.open(known, partial=True)
    found = generate_given(run, store, 4, seed=2)
    assert "240 steps after the last whole window of 16 are left out" in caplog.text
    assert found.values.shape == (30 * 2 * 4, 2, 16)
    cold = np.stack([np.reshape(known["outside"], (30, 40))[:, at : at + 16] for at in (0, 16)], 1)
    kept = found.values[:, 0].reshape(30, 2, 4, 16)
    np.testing.assert_allclose(kept, np.broadcast_to(cold[:, :, None], kept.shape), rtol=1e-5)
    made = found.values[:, 1].reshape(30, 2, 4, 16)
    wanted = (40 - 2 * cold)[:, :, None]
    error = np.abs(made - wanted).mean()
    usual = np.abs(made - np.roll(wanted, 1, 0)).mean()
    assert error < 0.5 * usual
    assert np.corrcoef(made.mean((2, 3)).ravel(), wanted.mean((2, 3)).ravel())[0, 1] > 0.9
    assert (made.std(2) > 0).any()
    again = generate_given(run, store, 4, seed=2)
    np.testing.assert_array_equal(again.values, found.values)


def test_its_table_has_the_ids_and_times_of_what_was_given(run):
    known = table(3, seed=1, heating=False)
    made = run.generate(2, given=known).to_pandas()
    assert list(made.columns) == ["house", "hour", "outside", "heating", "draw"]
    assert len(made) == 3 * 32 * 2
    one = made[(made["house"] == "h2") & (made["draw"] == 1)]
    assert list(one["hour"]) == list(range(32))
    truth = known.to_pandas().query("house == 'h2'")["outside"].to_numpy()[:32]
    np.testing.assert_allclose(one["outside"], truth, rtol=1e-5)


def test_a_past_and_a_known_future_are_completed_to_a_window(run):
    frame = table(2, seed=3).to_pandas()
    frame = frame[frame["hour"] < 16]
    frame.loc[frame["hour"] >= 10, "heating"] = np.nan
    made = run.generate(3, given=frame).to_pandas()
    assert made["heating"].notna().all()
    before = made[made["hour"] < 10].groupby(["house", "hour"])["heating"].nunique()
    assert (before == 1).all()
    short = frame[frame["hour"] < 9]
    assert len(run.generate(1, given=short)) == 2 * 16


def test_what_cannot_be_completed_is_said(run):
    with pytest.raises(RecipeError, match="0 draws"):
        generate_given(run, run.open(table(2)), 0)
    frame = table(2).to_pandas()
    frame.loc[(frame["hour"] >= 16) & (frame["hour"] < 32), ["outside", "heating"]] = np.nan
    with pytest.raises(DataError, match="'h0' has a window without any measured sample"):
        run.generate(1, given=frame)
    with pytest.raises(DataError, match="outside"):
        run.generate(1, given=table(2).drop_columns(["outside", "heating"]))
