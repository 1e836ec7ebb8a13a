"""Options of a recipe that go past the paper, through pre-training and interpolation."""

import numpy as np
import pytest

import caesura
from builders import long_table, tiny_run
from caesura.data.config import Columns
from caesura.data.queries import lay_out_queries
from caesura.errors import RecipeError
from caesura.recipes.compose import compose
from caesura.tasks.interpolate import distances

OPTIONS = [
    "stages.0.objective.likelihood=crps",
    "stages.0.objective.likelihood=gaussian",
    "stages.0.objective.mask=moment",
    "stages.0.objective.mask=end",
    "stages.0.objective.mask_ratio_to=0.9",
    "stages.0.decoder.type=cross_attention",
    "encoder.absolute_positions=true",
]


@pytest.mark.parametrize("option", OPTIONS)
def test_a_run_with_an_option_trains_interpolates_and_loads_again(option, tmp_path):
    run = tiny_run(tmp_path / "run", steps=4, settings=[option])
    assert np.isfinite(run.metrics["validation_loss"])
    table = run.interpolate(long_table(), "2.0,5.5")
    values = table["value"].to_numpy()
    assert np.isfinite(values).all()
    again = caesura.load(tmp_path / "run").interpolate(long_table(), "2.0,5.5")
    np.testing.assert_allclose(again["value"].to_numpy(), values, rtol=1e-4, atol=1e-5)


def test_intervals_follow_the_predicted_deviations():
    run = tiny_run(steps=30, settings=["stages.0.objective.likelihood=crps"])
    plain = tiny_run(steps=30)
    shapes = []
    for one in (run, plain):
        table = one.interpolate(long_table(), "1.0,2.0,3.0")
        half = (table["upper"].to_numpy() - table["lower"].to_numpy()) / 2
        store = one.open(long_table())
        queries, _ = lay_out_queries("1.0,2.0,3.0", store, one.schema)
        distance = distances(one, store, queries)
        rough = one.calibration.half_width(queries.variable, distance, 0.9)
        scale = np.array([row[0].scale for row in one.schema.scales])[queries.variable]
        shapes.append(half / (rough * scale))
    assert np.ptp(shapes[0]) > 0.01  # the deviations that the model gives each query
    np.testing.assert_allclose(shapes[1], 1.0, rtol=1e-4)


def test_a_decoder_that_fits_its_likelihood_is_made_by_the_recipe():
    run = tiny_run(steps=2, settings=["stages.0.objective.likelihood=crps"])
    assert run.recipe.stages[0].decoder.predicts == "normal"


def test_mask_ratios_out_of_order_are_refused():
    with pytest.raises(RecipeError, match=r"mask_ratio_to 0\.3 is not above mask_ratio 0\.5"):
        tiny_run(steps=2, settings=["stages.0.objective.mask_ratio_to=0.3"])


def test_a_decoder_of_single_values_refuses_a_likelihood():
    settings = ["stages.0.objective.likelihood=crps", "stages.0.decoder.predicts=value"]
    with pytest.raises(RecipeError, match="predicts"):
        tiny_run(steps=2, settings=settings)


def test_columns_are_a_mapping_or_what_it_becomes():
    given = {"id": "star", "time": "mjd", "value": ["flux", "error"]}
    ours, theirs = (compose("romae", columns=one) for one in (given, Columns(**given)))
    assert ours == theirs
    with pytest.raises(RecipeError, match="unknown columns star"):
        compose("romae", columns={"star": "id"})
