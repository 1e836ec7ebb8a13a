"""Real and synthetic tables as windows of one length, what trained apart from what did not."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from caesura.data.config import Columns, DataConfig
from caesura.errors import DataError
from caesura.study.generation.report import _channels, _edges, lead_of, write_page
from caesura.study.generation.windows import Sets, read_sets
from caesura.tasks.synthetic_labels import score_labels
from caesura.tasks.synthetic_scores import Measured, Scoring, score_synthetic

CONFIG = DataConfig()


def recording(time=2200, channels=2, seed=0):
    return np.random.default_rng(seed).standard_normal((1, channels, time))


def test_blocks_of_a_recording_are_held_out_and_never_overlap(caplog):
    at = np.tile(np.arange(2200.0), (1, 2, 1))
    sets = read_sets(at, np.zeros((5, 2, 24)), None, CONFIG)
    assert sets.synthetic.shape == (5, 2, 24)
    assert not set(np.unique(sets.train)) & set(np.unique(sets.unseen))
    assert "set apart here" in caplog.text


def test_of_a_short_recording_fewer_blocks_hold_out_enough_windows():
    """Of 966 weeks and windows of a year four blocks would hold out a window each."""
    sets = read_sets(recording(966), np.zeros((20, 2, 52)), None, CONFIG)
    assert len(sets.unseen) >= 50
    two = read_sets(np.concatenate([recording(966)] * 2), np.zeros((20, 2, 52)), None, CONFIG)
    assert len(two.unseen) >= 50


def ten_windows():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((10, 2, 12)) for _ in range(3)]


def test_ten_windows_of_each_set_are_compared():
    scores = score_synthetic(*ten_windows(), Scoring(repeats=1))
    assert all(np.isfinite(score.synthetic).all() for score in scores)


@pytest.mark.parametrize("few", range(3))
def test_fewer_than_ten_windows_of_a_set_are_not_compared(few):
    sets = ten_windows()
    sets[few] = sets[few][1:]
    name = ("training", "unseen", "synthetic")[few]
    with pytest.raises(DataError, match=f"9 {name} windows of 12 steps, and 10 are needed"):
        score_synthetic(*sets, Scoring(repeats=1))


def test_of_many_series_every_fourth_is_held_out():
    series = np.arange(48.0)[:, None, None] + np.zeros((48, 1, 30))
    sets = read_sets(series, np.zeros((5, 1, 30)), None, CONFIG)
    assert len(sets.train) == 36
    assert sorted(set(np.unique(sets.unseen))) == [3.0 + 4 * k for k in range(12)]


def test_far_values_that_hide_a_channel_from_measures_are_said(caplog):
    real = recording()
    read_sets(real, np.zeros((5, 2, 24)), real, CONFIG)
    assert "far values" not in caplog.text
    real[0, 1, 700] = 735.0  # a decimal point that was left out
    real[0, 0, 100:200] = np.nan
    read_sets(real, np.zeros((5, 2, 24)), real, CONFIG)
    assert "made by few far values: v1 (11." in caplog.text
    assert "v0" not in caplog.text


def test_a_given_hold_out_is_taken_whole():
    sets = read_sets(recording(), np.zeros((5, 2, 24)), recording(200, seed=1), CONFIG)
    assert len(sets.unseen) == 200 - 23
    assert len(sets.train) == 2200 - 23


def test_gaps_are_bridged_and_said(caplog):
    real = recording()
    real[0, 0, 50:60] = np.nan
    sets = read_sets(real, np.zeros((5, 2, 24)), None, CONFIG)
    assert np.isfinite(sets.train).all()
    assert "10 missing values are bridged" in caplog.text


def stars(count, seed, share=0.5, step=1.0):
    """Two bands at irregular times; `share` of the nights, of another each series."""
    rng = np.random.default_rng(seed)
    parts = []
    for number in range(count):
        for band in "ab":
            at = np.flatnonzero(rng.random(20 + number % 5) < share).astype(float)
            at += rng.uniform(-0.3, 0.3, len(at))
            parts.append((f"s{number}", at * step, band, np.sin(at / 3)))
    ids, times, bands, values = zip(*parts, strict=True)
    sizes = [len(one) for one in times]
    table = {"star": np.repeat(ids, sizes), "day": np.concatenate(times)}
    return pa.table(table | {"band": np.repeat(bands, sizes), "flux": np.concatenate(values)})


STARS = DataConfig(columns=Columns(id="star", time="day", channel="band", value=("flux",)))


def test_irregular_series_are_compared_on_steps_of_the_real_ones_with_their_gaps():
    by_night = STARS.model_copy(update={"rate": 1.0})
    sets = read_sets(stars(60, 0), stars(40, 1), stars(50, 2), by_night)
    assert sets.names == ["a", "b", "a: measured", "b: measured"]
    assert sets.target() == 1
    assert sets.target(sets.names[0]) == 0
    with pytest.raises(DataError, match="no channel 'a: measured' to predict; channels: a, b"):
        sets.target("a: measured")
    assert len(sets.train) == 60
    assert len(sets.synthetic) == 40
    assert sets.train.shape[1:] == sets.unseen.shape[1:] == sets.synthetic.shape[1:]
    seen = sets.train[:, 2:]
    assert set(np.unique(seen)) == {0.0, 1.0}
    assert 0.2 < seen.mean() < 0.6
    rows = stars(60, 0).to_pandas().query("star == 's3'")
    nights = np.round(rows["day"] - rows["day"].min())
    assert set(np.flatnonzero(seen[3, 0])) == set(nights[rows["band"] == "a"])


def test_channels_that_a_series_never_measured_hold_the_mean_of_the_real_ones():
    real, made = np.random.default_rng(0).normal(100.0, 1.0, (2, 60, 2, 24))
    real[::2, 1], made[::3, 1] = np.nan, np.nan
    made[1::3, 1] += 50.0
    sets = read_sets(real, made, None, CONFIG)
    mean = np.nanmean(real[:, 1])
    assert sets.train[0, 1] == pytest.approx(mean)
    assert sets.synthetic[0, 1] == pytest.approx(mean)
    assert not sets.synthetic[0, 3].any()


def test_a_page_with_gaps_shows_what_was_measured_most():
    rng = np.random.default_rng(0)
    values, share = rng.standard_normal((3, 60, 3, 12)), np.array([0.1, 0.9, 0.5])[:, None]
    names = [*"abc", *(f"{one}: measured" for one in "abc")]
    sets = Sets(*np.concatenate([values, rng.random((3, 60, 3, 12)) < share], 2), names)
    assert _channels(sets) == [1, 2, 4, 5]
    assert sets.measured(sets.unseen)[:, :3].mean() == pytest.approx(0.5, abs=0.02)
    assert sets.measured(sets.unseen)[:, 3:].all()


def test_too_few_irregular_series_and_too_fine_a_step_are_errors():
    with pytest.raises(DataError, match="20 irregular series are too few to hold some out"):
        read_sets(stars(20, 0), stars(40, 1), None, STARS)
    fine = STARS.model_copy(update={"rate": 1000.0})
    with pytest.raises(DataError, match="pass a lower --rate"):
        read_sets(stars(60, 0), stars(40, 1), None, fine)


def test_gaps_of_regular_series_are_compared_where_the_synthetic_ones_have_some():
    real = recording()
    real[0, 0, ::5] = np.nan
    made = np.zeros((5, 2, 24))
    made[:, 0, ::3] = np.nan
    sets = read_sets(real, made, None, CONFIG)
    assert sets.names[2:] == [f"{name}: measured" for name in sets.names[:2]]
    assert sets.train[:, 2].mean() == pytest.approx(0.8, abs=0.02)
    assert sets.synthetic[:, 2].mean() == pytest.approx(2 / 3)


def test_a_table_of_other_columns_and_series_of_other_lengths_are_refused(tmp_path):
    def table(names, time=300):
        columns = {name: np.zeros(time) for name in names}
        return pa.table({"id": ["a"] * time, "time": np.arange(time), **columns})

    config = DataConfig(columns=Columns(value=("x", "y")))
    with pytest.raises(DataError, match="column 'y' not in table"):
        read_sets(table("xz"), table("xy", 24), None, config)
    with pytest.raises(DataError, match=r"synthetic series of 10 to 24 steps"):
        read_sets(recording(), [np.zeros((2, 24)), np.zeros((2, 10))], None, CONFIG)
    with pytest.raises(DataError, match=r"have 24 steps, and no real one as many \(longest 20\)"):
        read_sets(recording(), np.zeros((5, 2, 24)), recording(20), CONFIG)
    with pytest.raises(DataError, match="too few for windows of 24"):
        read_sets(recording(60), np.zeros((5, 2, 24)), None, CONFIG)


def labelled(count, seed, right=True, names=(0, 1)):
    """Waves of two frequencies with their labels, or with labels that say nothing."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    kind = np.arange(count) % 2
    at = np.arange(24) / np.where(kind, 4, 12)[:, None] + rng.uniform(size=(count, 1))
    values = np.sin(2 * np.pi * at) + 0.3 * rng.standard_normal((count, 24))
    said = kind if right else rng.permutation(kind)
    columns = {"id": np.arange(count).repeat(24), "time": np.tile(np.arange(24), count)}
    return pa.table(columns | {"value": values.ravel(), "kind": np.array(names)[said].repeat(24)})


