"""From any table to one grid: rates, gaps, irregular times, windows, quality."""

import numpy as np
import pyarrow as pa
import pytest

from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.grid import sample_store
from caesura.data.pieces import pieces
from caesura.data.quality import template_match
from caesura.data.regular import (
    band_passed,
    binning_rate,
    native_rate,
    regular_signal,
    resampled,
)
from caesura.data.sampling import fit_sampling
from caesura.data.schema import fit_schema
from caesura.data.synthetic.pulses import PulseSettings, pulses
from caesura.errors import DataError

CONFIG = DataConfig(rate=100.0, tokens="step")


def opened(panel, **settings):
    config = CONFIG.model_copy(update=settings)
    store, _ = open_data(panel, config)
    schema = fit_schema(store, np.arange(len(store)), config)
    return store, fit_sampling(store, np.arange(len(store)), schema, config)


def two_rates(series=3, seconds=12.0):
    """Make a long table: a fast channel of 360 Hz and a slow one of 64 Hz, of known sines."""
    columns = {"id": [], "time": [], "channel": [], "value": []}
    for number in range(series):
        for name, rate, hertz in (("ecg", 360, 3.0), ("ppg", 64, 1.0)):
            times = np.arange(int(seconds * rate)) / rate
            columns["id"] += [f"r{number}"] * len(times)
            columns["time"] += times.tolist()
            columns["channel"] += [name] * len(times)
            columns["value"] += np.sin(2 * np.pi * hertz * times).tolist()
    return pa.table(columns)


def test_channels_of_different_rates_meet_on_one_grid():
    config = DataConfig(rate=100.0, tokens="observation", columns=Columns(channel="channel"))
    store, _ = open_data(two_rates(), config)
    schema = fit_schema(store, np.arange(3), config)
    schema = fit_sampling(store, np.arange(3), schema, config)
    grid = sample_store(store, schema)
    assert schema.variables == ["ecg", "ppg"]
    assert grid.signal.values.shape == (2, 3 * 1200)
    times = np.arange(1200) / 100
    inside = slice(50, 1100)  # a filter's ends are its own
    for row, hertz in enumerate((3.0, 1.0)):
        ours = grid.signal.values[row, :1200][inside]
        np.testing.assert_allclose(ours, np.sin(2 * np.pi * hertz * times)[inside], atol=0.02)
    assert grid.signal.observed.all()


def test_resampling_keeps_what_lies_below_the_new_limit_and_drops_the_rest():
    times = np.arange(3600) / 360
    low, high = np.sin(2 * np.pi * 5 * times), np.sin(2 * np.pi * 120 * times)
    new = resampled((low + high).astype(np.float32), 360.0, 100.0)
    wanted = np.sin(2 * np.pi * 5 * np.arange(1000) / 100)
    assert len(new) == 1000
    assert np.abs(new - wanted)[50:-50].max() < 0.02


def test_gaps_stay_gaps_and_land_on_their_samples():
    values = np.sin(np.arange(300) / 9.0)[None, None].repeat(3, 0)
    values[1, 0, 100:140] = np.nan
    store, schema = opened(values)
    grid = sample_store(store, schema)
    batch = grid.collate(grid.tiles(np.arange(3)))
    seen = batch.inputs.observed[1, 0].numpy()
    assert not seen[100:140].any()
    assert seen.sum() == 260
    assert (batch.inputs.values[1, 0].numpy()[~seen] == 0).all()
    in_units = grid.units.table(batch.inputs.values.numpy())
    np.testing.assert_allclose(in_units[1, 0][seen], values[1, 0][seen], atol=1e-6)
    assert batch.inputs.valid is None
    assert batch.inputs.rate_hz == 100.0


def test_jittered_clocks_are_rounded_and_irregular_times_refused():
    rng = np.random.default_rng(0)
    steady = np.arange(500) / 50 + rng.uniform(-0.004, 0.004, 500)
    table = pa.table({"id": ["a"] * 500, "time": np.sort(steady), "value": np.arange(500.0)})
    config = DataConfig(rate=50.0, tokens="step")
    store, _ = open_data(table, config)
    assert native_rate(store) == pytest.approx(50, rel=0.1)
    signal = regular_signal(store, np.zeros(500, np.int32), 1, 50.0)
    assert abs(int(signal.offsets[-1]) - 500) <= 1
    loose = table.set_column(1, "time", pa.array(np.sort(rng.uniform(0, 10, 500))))
    store, _ = open_data(loose, config)
    with pytest.raises(DataError, match="'a' is not regular: gaps from .* pre-train `romae`"):
        regular_signal(store, np.zeros(500, np.int32), 1, 50.0)


