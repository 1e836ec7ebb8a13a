"""What windows are made under: numbers of a series, and classes by their names."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from builders import TINY_GENERATOR
from caesura.answers import synthetic_table
from caesura.errors import DataError, RecipeError
from caesura.tasks.conditions import condition_of, drawn_conditions
from caesura.tasks.generate import SamplingSettings, generate, redraw, sample_latent
from caesura.tasks.impute import fill_windows
from caesura.workflow import pretrain

LEVELS = {"bird": 3.0, "cat": -3.0, "dog": 0.0}
"""Of classes whose order says nothing: no single number of theirs would do."""


def table_of(kinds, seed=0, **other):
    rng, count = np.random.default_rng(seed), len(kinds)
    values = np.array([LEVELS.get(kind, kind) for kind in kinds])[:, None]
    values = values + rng.standard_normal((count, 16))
    columns = {"kind": kinds, "other": rng.random(count)} | other
    return pa.table({
        "id": np.repeat(np.arange(count), 16), "time": np.tile(np.arange(16), count),
        "value": values.ravel(),
    } | {name: np.repeat(each, 16) for name, each in columns.items()})  # fmt: skip


@pytest.fixture(scope="module")
def run():
    """Of series whose level is by their class; a number beside it says nothing."""
    return pretrain(
        table_of(np.resize(list(LEVELS), 60)), "timemar", steps=240,
        settings=["data.window=16", *TINY_GENERATOR, "training.lr=0.01"],
        columns={"static": ["other"], "classes": ["kind"]},
    )  # fmt: skip


def level(run, kind, guidance=0.0):
    asked = condition_of(run, {"kind": kind, "other": 0.5}, 200)
    settings = SamplingSettings(guidance=guidance)
    return generate(run, 200, settings=settings, condition=asked.numbers).mean()


def test_classes_are_a_number_each_in_the_model(run):
    assert run.schema.static_names == ("other", "kind")
    assert run.schema.static_classes == ((), ("bird", "cat", "dog"))
    asked = condition_of(run, {"kind": ["dog", "bird"], "other": 0.5}, 2)
    expected = 3**0.5 * np.array([[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(asked.numbers[:, 1:], expected, rtol=1e-6)
    assert asked.columns == {"kind": ["dog", "bird"], "other": [0.5, 0.5]}


@pytest.mark.slow
@pytest.mark.parametrize("guidance", [0.0, 3.0])
def test_a_class_rules_what_is_made(run, guidance):
    high, low, middle = (level(run, kind, guidance) for kind in LEVELS)
    assert low < -1.5 < middle < 1.5 < high
    assert abs(generate(run, 400).mean()) < 1.5  # any of them


def test_guidance_leads_away_from_what_all_classes_have(run, monkeypatch):
    """Scores of the finest scale are (1 + strength) of the class less strength of any."""
    asked = condition_of(run, {"kind": "bird", "other": 0.5}, 4)
    places = 16 // run.parts["encoder"].hop
    sizes = run.parts["tokenizer"].scales(places)
    coarser = [torch.zeros(4, size, dtype=torch.int64) for size in sizes[:-1]]
    seen = []
    monkeypatch.setattr(
        "caesura.tasks.generate.draw_codes",
        lambda scores, *_: seen.append(scores) or scores.argmax(-1),
    )
    nothing = torch.zeros(4, 1, 16)
    known = run.parts["prior"].known(nothing, nothing > 0)
    condition = torch.from_numpy(asked.numbers)
    with torch.no_grad():
        for guidance, shown in ((2.0, condition), (0.0, condition), (0.0, None)):
            settings = SamplingSettings(guidance=guidance)
            sample_latent(run, known, 16, settings, torch.Generator(), shown, coarser)
    guided, own, anything = seen
    assert not torch.allclose(own, anything, atol=0.1)
    torch.testing.assert_close(guided, 3 * own - 2 * anything, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_a_number_rules_what_is_made():
    """As it did before there were classes; the middle was never seen."""
    numbers = np.resize([-3.0, 3.0], 40)
    run = pretrain(
        table_of(numbers), "timemar", steps=120,
        settings=["data.window=16", *TINY_GENERATOR, "training.lr=0.01"],
        columns={"static": ["kind", "other"]},
    )  # fmt: skip
    low, middle, high = (level(run, kind) for kind in (-3.0, 0.0, 3.0))
    assert low < -1 < 1 < high
    assert low < middle < high


def test_a_table_says_its_condition(run):
    made = run.generate(3, condition={"kind": "cat", "other": 0.5})
    assert made.column_names == ["id", "time", "value", "other", "kind"]
    assert set(made["kind"].to_pylist()) == {"cat"}
    assert set(made["other"].to_pylist()) == {0.5}


def test_conditions_are_drawn_from_a_table_and_make_labels(run):
    kinds = np.where(np.arange(40) % 4 == 0, "bird", "cat")
    asked = drawn_conditions(run, run.open(table_of(kinds, 1)), 400, seed=0)
    drawn = np.array(asked.columns["kind"])
    assert (drawn == "bird").mean() == pytest.approx(0.25, abs=0.07)
    values = generate(run, 400, condition=asked.numbers)
    levels = values[:, 0].mean(1)
    assert levels[drawn == "bird"].mean() > 1 > -1 > levels[drawn == "cat"].mean()
    frame = synthetic_table(run, values, given=asked.columns).to_pandas()
    first = run.schema.sampling.next_id
    own = frame.groupby("id")["kind"].first().loc[[first + k for k in range(400)]]
    np.testing.assert_array_equal(own.to_numpy(), drawn)


def test_conditions_are_drawn_from_series_that_have_the_given_ones(run):
    store = run.open(table_of(["bird", "cat", "bird"], other=np.array([0.25, 0.5, 0.75])))
    asked = drawn_conditions(run, store, 50, 0, {"kind": "Bird"})
    assert set(asked.columns["kind"]) == {"bird"}
    assert set(asked.columns["other"]) == {0.25, 0.75}
    asked = drawn_conditions(run, store, 5, 0, {"kind": "bird", "other": "0.75"})
    assert set(asked.columns["other"]) == {0.75}
    for wrong, match in (
        ({"kind": "dog"}, "no series of the table has kind=dog"),
        ({"kind": "cow"}, "unknown kind 'cow'; the run knows"),
        ({"size": 1}, "a condition of size; this run knows other, kind"),
    ):
        with pytest.raises(RecipeError, match=match):
            drawn_conditions(run, store, 5, 0, wrong)


def test_unknown_and_far_conditions_are_said(run, caplog):
    with pytest.raises(RecipeError, match="this run knows other, kind. Draw the others"):
        condition_of(run, {"kind": "cat"}, 2)
    with pytest.raises(RecipeError, match="unknown kind 'cow'; the run knows 'bird', 'cat', 'dog'"):
        condition_of(run, {"kind": "cow", "other": 0.5}, 2)
    with pytest.raises(RecipeError, match="other=cat is no finite number"):
        condition_of(run, {"kind": "cat", "other": "cat"}, 2)
    with pytest.raises(RecipeError, match=r"kind of shape \(3,\); give one value, or 2"):
        condition_of(run, {"kind": ["cat"] * 3, "other": 0.5}, 2)
    condition_of(run, {"kind": "cat", "other": 50.0}, 2)
    assert "deviations from the training's mean" in caplog.text


def test_a_table_of_other_classes_is_refused(run):
    strange = table_of(["cat", "dog"], kind=["cow", "dog"])
    with pytest.raises(DataError, match="unknown kind 'cow'; the model knows 'bird', 'cat', 'dog'"):
        drawn_conditions(run, run.open(strange), 2, seed=0)
    with pytest.raises(DataError, match="unknown kind 1, 2; the model knows"):
        drawn_conditions(run, run.open(table_of(["cat", "dog"], kind=[1, 2])), 2, seed=0)


def test_a_run_without_conditions_says_so():
    plain = pretrain(
        table_of(["cat"] * 8), "timemar", steps=2, settings=["data.window=16", *TINY_GENERATOR]
    )
    with pytest.raises(RecipeError, match="this run knows none: pass --static or --classes"):
        condition_of(plain, {"kind": 1.0}, 2)


def test_a_sketch_keeps_its_coarse_shape_and_all_scales_are_the_window(run):
    values = np.where(np.arange(16) < 8, -3.0, 3.0)[None, None]
    known = {"kind": ["bird"] * 16, "other": [0.5] * 16}
    store = run.open(
        pa.table({"id": [0] * 16, "time": np.arange(16), "value": values.ravel()} | known)
    )
    quiet = SamplingSettings(noise=False)
    whole = redraw(run, store, 3, draws=2, settings=quiet)
    assert whole.shape == (2, 1, 16)
    np.testing.assert_allclose(whole[0], whole[1])  # nothing is left to draw
    free = redraw(run, store, 0, draws=20, settings=quiet)
    assert free.std(0).max() > 10 * whole.std(0).max() + 0.1
    for wrong in ({"scales": 9}, {"scales": -1}, {"scales": 1, "draws": 0}):
        with pytest.raises(RecipeError, match="0 to 3, and 1 at least"):
            redraw(run, store, **wrong)
    few = {"id": [0] * 5, "time": np.arange(5), "value": [1.0] * 5, "kind": ["bird"] * 5}
    short = run.open(pa.table(few | {"other": [0.5] * 5}))
    with pytest.raises(DataError, match="no series is as long as a window of 16"):
        redraw(run, short, 1)


def test_gaps_are_filled_by_what_a_series_is(run):
    """Nothing of a window is measured but two samples, and the class says where the others lie."""
    windows = np.where(np.isin(np.arange(16), (0, 15)), 0.0, np.nan)[None, None]
    for kind, sign in (("cat", -1), ("bird", 1)):
        asked = condition_of(run, {"kind": kind, "other": 0.5}, 1)
        _, middle, _ = fill_windows(run, windows, asked.numbers)
        assert sign * middle[0, 0, 6:10].mean() > 1.0


def test_windows_without_a_measurement_are_filled_by_their_own_conditions(run):
    """As forecasts of series of several classes in one table are."""
    asked = condition_of(run, {"kind": ["bird", "cat"] * 20, "other": 0.5}, 40)
    empty = np.full((40, 1, 16), np.nan)
    _, filled, _ = fill_windows(run, empty, asked.numbers, draws=8)
    birds, cats = filled[::2].mean(), filled[1::2].mean()
    assert birds > cats + 2