def test_labels_may_be_names():
    slow_first = partial(labelled, names=("slow", "fast"))
    sets = read_sets(slow_first(160, 0), slow_first(160, 2), slow_first(80, 1), CONFIG, "kind")
    assert set(sets.labels.train) == {"slow", "fast"}
    found = score_labels(*sets[:3], sets.labels, Scoring(repeats=1))
    assert min(found.synthetic.mean(), found.floor.mean()) > 0.9
    other = read_sets(labelled(160, 0), slow_first(60, 2), labelled(80, 1), CONFIG, "kind")
    with pytest.raises(DataError, match="no real one has: .*slow"):
        score_labels(*other[:3], other.labels, Scoring(repeats=1))


def test_labels_of_synthetic_series_teach_what_those_of_real_ones_do():
    scoring = Scoring(repeats=2)

    def scored(synthetic):
        sets = read_sets(labelled(160, 0), synthetic, labelled(80, 1), CONFIG, "kind")
        return score_labels(*sets[:3], sets.labels, scoring)

    good, bad = scored(labelled(160, 2)), scored(labelled(160, 3, right=False))
    assert good.floor.mean() > 0.9
    assert abs(good.synthetic.mean() - good.floor.mean()) < 0.05
    assert bad.synthetic.mean() < 0.75
    sets = read_sets(labelled(160, 0), labelled(60, 2), None, CONFIG, "kind")
    assert len(sets.labels.unseen) == len(sets.unseen) == 40
    with pytest.raises(DataError, match="one label alone"):
        score_labels(*sets[:3], sets.labels._replace(synthetic=np.zeros(60)), scoring)
    with pytest.raises(DataError, match="no real one has"):
        score_labels(*sets[:3], sets.labels._replace(synthetic=np.arange(60.0)), scoring)


