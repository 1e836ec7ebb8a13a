"""TimeMAR from arrays and tables: what comes out has the shape, units and kinds of what went in."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from builders import TINY_GENERATOR, waves_and_counts
from caesura.answers import synthetic_table
from caesura.data.blocks import interleaved_blocks, most_blocks, windows_within
from caesura.errors import CheckpointError, DataError, RecipeError, StoppedError
from caesura.run import load
from caesura.tasks.generate import SamplingSettings, draw_codes, generate, in_units
from caesura.tasks.impute import fill_windows
from caesura.training.state import CHECKPOINT
from caesura.types import Grid
from caesura.workflow import pretrain


def series(count=6, time=120, seed=0):
    """A wave, a count of events that is whole and never negative, and a constant channel."""
    return [
        np.concatenate([one, np.full((1, time), 7.0)])
        for one in waves_and_counts(count, time, seed)
    ]


def trained(data=None, out=None, steps=40, window=20, extra=(), **settings):
    data = series() if data is None else data
    return pretrain(
        data, "timemar", out, steps=steps,
        settings=[f"data.window={window}", *TINY_GENERATOR, *extra], **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run():
    return trained(steps=80)


def test_windows_come_out_in_units_and_kinds_of_the_data(run):
    made = generate(run, 600)
    assert made.shape == (600, 3, 20)
    real = np.stack(series()).transpose(1, 0, 2).reshape(3, -1)
    assert abs(made[:, 0].mean() - real[0].mean()) < 3
    assert 0.5 < made[:, 0].std() / real[0].std() < 1.5
    assert np.array_equal(made[:, 1], np.round(made[:, 1]))
    assert made[:, 1].min() == 0
    np.testing.assert_array_equal(made[:, 2], 7.0)
    assert 0.5 < run.metrics["step_ratio"] < 2.0  # of the channels that move


def test_values_stop_where_the_data_do():
    """A share that is often 100 % never comes out above it; a wave goes beyond what was seen."""
    rng = np.random.default_rng(0)
    waves = [np.sin(np.arange(120) / 4 + rng.uniform(0, 6)) for _ in range(6)]
    data = [np.stack([x + 0.3 * rng.standard_normal(120), np.minimum(80 + 40 * x, 100)])
            for x in waves]  # fmt: skip
    run = trained(data, steps=60)
    made = generate(run, 400)
    assert made[:, 1].max() == 100.0
    assert (made[:, 1] == 100.0).mean() > 0.1
    assert made[:, 0].max() > max(one[0].max() for one in data)
    sampling = run.schema.sampling
    np.testing.assert_array_equal(in_units(made + 100, sampling)[:, 1], 100.0)
    before = sampling.model_copy(update={"limits": ()})  # a run of before has none
    assert in_units(made + 100, before)[:, 1].max() == 200.0


@pytest.mark.parametrize(
    ("settings", "likely"),
    [
        (SamplingSettings(), (0, 1, 2, 3, 4, 5)),
        (SamplingSettings(top_k=2), (1, 4)),
        (SamplingSettings(top_p=0.6), (1, 4)),
    ],
)
def test_codes_are_drawn_as_often_as_their_scores_say(settings, likely):
    share = torch.tensor([0.05, 0.4, 0.1, 0.0, 0.3, 0.15])
    scores = share.log().expand(50, 4000, 6)
    found = draw_codes(scores, settings, torch.Generator().manual_seed(0))
    assert found.shape == (50, 4000)
    seen = torch.bincount(found.flatten(), minlength=6) / found.numel()
    wanted = torch.zeros(6)
    wanted[list(likely)] = share[list(likely)] / share[list(likely)].sum()
    torch.testing.assert_close(seen, wanted, atol=0.004, rtol=0)
    assert not seen[wanted == 0].any()
    halves = torch.bincount((found[:, ::2] * 6 + found[:, 1::2]).flatten(), minlength=36)
    apart = (wanted[:, None] * wanted).flatten()
    torch.testing.assert_close(halves / halves.sum(), apart, atol=0.004, rtol=0)


def test_values_keep_to_the_steps_of_the_data():
    data = [np.stack([np.round(one[0], 1), one[1] * 10]) for one in series()]
    found = trained(data, steps=2)
    assert found.schema.sampling.value_steps == (0.1, 10.0)
    tenths, tens = generate(found, 50).transpose(1, 0, 2)
    np.testing.assert_array_equal(tenths, np.round(tenths, 1))
    np.testing.assert_array_equal(tens % 10, 0.0)
    assert min(len(np.unique(made)) for made in (tenths, tens)) > 3


def test_a_copy_of_a_variable_comes_out_as_one():
    data = [one[[0, 1, 0]] for one in series()]
    found = trained(data, steps=2)
    assert found.schema.sampling.copies == (0, 1, 0)
    made = generate(found, 50)
    np.testing.assert_array_equal(made[:, 0], made[:, 2])
    assert not np.array_equal(made[:, 0], made[:, 1])


def test_what_is_drawn_is_distributed_as_each_channel_is():
    rng = np.random.default_rng(0)
    uniform = rng.random((6, 400))
    resting = np.maximum(rng.standard_normal((6, 400)) - 0.5, 0)
    found = trained(list(np.stack([uniform, resting], 1).astype(np.float32)), steps=60)
    made, plain = (
        generate(found, 500, settings=SamplingSettings(noise=noise)) for noise in (True, False)
    )
    levels = (0.02, 0.25, 0.5, 0.75, 0.98)
    np.testing.assert_allclose(np.quantile(made[:, 0], levels), levels, atol=0.06)
    assert abs((made[:, 1] == 0).mean() - (resting == 0).mean()) < 0.08
    assert (plain[:, 1] == 0).mean() < (made[:, 1] == 0).mean()


def test_a_seed_gives_the_same_and_the_number_of_windows_nothing_but_more(run):
    one, two = generate(run, 30, seed=4), generate(run, 30, seed=4)
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, generate(run, 30, seed=5))


def test_the_coldest_draw_is_always_the_likeliest(run):
    quiet = {"noise": False}
    for settings in (SamplingSettings(1e-6, **quiet), SamplingSettings(top_k=1, **quiet),
                     SamplingSettings(top_p=1e-9, **quiet)):  # fmt: skip
        made = generate(run, 8, settings=settings)
        np.testing.assert_allclose(made, np.broadcast_to(made[:1], made.shape), atol=1e-4)
    assert generate(run, 8, settings=SamplingSettings(**quiet))[:, 0].std(0).max() > 0.01


def test_a_run_comes_back_from_its_folder_and_makes_the_same(tmp_path):
    first = trained(out=tmp_path / "run", steps=6)
    again = load(tmp_path / "run")
    np.testing.assert_allclose(generate(first, 5), generate(again, 5), rtol=1e-5)
    assert set(again.parts) == {"encoder", "decoder", "tokenizer", "prior"}
    assert not list((tmp_path / "run").rglob(CHECKPOINT))
    assert again.embed(series()).shape == (6, 8)


@pytest.mark.parametrize("stop_at", [3, 7])
def test_a_training_that_was_stopped_in_either_stage_goes_on_to_the_same(tmp_path, stop_at):
    """Steps of both stages are counted: 4 of tokens, then 6 of the prior."""
    whole = trained(steps=10, extra=("training.evaluate_every=2",))
    seen = []

    def stop(progress):
        seen.append(progress)
        if len(seen) == stop_at:
            raise StoppedError("stopped")

    out = tmp_path / "run"
    settings = {"out": out, "steps": 10, "extra": ("training.evaluate_every=2",)}
    with pytest.raises(StoppedError):
        trained(**settings, on_progress=stop)
    done = trained(**settings, resume=True)
    assert 0 < seen[0].fraction < seen[-1].fraction < 1
    for name, part in whole.parts.items():
        for key, value in part.state_dict().items():
            assert torch.equal(value, done.parts[name].state_dict()[key]), (name, key)


def test_gaps_train_and_series_shorter_than_a_window_are_left_out(caplog):
    data = series()
    data[0] = data[0][:, :10]
    data[1][0, 30:60] = np.nan
    made = generate(trained(data, steps=6), 4)
    assert np.isfinite(made).all()
    assert "shorter than a window" in caplog.text


def test_a_table_of_one_series_needs_no_id():
    values = series(1, 400)[0]
    table = pa.table({"time": np.arange(400), "load": values[0], "events": values[1]})
    columns = {"time": "time", "value": ["load", "events"]}
    made = generate(trained(table, steps=6, columns=columns), 4)
    assert made.shape == (4, 2, 20)


def test_a_window_longer_than_all_series_is_made_shorter_and_said(caplog):
    caplog.clear()
    made = trained(window=500, steps=2)
    assert made.schema.sampling.window < 500
    assert "500" in caplog.text


def test_bad_input_is_said(run):
    with pytest.raises(DataError, match="ask for one at least"):
        generate(run, 0)
    for wrong in ({"temperature": 0.0}, {"top_p": 0.0}, {"top_k": -1}, {"guidance": -1.0}):
        with pytest.raises(RecipeError, match="must be above 0"):
            SamplingSettings(**wrong)
    other = trained(steps=4, extra=("name=custom",))
    other.parts = {k: v for k, v in other.parts.items() if k != "prior"}
    with pytest.raises(CheckpointError, match="no prior .*pretrain timemar"):
        generate(other, 3)
    with pytest.raises(RecipeError, match="a stage of scale_tokens comes before"):
        pretrain(
            series(), {"data": {"own_rate": True}, "encoder": {"type": "dual_path"},
                       "stages": [{"objective": {"type": "next_scale"}}]}, steps=2,
        )  # fmt: skip


def test_blocks_of_time_never_share_a_window():
    blocks = interleaved_blocks(4000, 24)
    assert len(blocks.train) == len(blocks.held) == 20
    at = np.arange(4000.0)[None]
    train, held = (windows_within(at, part, 24) for part in blocks)
    own, other = np.unique(train), np.unique(held)
    gaps = np.abs(own[:, None] - other[None]).min(1)
    assert gaps.min() > 24 - 1
    assert 0.15 < len(other) / 4000 < 0.3
    with pytest.raises(DataError, match="too few for windows of 24"):
        interleaved_blocks(1000, 24)
    for steps in (97, 1000, 1930, 10_000):
        assert len(interleaved_blocks(steps, 24, most_blocks(steps, 24)).held) <= 20


def test_what_does_not_fit_in_memory_is_refused_before_it_is_made(run):
    with pytest.raises(DataError, match="series take .* GiB .* ask for"):
        generate(run, 10**12)


def test_few_windows_for_the_codebook_are_said(caplog):
    trained(series(3, 24), steps=2)
    assert "windows for 32 codes" in caplog.text


def test_the_end_of_each_long_series_validates_and_whole_ones_of_short_series():
    long = trained(series(4, 400), steps=2)
    assert (long.metrics["train_series"], long.metrics["validation_series"]) == (4, 4)
    short = trained(series(12, 40), steps=2)
    assert short.metrics["train_series"] + short.metrics["validation_series"] == 12


@pytest.mark.parametrize("channels", [("a",), ("a", "b")])
def test_a_long_table_comes_out_long(channels):
    time = np.tile(np.arange(60), len(channels))
    table = pa.table({"star": ["s"] * len(time), "mjd": time * 0.5,
                      "band": np.repeat(channels, 60), "flux": time % 7})  # fmt: skip
    columns = {"id": "star", "time": "mjd", "channel": "band", "value": ["flux"]}
    made = synthetic_table(run := trained(table, steps=2, columns=columns), generate(run, 3))
    assert made.column_names == ["star", "mjd", "band", "flux"]
    assert made.num_rows == 3 * 20 * len(channels)
    assert set(made["band"].to_pylist()) == set(channels)
    assert list(dict.fromkeys(made["mjd"].to_pylist()))[:3] == [0.0, 0.5, 1.0]
    assert (np.diff(made["mjd"]) >= 0).sum() == len(made) - 3  # a series in the order of time
    assert pa.types.is_integer(made["flux"].type)
    assert len(run.open(made)) == 3


@pytest.mark.parametrize(
    ("ids", "wanted"),
    [
        ([3, 8, 5], [9, 10]),
        (["a", "b", "c"], ["synthetic-0", "synthetic-1"]),
        (np.array([2**63 + 1, 5, 6], dtype=np.uint64), ["synthetic-0", "synthetic-1"]),
    ],
    ids=["numbers", "text", "hashes"],
)
def test_ids_are_of_the_kind_of_the_table_and_of_none_of_its_series(ids, wanted):
    days = np.datetime64("2024-03-01") + np.arange(60)
    values = np.random.default_rng(0).standard_normal(180)
    data = pa.table({"id": np.repeat(ids, 60), "time": np.tile(days, 3), "value": values})
    made = synthetic_table(small := trained(data, steps=2), generate(small, 2))
    assert made["id"].unique().to_pylist() == wanted
    assert made["time"].type == pa.date32()
    assert (made["time"][0].as_py(), made["time"][1].as_py()) == tuple(days[:2].tolist())


def test_dates_keep_their_zone_and_numbers_of_channels_stay_numbers():
    hours = np.datetime64("2024-03-01T00:00", "us") + np.arange(60) * np.timedelta64(1, "h")
    dates = pa.array(np.tile(hours, 2)).cast(pa.timestamp("us", tz="Europe/Paris"))
    data = pa.table({
        "id": ["a"] * 120, "when": dates, "lead": np.repeat([3, 11], 60),
        "value": np.random.default_rng(0).standard_normal(120),
    })  # fmt: skip
    columns = {"time": "when", "channel": "lead", "value": ["value"]}
    small = trained(data, steps=2, columns=columns)
    made = synthetic_table(small, generate(small, 2))
    assert made.schema.field("when").type == pa.timestamp("us", tz="Europe/Paris")
    assert made["when"][0].as_py() == data["when"][0].as_py()
    assert made["lead"].type == pa.int64()
    assert set(made["lead"].to_pylist()) == {3, 11}


def test_dates_by_the_month_stay_so_in_all_that_is_made():
    first = np.arange("1979-01", "1989-01", dtype="datetime64[M]")
    end = (first + 1).astype("datetime64[D]") - 1
    for dates, day in ((first.astype("datetime64[D]"), 0), (end, -1)):
        values = np.random.default_rng(0).standard_normal(120)
        values[50:53] = np.nan
        data = pa.table({"time": dates, "value": pa.array(values, from_pandas=True)})
        run = trained(data, steps=2)
        made = run.generate(2)["time"].to_numpy()
        assert made.tolist() == [*dates[:20].tolist()] * 2
        filled = run.impute(data, draws=2)
        assert filled["time"].to_numpy().tolist() == dates.tolist()
        assert int(filled["imputed"].to_numpy().sum()) == 3
        later = run.forecast(data, horizon=6)["time"].to_numpy().astype("datetime64[D]")
        months = later.astype("datetime64[M]")
        assert (months == np.datetime64("1989-01") + np.arange(6)).all()
        assert (later == ((months + 1).astype("datetime64[D]") - 1 if day else months)).all()


def test_far_values_that_hide_the_others_are_said_unless_they_are_bent(caplog):
    data = np.random.default_rng(0).standard_normal((40, 2, 24))
    trained(data, steps=2)
    data[::4, 1, 5] = 735.0
    trained(data, steps=2, extra=("encoder.scaling=asinh",))
    assert "far values" not in caplog.text
    trained(data, steps=2)
    assert "few far values: v1 (5" in caplog.text
    assert "--set encoder.scaling=asinh" in caplog.text


@pytest.mark.slow
def test_values_that_span_magnitudes_come_out_so_where_they_are_bent():
    rng = np.random.default_rng(0)
    wave, levels = np.sin(np.arange(60) / 4), 2 * rng.standard_normal((80, 1))
    data = list(np.sinh(levels + wave + 0.1 * rng.standard_normal((80, 60)))[:, None])
    extra = ("encoder.scaling=asinh", "training.lr=0.005")
    bent = trained(data, extra=extra, steps=150)
    values = torch.tensor([[[-1e4, -1.0, 2.0, 1e5]]])
    scale = bent.parts["encoder"].scale_of(Grid(values, values != 0))
    assert scale.normalised(values).abs().max() < 15
    torch.testing.assert_close(scale.restored(scale.normalised(values)), values, rtol=1e-4, atol=0)
    # on a linear scale, 7.6 where 2.5 is real
    ranges = [np.subtract(*np.quantile(one, (0.75, 0.25))) for one in (generate(bent, 500), data)]
    assert 0.5 < ranges[0] / ranges[1] < 1.6
    gaps = data[1][None, :, :20].copy()
    gaps[..., 5:8] = np.nan
    assert np.isfinite(fill_windows(bent, gaps)[1]).all()
    with pytest.raises(RecipeError, match="leave out scaling=asinh"):
        trained(data, extra=("encoder.scaling=asinh", "encoder.rank=1"), steps=1)
