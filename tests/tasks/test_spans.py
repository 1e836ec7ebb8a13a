"""The probe by spans of time: what a span sees, and planted answers."""

import numpy as np
import pyarrow as pa
import pytest

import caesura
from builders import long_table
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.pieces import stretches
from caesura.errors import CaesuraError
from caesura.tasks.embed import embed
from caesura.tasks.spans import chosen_spans, embed_span, span_name, spread_spans

CONFIG = DataConfig(columns=Columns(channel="channel"))


@pytest.fixture(scope="module")
def run():
    settings = ("data.columns.channel=channel",)
    return caesura.pretrain(long_table(12), recipe="romae", steps=3, settings=settings)


@pytest.mark.parametrize("phase", [0.0, 0.5])
def test_stretches_share_out_all_observations(phase):
    store = open_data(long_table(5), CONFIG)[0]
    span = float(store.spans.max()) / 3.7
    cut, owner = stretches(store, span, phase)
    assert cut.offsets[-1] == store.offsets[-1]
    np.testing.assert_array_equal(np.bincount(owner, cut.lengths), store.lengths)
    assert cut.spans.max() <= span
    assert cut.lengths.min() >= 1
    np.testing.assert_array_equal(cut.origins, cut.clock[cut.offsets[:-1]])


def bursts(second):
    """Two series of two bursts of observations; the second burst begins at a given time."""
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(0, 1.9, (2, 2, 6)), axis=2)
    times[:, 0, 0] = times[:, 1, 0] = 0  # the bursts begin where spans do
    times[:, 1] += second
    values = rng.standard_normal(times.shape)
    return pa.table({"id": np.repeat([0, 1], 12), "time": times.ravel(),
                     "channel": np.tile(["u", "v"], 12), "value": values.ravel()})  # fmt: skip


def test_a_span_sees_nothing_beyond_itself(run):
    near, far = (run.open(bursts(at)) for at in (8.0, 400.0))
    ours = [embed_span(run, one, 4.0) for one in (near, far)]
    np.testing.assert_allclose(*ours, atol=1e-5)
    wholes = [embed(run, one, "mean") for one in (near, far)]
    assert np.abs(wholes[0] - wholes[1]).max() > 1e-3  # the whole series does see the gap


def test_a_long_span_is_the_whole_series(run):
    store = run.open(long_table(4))
    found = embed_span(run, store, 2.1 * float(store.spans.max()))
    np.testing.assert_allclose(found, embed(run, store, "mean"), atol=1e-6)


def test_spans_are_spread_from_gaps_to_half_a_series(run):
    store = run.open(long_table(8))
    spans = spread_spans(store)
    assert 1 <= len(spans) <= 6
    assert list(spans) == sorted(spans)
    assert spans[-1] <= store.spans.max()
    assert chosen_spans(f"{spans[0]},1e9", run, store) == spans[:1]


@pytest.mark.parametrize("text", ["x", "-1", "0,2", "nan", ",", "1e9"])
def test_spans_that_mean_nothing_are_refused(run, text):
    with pytest.raises(CaesuraError, match="spans"):
        chosen_spans(text, run, run.open(long_table(3)))


def test_spans_follow_nights_and_not_the_gaps_within_them():
    """Four observations a night, three days between nights: no span lies between the two."""
    rng = np.random.default_rng(0)
    nights = np.repeat(3.0 * np.arange(20), 4) + np.tile([0.0, 0.01, 0.02, 0.03], 20)
    times = np.concatenate([np.sort(nights + 1e-3 * rng.random(80)) for _ in range(5)])
    table = {"id": np.repeat(np.arange(5), 80), "time": times, "value": times}
    spans = spread_spans(open_data(pa.table(table), DataConfig())[0])
    assert [span for span in spans if span < 0.05]
    assert [span for span in spans if span >= 2.9]
    assert not [span for span in spans if 0.05 <= span < 2.9]


@pytest.mark.parametrize(("times", "message"), [([0.0, 1, 2], "too few"), ([0.0] * 9, "one time")])
def test_series_without_spans_are_refused(times, message):
    count = len(times)
    channel = [f"c{k}" for k in range(count)] * 2
    table = pa.table({"id": [0] * count + [1] * count, "time": times * 2, "channel": channel,
                      "value": np.arange(2.0 * count)})  # fmt: skip
    with pytest.raises(CaesuraError, match=message):
        spread_spans(open_data(table, CONFIG)[0])


def test_a_regular_run_has_levels_and_no_spans():
    series = [np.sin(np.arange(64) / (2 + i))[None] for i in range(12)]
    settings = ("data.rate=1", "data.window=32", "stages.0.objective.patch_ms=4000")
    run = caesura.pretrain(series, recipe="himae-small", steps=2, settings=settings)
    with pytest.raises(CaesuraError, match="regular grid"):
        run.probe({"id": np.arange(12), "label": np.arange(12) % 2}, series, spans="auto")


def test_dates_name_their_spans_with_a_unit():
    hours = np.datetime64("2026-01-01", "us") + np.arange(9) * np.timedelta64(3_600_000_000)
    table = pa.table({"id": [0] * 9, "time": hours, "value": np.arange(9.0)})
    store = open_data(table, DataConfig())[0]
    assert span_name(7200.0, store) == "span 2 h"
    assert span_name(7200.0, open_data(long_table(2), CONFIG)[0]) == "span 7200"


def planted(count, rng):
    """Irregular series of a fast and a slow wave, and which of two periods each has."""
    which = rng.integers(0, 2, (count, 2))
    rows = []
    for one, (fast, slow) in enumerate(which):
        times = np.sort(rng.uniform(0, 60, rng.integers(50, 80)))
        waves = [np.sin(2 * np.pi * (times / period + rng.random()))
                 for period in ((2.0, 4.0)[fast], (20.0, 40.0)[slow])]  # fmt: skip
        noise = 0.1 * rng.standard_normal(len(times))
        rows.append((np.full(len(times), one), times, waves[0] + waves[1] + noise))
    ids, times, values = (np.concatenate(column) for column in zip(*rows, strict=True))
    return {"id": ids, "time": times, "value": values}, which


@pytest.mark.slow
def test_the_probe_finds_the_spans_that_labels_were_planted_at():
    table, which = planted(160, np.random.default_rng(0))
    small = ("encoder.width=48", "encoder.heads=2", "encoder.depth=2")
    run = caesura.pretrain(table, recipe="romae", steps=60, settings=small)
    for column, wanted in ((0, "span 2"), (1, "span 12")):
        labels = {"id": np.arange(160), "label": which[:, column]}
        found = run.probe(labels, table, folds=3, spans="2,12")
        assert found.names["chosen level"] == wanted
        assert found.metrics["chosen level"] > 0.75
        other = {"span 2", "span 12"} - {wanted}
        assert found.metrics[other.pop()] < found.metrics["chosen level"] - 0.1