def test_a_rate_must_be_given_and_the_error_names_the_data_s_own():
    with pytest.raises(DataError, match=r"pass --rate HZ$"):
        opened([np.full((1, 1), i) for i in range(3)], rate=0.0)
    table = pa.table({"id": ["a"] * 90, "time": np.arange(90) / 25, "value": np.arange(90.0)})
    config = DataConfig(tokens="step")
    store, _ = open_data(table, config)
    schema = fit_schema(store, np.arange(1), config)
    with pytest.raises(DataError, match="pass --rate HZ; the data's median gap means 25 Hz"):
        fit_sampling(store, np.arange(1), schema, config)


def test_a_window_longer_than_every_recording_is_made_shorter_and_than_some_a_note(caplog):
    long, short = np.arange(600.0)[None], np.arange(90.0)[None]
    _, schema = opened([long, long, long, long, short], window=10.0)
    assert schema.sampling.window == 300  # three quarters hold two
    assert "a window of 1000 steps is too long for these series, of 600" in caplog.text
    _, schema = opened([long, short], window=4.0)  # two train and validate by time
    assert schema.sampling.window == 200
    store, schema = opened([long, long, short], window=2.0)
    assert "1 of 3 series are shorter than a window of 2 s, first 2" in caplog.text
    grid = sample_store(store, schema)
    assert len(grid.tiles(np.arange(3))) == 6
    batch = grid.collate(grid.covering(np.array([2])))
    assert batch.inputs.values.shape[-1] == 90  # used whole where the model is used
    both = grid.collate(grid.covering(np.array([0, 2])))
    assert both.inputs.valid.sum(1).tolist() == [200, 200, 200, 90]


@pytest.mark.parametrize(
    ("count", "length", "rate", "steps"),
    [
        (3, 900, 1.0, 900),  # series of one length are windows
        (1, 900, 1.0, 64),  # one recording is cut, and 10 s of 1 Hz are too few steps
        (1, 300, 1.0, 37),  # it has eight windows at least
        (1, 26, 1.0, 8),  # or two of eight steps
        (1, 10, 1.0, 5),
        (2, 4000, 100.0, 500),
        (1, 17420, 1 / 3600, 64),  # seconds say nothing of hours
        (1, 20000, 100.0, 1000),
    ],
)
def test_a_window_that_is_not_given_suits_the_recordings(count, length, rate, steps):
    table = pa.table({
        "id": np.repeat(np.arange(count), length),
        "time": np.tile(np.arange(length) / rate, count),
        "value": np.random.default_rng(0).normal(size=count * length),
    })  # fmt: skip
    _, schema = opened(table, rate=rate)
    assert schema.sampling.window == steps


def test_three_quarters_of_unequal_series_hold_a_window():
    lengths = [20, 30, 40, 45, 50, 60, 70, 72]
    _, schema = opened([np.arange(float(n))[None] for n in lengths], rate=1.0)
    assert schema.sampling.window == 30
    _, schema = opened([np.arange(float(n))[None] for n in (70, 80, 90, 300)], rate=1.0)
    assert schema.sampling.window == 64
    _, schema = opened([np.arange(float(n))[None] for n in (3, 3, 3, 40)], rate=1.0)
    assert schema.sampling.window == 8


def test_covering_windows_reach_the_end_and_tiles_may_overlap():
    store, schema = opened([np.arange(650.0)[None]] * 3, window=2.0)
    grid = sample_store(store, schema)
    covered = grid.covering(np.array([1]))
    assert (covered.start - 650).tolist() == [0, 200, 400, 450]
    assert len(grid.tiles(np.array([1]), overlap=0.5)) == 5


def test_series_of_one_length_are_windows_as_they_are():
    _, schema = opened(np.random.default_rng(0).standard_normal((3, 1, 250)))
    assert schema.sampling.window == 250
    _, schema = opened(np.random.default_rng(0).standard_normal((3, 1, 9000)))
    assert schema.sampling.window == 1000