def test_classes_that_no_unseen_window_has_are_no_warning(recwarn):
    sets = read_sets(labelled(160, 0), labelled(160, 2), labelled(80, 1), CONFIG, "kind")
    labels = sets.labels._replace(unseen=np.zeros(len(sets.unseen)))
    found = score_labels(*sets[:3], labels, Scoring(repeats=1))
    # half of the windows are of the class that is not asked for, and are told so
    assert found.floor.mean() == pytest.approx(0.5, abs=0.1)
    assert not [one for one in recwarn if "y_pred" in str(one.message)]


def test_the_page_says_what_can_be_told_and_when_that_means_nothing(tmp_path):
    rng = np.random.default_rng(0)
    real, other, made = rng.standard_normal((3, 60, 2, 12))
    found = [
        Measured("discriminative score, conv", np.array([0.3]), np.array([0.2])),
        Measured("copying ratio", np.array([0.4]), np.array([1.0]), 1.0),
    ]
    text = lead_of(found)
    assert "+10.0 points" in text
    assert "not informative" in text
    assert "0.40 times" in text
    assert "may be copies" in text
    assert lead_of(found[1:]).startswith("No critic was asked")
    write_page(tmp_path / "page.html", Sets(real, other, made, ["a", "b"]), found)
    assert (tmp_path / "page.html").read_text().count("<svg") == 5


@pytest.mark.parametrize("step", [1.0, 0.5, 0.02])
def test_each_bar_of_values_on_steps_holds_as_many_of_them(step):
    """Else a smooth distribution of whole numbers is drawn as a comb."""
    values = step * np.arange(101.0)
    counts, _ = np.histogram(values, _edges(values))
    assert len(set(counts[1:-1])) == 1
    assert counts.sum() >= 100
    smooth = np.random.default_rng(0).standard_normal(1000)
    assert len(_edges(smooth)) == 41


def test_a_flag_is_drawn_as_two_bars():
    assert np.histogram([0.0, 1.0, 1.0], _edges(np.array([0.0, 1.0, 1.0])))[0].tolist() == [1, 2]


def nights(series, span, seed=0, share=0.4):
    """Stars of a level each at `span` nights of which a share is measured, within the night."""
    rng = np.random.default_rng(seed)
    ids, times, values = [], [], []
    for number in range(series):
        at = np.flatnonzero(rng.random(span) < share).astype(float)
        at += rng.uniform(-0.3, 0.3, len(at))
        ids += [number] * len(at)
        times.append(at)
        values.append(np.full(len(at), float(number)))
    columns = {"star": ids, "day": np.concatenate(times), "flux": np.concatenate(values)}
    return pa.table(columns | {"kind": np.array(ids) % 2})


NIGHTS = DataConfig(columns=Columns(id="star", time="day", value=("flux",)), rate=1.0)


