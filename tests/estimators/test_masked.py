"""Masked arrays: what is masked was not observed, by every way in."""

import numpy as np
import pytest

import caesura
from builders import TINY_GENERATOR
from caesura.data.config import DataConfig
from caesura.data.door import open_data
from caesura.errors import DataError
from caesura.estimators.supervised import SeriesClassifier, SeriesRegressor

TINY = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2")


def masked_panel(count=12, channels=1, time=30, kind=np.float64):
    values = np.random.default_rng(0).normal(size=(count, channels, time)).astype(kind)
    values[:, :, ::5] = -9999
    return np.ma.masked_equal(values, -9999)


WAYS = {
    "array": lambda panel: panel,
    "two axes": lambda panel: panel[:, 0],
    "list": list,
    "tuple": tuple,
    "list of rows": lambda panel: [one[0] for one in panel],
    "list of lists of rows": lambda panel: [list(one) for one in panel],
    "float32": lambda panel: panel.astype(np.float32),
    "mapping": lambda panel: {
        "id": np.repeat(np.arange(12), 30),
        "time": np.tile(np.arange(30), 12),
        "value": panel.ravel(),
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_masked_is_not_in_the_store(way):
    panel = masked_panel()
    store, _ = open_data(WAYS[way](panel), DataConfig())
    assert int(store.observed.sum()) == panel.count()
    assert np.abs(store.values).max() < 10


def test_masked_whole_numbers_are_read():
    panel = np.ma.masked_equal(np.tile([[1, 2, -9, 4]], (3, 1)), -9)
    store, _ = open_data(panel, DataConfig())
    np.testing.assert_array_equal(store.values[:3, 0], [1, 2, 4])


def test_masks_and_nan_are_the_same_to_estimators_and_runs():
    panel = masked_panel()
    plain = panel.filled(np.nan)
    features = caesura.PretrainedFeatures(steps=2, settings=TINY).fit(panel)
    again = caesura.PretrainedFeatures(steps=2, settings=TINY).fit(plain)
    np.testing.assert_array_equal(features.transform(panel), again.transform(plain))
    np.testing.assert_array_equal(features.transform(list(panel)), again.transform(plain))
    np.testing.assert_array_equal(features.run_.embed(panel), features.run_.embed(plain))


def test_masked_labels_are_refused():
    panel, y = np.ma.filled(masked_panel(), 0.0), np.ma.masked_equal(np.arange(12) % 3, 2)
    for kind in (SeriesClassifier, SeriesRegressor):
        with pytest.raises(DataError, match="4 labels are masked"):
            kind(steps=1).fit(panel, y)


def test_a_generator_fills_what_is_masked():
    panel = masked_panel(time=16)
    made = caesura.SeriesGenerator(steps=4, settings=TINY_GENERATOR).fit(panel)
    filled = made.impute(panel)
    np.testing.assert_allclose(filled, made.impute(panel.filled(np.nan)))
    assert np.abs(filled).max() < 100
    given = made.run_.generate(1, given=panel)
    assert np.abs(given["v0"].to_numpy()).max() < 100


def test_a_frame_in_a_list_has_a_row_a_time():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 9)) for _ in range(4)]
    frames = [pd.DataFrame(one.T, columns=["a", "b"]) for one in arrays]
    ours, theirs = (open_data(x, DataConfig(tokens="step"))[0] for x in (frames, arrays))
    np.testing.assert_array_equal(ours.values, theirs.values)
    np.testing.assert_array_equal(ours.offsets, theirs.offsets)
