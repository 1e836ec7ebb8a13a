"""Irregular series come out irregular: their times, their gaps and their lengths."""

import numpy as np
import pyarrow as pa
import pytest

from caesura.answers import synthetic_table
from caesura.data.grid import sample_store
from caesura.errors import CheckpointError, RecipeError
from caesura.tasks.forecast import ForecastSettings, forecast
from caesura.tasks.generate import SamplingSettings, generate
from caesura.tasks.generate_given import generate_given
from caesura.tasks.generate_long import generate_long
from caesura.tasks.impute import impute
from caesura.workflow import pretrain

pytestmark = pytest.mark.slow

SMALL = (
    "encoder.width=32", "encoder.heads=2", "training.threads=1", "stages.1.objective.width=32",
    "stages.1.objective.heads=2", "stages.1.objective.depth=2", "data.rate=1.0",
    "stages.0.objective.quantiser.codes=64", "data.window=24", "training.lr=0.003",
    "training.batch_tokens=768",
)  # fmt: skip


def table(count=150, seed=0):
    """Channel a is measured early, b late and more often; series end anywhere from 12 to 24."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        end = rng.uniform(12, 24)
        for name, (begin, stop), rate in (("a", (0, 10), 0.5), ("b", (8, end), 0.9)):
            at = np.sort(rng.uniform(begin, stop, max(2, rng.poisson(rate * (stop - begin)))))
            level = rng.normal(5.0 if name == "a" else -5.0, 1.0)
            rows += [(f"s{number}", t, name, level + 0.1 * rng.standard_normal()) for t in at]
    names = ("star", "day", "band", "flux")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


COLUMNS = {"id": "star", "time": "day", "channel": "band", "value": ["flux"]}


@pytest.fixture(scope="module")
def run():
    return pretrain(table(), "timemar", columns=COLUMNS, steps=320, settings=list(SMALL))


@pytest.fixture(scope="module")
def real(run):
    return np.stack(sample_store(run.open(table()), run.schema).series())


def test_times_on_steps_keep_every_value_by_its_mean(run):
    store = run.open(table())
    view = sample_store(store, run.schema)
    assert set(view.lengths) == {24}  # shorter series are absent after their end
    one = store.series == 0
    at, code = np.round(store.times[one]).astype(int), store.channel[one]
    seen = view.series()[0]
    for channel in range(2):
        for step in range(24):
            mine = store.values[one][(at == step) & (code == channel), 0]
            if len(mine):
                assert seen[channel, step] == pytest.approx(mine.mean(), abs=1e-5)
            else:
                assert np.isnan(seen[channel, step])


def test_data_with_gaps_have_a_stage_for_their_times(run):
    kinds = [stage.objective.type for stage in run.recipe.stages]
    assert kinds == ["scale_tokens", "sampling_times", "next_scale"]
    again = pretrain(table(), run.recipe, columns=COLUMNS, steps=3)  # the recipe of a run has it
    assert [stage.objective.type for stage in again.recipe.stages] == kinds
    assert run.parts["decoder"].timing.within.tril(-1).abs().max() > 0.01


def test_what_is_measured_when_is_made_too(run, real):
    made = generate(run, 600)
    ours, true = np.isfinite(made).mean(0), np.isfinite(real).mean(0)
    assert np.abs(ours - true).mean() < 0.1
    assert np.corrcoef(ours.ravel(), true.ravel())[0, 1] > 0.9
    assert np.isfinite(made).any((1, 2)).all()
    ends = 23 - np.isfinite(made).any(1)[:, ::-1].argmax(1)
    assert ends.std() > 1.5  # lengths differ
    for channel in range(2):
        wanted = np.nanmean(real[:, channel])
        assert np.nanmean(made[:, channel]) == pytest.approx(wanted, abs=1.0)


def test_a_table_has_rows_for_what_was_measured_at_times_of_its_own(run):
    values = generate(run, 50, seed=2)
    made = synthetic_table(run, values, seed=2)
    assert made.column_names == ["star", "day", "band", "flux"]
    assert len(made) == np.isfinite(values).sum()
    assert made["flux"].null_count == 0
    frame = made.to_pandas()
    within = np.abs(frame["day"] - np.round(frame["day"]))
    assert within.mean() > 0.15
    assert (frame.groupby(["star", "band"])["day"].diff().dropna() > 0).all()
    assert set(frame["band"]) == {"a", "b"}


def test_whole_minutes_and_numbers_come_out_whole():
    rng = np.random.default_rng(0)
    minute = np.concatenate([np.sort(rng.choice(480, 40, replace=False)) * 5 for _ in range(20)])
    whole = pa.table({"id": np.repeat(np.arange(20), 40), "time": minute,
                      "value": rng.integers(60, 90, 800)})  # fmt: skip
    settings = [one for one in SMALL if not one.startswith("data.")]
    run = pretrain(whole, "timemar", steps=4, settings=settings)
    made = synthetic_table(run, generate(run, 40), seed=1)
    assert (made["time"].type, made["value"].type) == (pa.int64(), pa.int64())
    frame = made.to_pandas()
    assert (frame["time"] % 5 == 0).all()
    assert not frame.duplicated(["id", "time"]).any()
    assert frame["time"].min() == minute.min()


def test_gaps_can_be_left_out_and_then_all_is_there(run):
    assert np.isfinite(generate(run, 20, settings=SamplingSettings(gaps=False))).all()


def test_regular_series_have_no_gaps_unless_they_are_asked_for():
    rng = np.random.default_rng(0)
    series = [np.sin(np.arange(200) / 3)[None] + 0.1 * rng.standard_normal((1, 200)) for _ in "ab"]
    small = [one for one in SMALL if "rate" not in one]
    whole = pretrain(series, "timemar", steps=4, settings=small)
    assert not whole.recipe.stages[0].decoder.presence
    assert len(whole.recipe.stages) == 2
    for one in series:
        one[rng.random(one.shape) < 0.3] = np.nan
    holed = pretrain(series, "timemar", steps=80, settings=small)
    assert holed.recipe.stages[0].decoder.presence
    assert np.isfinite(generate(holed, 50)).all()
    with pytest.raises(RecipeError, match="none to learn from"):
        generate(whole, 1, settings=SamplingSettings(gaps=True))
    made = generate(holed, 200, settings=SamplingSettings(gaps=True))
    assert np.isnan(made).mean() == pytest.approx(0.3, abs=0.1)


def test_verbs_of_regular_series_say_that_they_need_some(run):
    store = run.open(table())
    for verb in (lambda: forecast(run, store, ForecastSettings(3)), lambda: impute(run, store)):
        with pytest.raises(CheckpointError, match="irregular times"):
            verb()


def test_series_on_steps_of_which_most_is_missing_have_all_verbs():
    rng = np.random.default_rng(0)
    at = [np.flatnonzero(rng.random(rng.integers(16, 72)) < 0.35) for _ in range(60)]
    ids, hour = np.repeat(np.arange(60), [len(one) for one in at]), np.concatenate(at)
    sparse = pa.table({"id": ids, "time": hour, "value": np.sin(hour / 4 + ids)})
    small = [one for one in SMALL if "rate" not in one]
    run = pretrain(sparse, "timemar", steps=40, settings=small)
    sampling = run.schema.sampling
    assert (sampling.binned, sampling.on_grid, sampling.rate_hz) == (True, True, 1.0)
    assert np.isnan(generate(run, 20)).mean() > 0.3
    store = run.open(sparse)
    spans = np.array([one[-1] - one[0] + 1 for one in at])
    filled = impute(run, store, draws=4)
    assert [one.shape[1] for one in filled.value] == spans.tolist()  # as long as they were
    assert all(np.isfinite(one).all() for one in filled.value)
    assert sum(one.sum() for one in filled.observed) == len(hour)
    long = run.open(sparse.filter(pa.array(np.isin(ids, np.flatnonzero(spans >= 48)))))
    assert np.isfinite(forecast(run, long, ForecastSettings(3, draws=4)).value).all()
    given = generate_given(run, store)
    measured = np.isfinite(sample_store(store, run.schema).series()[0][:, :24])
    assert given.values[0][measured] == pytest.approx(np.sin(hour[ids == 0] / 4)[: measured.sum()])


def test_tiles_of_irregular_series_are_an_error_that_says_why(run):
    with pytest.raises(RecipeError, match="irregular times"):
        generate_long(run, 2, 100)