def test_constant_and_empty_windows_are_left_out_and_all_of_them_an_error(caplog):
    values = np.random.default_rng(0).standard_normal((4, 1, 200))
    values[1] = 7.0
    values[2, 0, 20:190] = np.nan
    store, schema = opened(values)
    grid = sample_store(store, schema)
    windows = grid.tiles(np.arange(4))
    kept = grid.worth_learning(windows, 0.0)
    assert kept.series.tolist() == [0, 3]
    assert (
        "2 of 4 windows are not learned from: constant or under half of the samples" in caplog.text
    )
    store, schema = opened(np.full((3, 1, 200), 7.0))
    grid = sample_store(store, schema)
    with pytest.raises(DataError, match="none of 3 windows can be learned from"):
        grid.worth_learning(grid.tiles(np.arange(3)), 0.0)


def test_the_quality_gate_keeps_beats_and_drops_noise():
    clean = pulses(8, 0, PulseSettings(motion=0.0, ectopic=0.0), subjects=2)
    noise = np.random.default_rng(1).standard_normal((8, 1000)).astype(np.float32)
    good = [template_match(x, 100.0) for x in clean.signals]
    bad = [template_match(x, 100.0) for x in noise]
    assert min(good) > 0.6
    assert max(bad) < 0.5
    assert template_match(np.zeros(500, np.float32), 100.0) == 0.0
    both = np.concatenate([clean.signals, noise])[:, None].astype(np.float64)
    store, schema = opened(both)
    grid = sample_store(store, schema)
    kept = grid.worth_learning(grid.tiles(np.arange(16)), 0.6)
    assert kept.series.tolist() == list(range(8))


def test_a_band_pass_takes_the_drift_and_is_remembered():
    times = np.arange(2000) / 100
    x = np.sin(2 * np.pi * 2 * times) + 5 * np.sin(2 * np.pi * 0.05 * times)
    store, schema = opened(np.tile(x, (3, 1))[:, None], band=(0.5, 8.0))
    assert schema.sampling.band == (0.5, 8.0)
    grid = sample_store(store, schema)
    ours = grid.signal.values[0, 300:1700]
    assert np.abs(ours - np.sin(2 * np.pi * 2 * times)[300:1700]).max() < 0.1
    with pytest.raises(DataError, match="both must lie between 0 and 50"):
        band_passed(grid.signal, 100.0, (1.0, 60.0))


def test_data_of_another_shape_are_refused():
    config = DataConfig(rate=100.0, tokens="observation", columns=Columns(channel="channel"))
    store, _ = open_data(two_rates(), config)
    schema = fit_sampling(store, np.arange(3), fit_schema(store, np.arange(3), config), config)
    table = two_rates()
    only = table.filter(pa.compute.equal(table["channel"], "ecg"))
    with pytest.raises(DataError, match="channels 'ppg' have no sample in the data"):
        sample_store(open_data(only, config)[0], schema)
    two, _ = open_data(np.zeros((3, 2, 50)) + np.arange(50), CONFIG)
    store, schema = opened(np.zeros((3, 1, 50)) + np.arange(50))
    with pytest.raises(DataError, match="values v0, v1; the model was trained on v0"):
        sample_store(two, schema)


def test_pieces_are_series_of_their_recording_on_its_grid():
    store, schema = opened([np.arange(1030.0)[None], np.arange(400.0)[None] + 5, np.ones((1, 40))],
                           window=2.0)  # fmt: skip
    cut = pieces(store, 2.0)
    assert cut.ids.to_pylist() == [0] * 5 + [1] * 2
    assert cut.group_codes.tolist() == [0] * 5 + [1] * 2
    grid = sample_store(cut, schema)
    assert grid.lengths.tolist() == [200] * 7
    np.testing.assert_array_equal(grid.signal.values[0, 200:400], np.arange(200.0, 400.0))


