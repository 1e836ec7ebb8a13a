"""sktime's own checks of its forecaster, and its verb `pretrain`; `make extras` runs them."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sktime", reason="`make extras` has an environment with it")

from sktime.utils.estimator_checks import check_estimator

from caesura.estimators.sktime import SktimeForecaster

SMALL = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2", "encoder.patch=4")


def waves(count, steps=200, seed=0):
    """Return a panel of sines of one period and any phase."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([[f"m{i}" for i in range(count)], range(steps)])
    phase = np.repeat(rng.uniform(0, 2 * np.pi, count), steps)
    angle = 2 * np.pi * np.tile(np.arange(steps), count) / 20 + phase
    return pd.DataFrame({"load": np.sin(angle)}, index=index)


TOO_SHORT = ["test_predict_series_name_preserved"]
"""Its series leaves no window to fit a forecast of three steps, none to choose and one to score."""


def test_sktimes_checks_pass():
    found = check_estimator(
        SktimeForecaster(**SktimeForecaster.get_test_params()[0]),
        raise_exceptions=False, verbose=False, tests_to_exclude=TOO_SHORT,
    )  # fmt: skip
    failed = {name: str(why)[:300] for name, why in found.items() if why != "PASSED"}
    assert not failed
    assert len(found) > 300


def test_a_panel_teaches_what_one_short_series_cannot():
    panel, one = waves(20), waves(1, seed=5).droplevel(0)
    model = SktimeForecaster(window=40, steps=60, settings=SMALL)
    model.pretrain(panel)
    assert model.state == "pretrained"
    before = {k: v.clone() for k, v in model.run_.parts["encoder"].state_dict().items()}
    predicted = model.fit(one.iloc[:140]).predict(fh=[1, 2, 10])
    after = model.run_.parts["encoder"].state_dict()
    assert all((before[k] == after[k]).all() for k in before)
    assert list(predicted.index) == [140, 141, 149]
    came = one.loc[[140, 141, 149], "load"].to_numpy()
    assert np.abs(predicted["load"].to_numpy() - came).mean() < 0.15
