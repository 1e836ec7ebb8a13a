"""--minutes bounds a whole verb, and few long series cost no more than a sample of them."""

import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

import caesura
from builders import TINY, tiny_run
from caesura.data.store import RaggedStore
from caesura.tasks import calibrate as calibration
from caesura.tasks import pretrain as pretraining
from caesura.tasks.calibrate import sampled
from caesura.tasks.verb_clock import VerbClock
from caesura.training.loader import validation_windows
from caesura.training.loop import TimeLimit, Trainer, TrainingState


def long_series(count=3, length=5000):
    """Irregular recordings of one channel, as arrays (2, length): times and values."""
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(count), length)
    times = np.concatenate([np.sort(rng.uniform(0, length, length)) for _ in range(count)])
    return pa.table({"id": ids, "time": times, "value": rng.normal(size=count * length)})


def opened(table):
    from caesura.data.config import Columns, DataConfig
    from caesura.data.door import open_data

    columns = Columns(id="id", time="time", value=("value",))
    return open_data(table, DataConfig(columns=columns, tokens="observation"))[0]


def test_long_series_are_calibrated_on_pieces_of_them():
    store: RaggedStore = opened(long_series())
    sample = sampled(store, np.arange(3), limit=3000, piece=500, seed=0)
    assert sample.store.lengths.tolist() == [500] * 6
    for number, owner in enumerate(sample.owner):
        first, last = sample.store.offsets[number : number + 2]
        begin = np.searchsorted(store.clock[store.series == owner], sample.store.clock[first])
        row = int(store.offsets[owner]) + begin
        np.testing.assert_array_equal(
            sample.store.values[first:last], store.values[row : row + 500]
        )


def test_series_within_the_limit_are_calibrated_as_they_are():
    store = opened(long_series(length=50))
    sample = sampled(store, np.array([2, 0]), limit=1000, piece=10, seed=0)
    np.testing.assert_array_equal(sample.store.values, store.take(np.array([2, 0])).values)
    assert sample.owner.tolist() == [0, 1]


def test_windows_of_long_series_that_validate_are_spread_over_all():
    store = SimpleNamespace(lengths=np.full(2, 200_000), offsets=np.array([0, 200_000, 400_000]))
    windows = validation_windows(store, np.arange(2), 1024)
    assert windows.lengths.sum() <= 32_768
    assert np.bincount(windows.series).tolist() == [16, 16]
    assert windows.stop.max() == 400_000


def test_short_series_validate_whole():
    store = SimpleNamespace(lengths=np.full(4, 1000), offsets=np.arange(5) * 1000)
    assert len(validation_windows(store, np.arange(4), 512)) == 4 * 3


def test_an_evaluation_takes_a_tenth_of_the_minutes_at_most():
    source = SimpleNamespace(validation_steps=lambda world: 20)
    trainer = SimpleNamespace(
        total_steps=0,
        source=source,
        limit=TimeLimit(3.0),
        step_seconds=0.45,
        evaluation_seconds=0.0,
        state=TrainingState(validated_of=10),
        fabric=SimpleNamespace(world_size=1),
    )
    assert Trainer._affordable_stride(trainer) == 10  # 20 batches cost 3 s, a tenth of 3 s is there
    assert Trainer._to_come(trainer) == pytest.approx(0.45 + 2 * 0.15)


def test_seconds_state_the_time_of_the_whole(monkeypatch):
    real = pretraining.calibrate

    def slow(*args, **settings):
        time.sleep(0.6)
        return real(*args, **settings)

    monkeypatch.setattr(pretraining, "calibrate", slow)
    assert tiny_run(steps=1).metrics["seconds"] >= 0.6


def test_a_verb_s_time_is_shared_with_what_was_trained_before_a_resume():
    clock = VerbClock(100.0)
    clock.add(40.0)
    assert clock.limit(0.5).seconds == pytest.approx(30.0, abs=0.5)
    assert VerbClock(0.0).limit(0.5) is None


def test_calibration_says_what_it_does_and_keeps_to_a_sample(monkeypatch, caplog):
    asked, real, notes = [], calibration.predict_normal, []

    def count(run, store, queries, *rest):
        asked.append(len(store.clock))
        return real(run, store, queries, *rest)

    monkeypatch.setattr(calibration, "predict_normal", count)
    monkeypatch.setattr(calibration, "MAX_OBSERVATIONS", 1000)
    with caplog.at_level("INFO", logger="caesura"):
        run = caesura.pretrain(
            long_series(length=2000),
            steps=1,
            settings=(*TINY, "training.max_tokens=256"),
            on_progress=lambda progress: notes.append(progress.note),
        )
    assert len(asked) == 6
    assert max(asked) < 1000
    assert "calibrating intervals on" in caplog.text
    assert notes[-1] == "calibrating 100 %"
    assert run.calibration.counts.sum() > 100


def channels(missing=0.0):
    """Six regular series of two channels and 40 steps, as a long table."""
    rng = np.random.default_rng(0)
    series, channel, step = (index.ravel() for index in np.indices((6, 2, 40)))
    there = rng.random(len(series)) >= missing
    table = {"id": series, "channel": channel, "time": step, "value": rng.normal(size=len(series))}
    return pa.table({name: column[there] for name, column in table.items()})


LONG = {"id": "id", "time": "time", "channel": "channel", "value": ["value"]}


@pytest.mark.parametrize(("recipe", "said"), [("mae", "a patch of all 2"), ("romae", "2 times")])
def test_a_long_table_of_regular_series_is_read_in_patches(recipe, said, caplog):
    from caesura.data.door import open_data
    from caesura.recipes.compose import compose
    from caesura.recipes.presets import reads_grids
    from caesura.tasks.pretrain import laid_out, resolve_tokens

    asked = compose(recipe, columns=LONG)
    store = open_data(channels(), resolve_tokens(asked.data, True))[0]
    chosen = laid_out(asked, store)
    assert said in caplog.text
    assert reads_grids(chosen) == (recipe == "mae")
    assert chosen.data.rate == (1.0 if recipe == "mae" else 0.0)
    kept = compose("mae", columns=LONG, settings=["encoder.patch=0"])
    assert laid_out(kept, store) == kept
    sparse = open_data(channels(missing=0.4), resolve_tokens(asked.data, True))[0]
    assert laid_out(asked, sparse) == asked
