"""Schema, scaling and units: fitted on training series, inverted exactly, checked at use."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import long_table
from caesura.data.collate import collate, tokenise_store
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.scaling import ScaleTable, ValueScale, standard
from caesura.data.schema import choose_time_unit, fit_schema
from caesura.data.split import split_by_group
from caesura.data.window import Windows, covering_windows, cut_by_tokens, random_windows
from caesura.errors import DataError

CONFIG = DataConfig(
    columns=Columns(channel="channel", error="error"), tokens="observation", scaling="auto"
)


def opened(table=None):
    return open_data(long_table() if table is None else table, CONFIG)[0]


def test_statistics_come_from_training_series_only():
    store = opened()
    train = np.arange(20)
    wanted = fit_schema(store, train, CONFIG)
    store.values[store.offsets[20] :] += 1000.0
    assert fit_schema(store, train, CONFIG) == wanted


@pytest.mark.parametrize("bend", ["none", "log", "asinh"])
def test_scaling_is_inverted(bend):
    table = ScaleTable(((ValueScale(bend=bend, knee=3.0, center=2.0, scale=5.0),),))
    values = np.array([[0.0], [0.5], [120.0], [4e4]])
    zeros = np.zeros(4, np.int32)
    np.testing.assert_allclose(table.raw(table.scaled(values, zeros), zeros), values, rtol=1e-4,
                               atol=1e-5)  # fmt: skip


def test_heavy_tails_are_bent():
    rng = np.random.default_rng(0)
    assert standard(rng.standard_normal(4000), bend=True).bend == "none"
    assert standard(np.exp(2 * rng.standard_normal(4000)), bend=True).bend == "log"
    assert standard(rng.standard_t(2, 4000), bend=True).bend == "asinh"
    assert standard(np.exp(2 * rng.standard_normal(4000)), bend=False).bend == "none"


def test_a_constant_channel_is_finite():
    fitted = standard(np.full(50, 7.0), bend=True)
    assert fitted.constant
    assert fitted.scale == 7.0  # in the channel's unit, whatever that is
    assert standard(np.zeros(50), bend=True).scale == 1.0


def test_weights_follow_errors():
    store = opened()
    schema = fit_schema(store, np.arange(30), CONFIG)
    first = Windows(np.array([0]), store.offsets[:1], store.offsets[1:2])
    weight = collate(tokenise_store(store, schema), first).inputs.weight
    np.testing.assert_allclose(weight, 0.5, atol=1e-5)  # every error is its channel's median


def test_the_time_unit_is_a_quarter_of_the_gap_within_a_channel():
    table = pa.table(
        {
            "id": ["a"] * 6,
            "time": [0.0, 0.01, 8.0, 8.01, 16.0, 16.01],
            "channel": ["u", "v"] * 3,
            "value": [0.0] * 6,
        }
    )
    config = CONFIG.model_copy(update={"columns": Columns(channel="channel")})
    assert choose_time_unit(open_data(table, config)[0]) == 2.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": "w"}, "unknown channels 'w'; the model knows 'u', 'v'"),
        ({"time": "2024-01-01"}, "times are timestamps; the model was trained on numbers"),
    ],
)
def test_data_that_the_model_cannot_read_is_an_error(change, message):
    schema = fit_schema(opened(), np.arange(30), CONFIG)
    columns = {name: long_table(2)[name] for name in ("id", "time", "channel", "value", "error")}
    rows = len(columns["id"])
    columns |= {name: pa.array([value] * rows) for name, value in change.items()}
    if "time" in change:
        columns["channel"] = pa.array(["u"] * rows)
    store = opened(pa.table(columns))
    with pytest.raises(DataError, match=message):
        tokenise_store(store, schema)


def test_a_split_never_cuts_a_group():
    groups = np.repeat(np.arange(40), 5)
    split = split_by_group(groups, 0.1, 0.1, seed=3)
    parts = [set(groups[p]) for p in (split.train, split.validation, split.calibration)]
    assert sum(map(len, parts)) == 40
    assert len(set.union(*parts)) == 40
    with pytest.raises(DataError, match="2 groups of series; at least 3"):
        split_by_group(np.array([0, 1]), 0.1, 0.1, 0)


def test_collate_pads_with_nothing_and_counts_from_the_window():
    store = opened()
    tokens = tokenise_store(store, fit_schema(store, np.arange(30), CONFIG))
    first, last = int(tokens.offsets[1]), int(tokens.offsets[2])
    windows = Windows(np.array([0, 1]), np.array([0, first + 3]), np.array([2, last]))
    batch = collate(tokens, windows).inputs
    assert batch.valid.sum(1).tolist() == [2, last - first - 3]
    assert (batch.values[~batch.valid] == 0).all()
    assert not batch.observed[~batch.valid].any()
    assert float(batch.positions[1, 0, 0]) == 0.0
    np.testing.assert_allclose(
        batch.positions[1, 1, 0],
        (store.times[first + 4] - store.times[first + 3]) / tokens.ticks_per_unit,
        rtol=1e-5,
    )


@given(st.lists(st.integers(1, 90), min_size=1, max_size=30), st.integers(8, 60))
@settings(max_examples=50)
def test_windows_cover_every_observation_and_fit(lengths, limit):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    series = np.arange(len(lengths))
    windows = covering_windows(offsets, series, limit)
    seen = np.zeros(offsets[-1], dtype=int)
    for start, stop in zip(windows.start, windows.stop, strict=True):
        seen[start:stop] += 1
    assert (seen > 0).all()
    assert windows.lengths.max() <= limit
    drawn = random_windows(offsets, series, limit, np.random.default_rng(0))
    assert (drawn.lengths == np.minimum(lengths, limit)).all()
    assert ((drawn.start >= offsets[:-1]) & (drawn.stop <= offsets[1:])).all()


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 300))
def test_batches_stay_within_the_token_budget(lengths, budget):
    ordered = np.sort(lengths)
    runs = cut_by_tokens(ordered, budget)
    assert [a for a, _ in runs[1:]] == [b for _, b in runs[:-1]]
    assert (runs[0][0], runs[-1][1]) == (0, len(ordered))
    assert all((b - a) * ordered[b - 1] <= budget for a, b in runs)