def test_what_numbers_keep_to_is_told_from_what_was_measured():
    """Not from means of a step, or samples of another rate."""
    rng = np.random.default_rng(0)
    minute = np.sort(rng.choice(600, 150, replace=False)) * 5
    table = pa.table({"id": np.repeat(["a", "b", "c"], 50), "time": minute,
                      "value": rng.integers(30, 50, 150) * 2})  # fmt: skip
    config = DataConfig(rate=0.01, binned=True, window=1000.0)
    store, _ = open_data(table, config)
    train = np.arange(len(store))
    found = fit_sampling(store, train, fit_schema(store, train, config), config).sampling
    assert np.ptp(sample_store(store, fit_schema(store, train, config).model_copy(
        update={"sampling": found})).signal.values % 2) > 0  # fmt: skip
    assert (found.whole, found.value_steps, found.time_step) == ((True,), (2.0,), 5.0)
    _, schema = opened(rng.integers(0, 9, (3, 1, 200)) * 10.0, rate=33.0, window=1.0)
    assert schema.sampling.value_steps == (10.0,)
    _, schema = opened(rng.integers(0, 9, (3, 1, 200)) * 1.0, band=(1.0, 20.0), window=1.0)
    assert schema.sampling.value_steps == (0.0,)


def sometimes(share, series=60, steps=300, seed=0, every=1.0):
    """Series on a grid of which `share` of the samples were written down at random."""
    rng = np.random.default_rng(seed)
    ids, times = [], []
    for number in range(series):
        at = np.flatnonzero(rng.random(steps) < share)
        ids += [number] * len(at)
        times.append(at * every)
    at = np.concatenate(times)
    return pa.table({"id": ids, "time": at, "value": np.sin(at / 6)})


@pytest.mark.parametrize("share", [0.25, 0.4, 0.45, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("every", [1.0, 0.02])
def test_the_rate_of_a_grid_is_its_own_whatever_share_of_it_was_measured(share, every):
    store, _ = open_data(sometimes(share, every=every), DataConfig(tokens="step"))
    assert native_rate(store) == pytest.approx(1 / every)
    signal = regular_signal(store, store.channel, 1, 1 / every)
    assert signal.observed.sum() == len(store.clock)  # each sample is at a step of its own


def test_a_few_extra_samples_between_the_steps_are_no_rate():
    extra = np.arange(0, 600, 7) + 0.1
    time = np.sort(np.concatenate([np.arange(600.0), extra]))
    table = pa.table({"id": ["a"] * len(time), "time": time, "value": time})
    assert native_rate(open_data(table, DataConfig(tokens="step"))[0]) == 1.0


def test_of_series_of_two_rates_the_most_frequent_one_is_the_data_s():
    parts = [np.arange(200.0)] * 4 + [np.arange(100) / 2]
    ids = np.repeat(np.arange(5), [len(one) for one in parts])
    time = np.concatenate(parts)
    store, _ = open_data(pa.table({"id": ids, "time": time, "value": time}),
                         DataConfig(tokens="step"))  # fmt: skip
    assert native_rate(store) == 1.0


@pytest.mark.parametrize(("share", "binned"), [(0.4, True), (0.6, False)])
def test_a_grid_of_which_most_is_missing_is_sparse_where_that_is_asked_for(share, binned, caplog):
    config = DataConfig(tokens="step", own_rate=True, binned=True)
    store, _ = open_data(sometimes(share), config)
    everything = np.arange(len(store))
    schema = fit_schema(store, everything, config)
    sampling = fit_sampling(store, everything, schema, config).sampling
    assert sampling.rate_hz == 1.0
    assert sampling.gaps
    assert sampling.binned == binned
    assert ("sparse times are laid on steps of 1, 40 %" in caplog.text) == binned
    assert ("40 % of the steps of 1 have no sample" in caplog.text) != binned
    other = config.model_copy(update={"binned": False})
    assert not fit_sampling(store, everything, schema, other).sampling.binned


@pytest.mark.parametrize("share", [0.25, 0.4])
@pytest.mark.parametrize("every", [30.0, 1.0, 0.02])
def test_a_step_of_irregular_times_is_round_where_they_keep_to_one(every, share):
    """One step, or two of them, of a grid on which times lie nearly."""
    rng = np.random.default_rng(0)
    at = [np.flatnonzero(rng.random(400) < share).astype(float) for _ in range(20)]
    ids = np.repeat(np.arange(20), [len(one) for one in at])
    time = np.concatenate(at) + rng.uniform(-0.1, 0.1, len(ids))
    table = pa.table({"id": ids, "time": time * every, "value": time})
    store, _ = open_data(table, DataConfig(tokens="observation"))
    steps = 1 / (binning_rate(store) * every)
    assert min(abs(steps - 1), abs(steps - 2)) < 0.01
