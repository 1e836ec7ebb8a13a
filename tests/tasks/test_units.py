"""The unit of a channel changes nothing: what comes out is equal, or scales with it."""

import numpy as np
import pyarrow as pa
import pytest

import caesura
from builders import TINY_GENERATOR
from caesura.recipes.presets import PRESETS

UNITS = (1e-30, 1e-12, 1e-5, 1.0, 1e8, 1e30)
NAMES = tuple(f"v{k}" for k in range(len(UNITS)))
TINY = ("encoder.width=16", "encoder.depth=1", "encoder.heads=2", "training.threads=1")
GRID = ("data.rate=1", "data.window=16", "training.batch_tokens=512")
SMALL = {
    "himae": ("encoder.widths=[4,8]", "training.threads=1"),
    "timemar": TINY_GENERATOR,
}
SIZES = {"romae-tiny", "romae-small", "romae-base", "himae-small", "timemar-large"}
RECIPES = [name for name in PRESETS if name not in SIZES]


def table(units, gap=False):
    """Make six series of six channels of one shape, one skewed and one heavy-tailed, in units."""
    rng = np.random.default_rng(0)
    steps = np.arange(64)
    phase = rng.uniform(0, 6, (6, 1, len(UNITS)))
    values = 2 + np.sin(steps[:, None] / 3 + phase) + 0.3 * rng.standard_normal((6, 64, len(UNITS)))
    values[..., 2] = np.exp(1.5 * values[..., 2])
    values[..., 4] = np.sinh(3 * rng.standard_normal((6, 64)))
    if gap:
        values[:, 20:26, 1] = np.nan
    columns = {name: values[..., k].ravel() * units[k] for k, name in enumerate(NAMES)}
    keys = {"id": np.repeat(np.arange(6), 64), "time": np.tile(steps, 6).astype(float)}
    return pa.table(
        {name: pa.array(one, from_pandas=True) for name, one in (keys | columns).items()}
    )


def runs_of(recipe, *settings):
    """Return a run on plain units and one on others, of the same seed."""
    return [
        caesura.pretrain(
            table(units),
            recipe,
            steps=2,
            columns={"value": NAMES},
            settings=(*SMALL.get(recipe, TINY), *settings),
        )
        for units in ((1.0,) * len(UNITS), UNITS)
    ]


def scaled(result, names=("value", "lower", "upper")):
    """Return values of a result, each over the unit of its channel."""
    units = np.array([UNITS[NAMES.index(one)] for one in result["channel"].to_pylist()])
    return np.stack([result[name].to_numpy() / units for name in names])


def check_equal(ours, theirs, share=1e-4):
    size = np.abs(theirs).max()
    assert np.isfinite(ours).all()
    assert np.abs(ours - theirs).max() <= share * size


@pytest.mark.parametrize("recipe", [one for one in RECIPES if one not in ("himae", "timemar")])
def test_embeddings_of_observations_do_not_know_units(recipe):
    plain, other = runs_of(recipe, "data.tokens=step")
    check_equal(other.embed(table(UNITS)), plain.embed(table((1.0,) * len(UNITS))))


def test_interpolations_scale():
    plain, other = runs_of("romae", "data.tokens=observation")
    found = [
        run.interpolate(table(units), "20.5,40.25")
        for run, units in ((plain, (1.0,) * len(UNITS)), (other, UNITS))
    ]
    names = ("value", "lower", "upper")
    ours = scaled(found[1])
    for row, wanted in zip(ours, (found[0][name].to_numpy() for name in names), strict=True):
        np.testing.assert_allclose(row, wanted, rtol=1e-3)
    assert found[0]["trust"].equals(found[1]["trust"])


@pytest.mark.parametrize("recipe", [one for one in RECIPES if one != "romae"])
def test_windows_do_not_know_units(recipe):
    plain, other = runs_of(recipe, *GRID)
    data = [table((1.0,) * len(UNITS)), table(UNITS)]
    check_equal(other.embed(data[1]), plain.embed(data[0]))
    assert other.metrics["validation_loss"] == pytest.approx(
        plain.metrics["validation_loss"], rel=1e-4
    )
    scores = [
        run.detect(one, normal=one)["score"].to_numpy()
        for run, one in ((plain, data[0]), (other, data[1]))
    ]
    check_equal(scores[1], scores[0], 1e-3)


@pytest.mark.parametrize("recipe", ["mae", "himae"])
def test_forecasts_and_their_intervals_scale(recipe):
    plain, other = runs_of(recipe, *GRID)
    wanted = plain.forecast(table((1.0,) * len(UNITS)), horizon=3)
    ours = scaled(other.forecast(table(UNITS), horizon=3))
    for row, name in zip(ours, ("value", "lower", "upper"), strict=True):
        np.testing.assert_allclose(row, wanted[name].to_numpy(), rtol=1e-2, atol=1e-2)


def test_imputed_and_generated_values_scale():
    plain, other = runs_of("timemar", *GRID)
    wanted = plain.impute(table((1.0,) * len(UNITS), gap=True), draws=3)
    found = other.impute(table(UNITS, gap=True), draws=3)
    for row, name in zip(scaled(found), ("value", "lower", "upper"), strict=True):
        np.testing.assert_allclose(row, wanted[name].to_numpy(), rtol=1e-3, atol=1e-4)
    made = [run.generate(4, seed=3) for run in (plain, other)]
    for unit, name in zip(UNITS, NAMES, strict=True):
        ours, theirs = (one[name].to_numpy() for one in (made[1], made[0]))
        np.testing.assert_allclose(ours / unit, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e8, 1e30])
def test_small_and_large_values_are_not_constant(unit):
    store_of = np.random.default_rng(0).normal(size=(8, 1, 30)) * unit
    run = caesura.pretrain(store_of, "romae", steps=1, settings=TINY)
    scale = run.schema.scales[0][0]
    assert not scale.constant
    assert scale.scale == pytest.approx(store_of[: len(store_of)].std(), rel=0.3)