def test_long_irregular_series_are_cut_where_the_synthetic_ones_are_windows(caplog):
    sets = read_sets(nights(48, 340), nights(40, 32, 1), None, NIGHTS, "kind")
    assert "real ones are cut into windows" in caplog.text
    window = sets.synthetic.shape[2]
    assert window in (31, 32)
    assert sets.train.shape[1:] == sets.unseen.shape[1:] == (2, window)
    assert len(sets.train) == 36 * (340 // window)
    assert len(sets.unseen) == 12 * (340 // window)
    for windows in sets[:3]:
        assert windows[:, 1, 0].all()  # each begins with a measurement, as a table's series do
        assert windows[:, 1].mean() == pytest.approx(0.4, abs=0.05)
    assert set(np.unique(sets.unseen[:, 0])) == {3.0 + 4 * k for k in range(12)}
    assert (sets.labels.train == sets.train[:, 0, 0] % 2).all()
    assert len(sets.labels.unseen) == len(sets.unseen)


def test_a_hold_out_of_long_irregular_series_is_cut_too():
    sets = read_sets(nights(48, 340), nights(40, 32, 1), nights(10, 340, 2), NIGHTS)
    assert len(sets.train) == 48 * (340 // sets.synthetic.shape[2])
    assert len(sets.unseen) == 10 * (340 // sets.synthetic.shape[2])


def test_synthetic_series_of_the_length_of_real_ones_leave_these_whole(caplog):
    sets = read_sets(nights(48, 90), nights(40, 90, 1), nights(10, 90, 2), NIGHTS)
    assert "cut into windows" not in caplog.text
    assert (len(sets.train), len(sets.unseen)) == (48, 10)


def test_of_few_long_irregular_series_blocks_of_time_are_held_out():
    table = nights(3, 3300)
    day = pa.array(table["day"].to_numpy())
    table = table.set_column(table.column_names.index("flux"), "flux", day)
    sets = read_sets(table, nights(40, 32, 1), None, NIGHTS)
    assert len(sets.train) > len(sets.unseen) > 40
    window = sets.synthetic.shape[2]
    train, unseen = (np.unique(one[:, 0]) for one in (sets.train, sets.unseen))
    assert np.abs(train[:, None] - unseen).min() > window - 6  # the stars begin on other nights
    with pytest.raises(DataError, match="3 irregular series are too few to hold some out"):
        read_sets(nights(3, 90), nights(40, 32, 1), None, NIGHTS)


def test_a_window_of_one_measurement_is_not_compared():
    table = nights(48, 340)
    day = table["day"].to_numpy()
    first = np.zeros(len(day), bool)
    first[np.unique(table["star"].to_numpy(), return_index=True)[1]] = True
    table = table.filter(pa.array(first | (day > 50)))
    sets = read_sets(table, nights(40, 32, 1), None, NIGHTS)
    assert (sets.train[:, 1].sum(1) > 1).all()
    assert len(sets.train) == pytest.approx(36 * 9, abs=3)


def hourly(series, steps, seed, share):
    """Regular series of which a share of the hours was written down, the others have no row."""
    rng = np.random.default_rng(seed)
    at = [np.flatnonzero(rng.random(steps) < share) for _ in range(series)]
    ids = np.repeat(np.arange(series), [len(one) for one in at])
    hour = np.concatenate(at)
    return pa.table({"id": ids, "time": hour, "value": np.cos(hour / 5)})


def test_rows_that_lack_are_gaps_even_at_the_ends():
    sets = read_sets(hourly(5, 2200, 0, 0.7), hourly(60, 24, 1, 0.7), None, CONFIG)
    assert sets.synthetic.shape[1:] == sets.train.shape[1:] == (2, 24)
    for windows in sets[:3]:
        assert windows[:, 1, 0].all()
        assert windows[:, 1, 1:].mean() == pytest.approx(0.7, abs=0.04)
    whole = read_sets(hourly(5, 2200, 0, 0.7), hourly(60, 24, 1, 1.0), None, CONFIG)
    assert whole.names == ["value"]
    assert len(whole.train) > 1.3 * len(sets.train)


def test_sparse_synthetic_series_are_not_resampled():
    """Of two samples a series, 20 hours apart, it cannot be told that its step is one."""
    table = hourly(60, 24, 1, 1.0).filter(pa.array(np.tile(np.isin(np.arange(24), [0, 20]), 60)))
    sets = read_sets(hourly(60, 24, 0, 0.3), table, None, CONFIG)
    assert sets.synthetic[:, 1].sum(1).tolist() == [2.0] * 60
    assert sets.train[:, 1].mean() == pytest.approx(0.3, abs=0.05)


def test_an_error_says_which_table_it_is_of():
    """A run with classes that made series of any class has written no label."""
    bare = labelled(60, 2).drop_columns(["kind"])
    with pytest.raises(DataError, match=r"synthetic data: column 'kind' not in.*--conditions"):
        read_sets(labelled(160, 0), bare, None, CONFIG, "kind")
    with pytest.raises(DataError, match="held-out data: no file"):
        read_sets(labelled(160, 0), labelled(60, 2), "nothing.parquet", CONFIG, "kind")
