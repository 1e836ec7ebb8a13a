"""Tasks: each does what its verb promises, and the controls stand beside it."""

import dataclasses
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch

import caesura
from builders import TINY, label_table, long_table, tiny_run
from caesura.errors import CheckpointError, DataError, RecipeError
from caesura.recipes.presets import NEW_HEAD
from caesura.tasks.calibrate import hidden_queries, hide_observations
from caesura.tasks.embed import embed_layers
from caesura.tasks.interpolate import distances, predict_scaled
from caesura.tasks.random_twin import random_twin


@pytest.fixture(scope="module")
def run(run_folder):
    return caesura.load(run_folder)


def test_a_run_makes_a_round_trip(run, tmp_path):
    before = run.embed()
    run = dataclasses.replace(run)
    run.save(tmp_path / "copy")
    again = caesura.load(tmp_path / "copy")
    np.testing.assert_array_equal(before, again.embed())
    assert again.recipe == run.recipe
    assert again.schema == run.schema
    assert "caesura interpolate" in (tmp_path / "copy" / "README.md").read_text()


def test_the_recipe_of_a_run_repeats_it(run, run_folder, tmp_path):
    again = caesura.pretrain(recipe=str(run_folder / "recipe.toml"), out=tmp_path / "again")
    np.testing.assert_array_equal(run.embed(), again.embed())


def test_embedding_does_not_depend_on_company_or_row_order(run):
    table = long_table()
    whole = run.embed(table)
    few = table.filter(pa.compute.is_in(table["id"], pa.array(["s3", "s7"])))
    np.testing.assert_allclose(run.embed(few), whole[[3, 7]], atol=1e-5)
    backwards = table.take(np.arange(table.num_rows)[::-1])
    np.testing.assert_allclose(run.embed(backwards), whole[::-1], atol=1e-5)


def test_long_series_are_cut_and_said(caplog):
    short = tiny_run(steps=3, settings=("training.max_tokens=10",))
    assert "observations (longest" in caplog.text
    assert "training.max_tokens=N" in caplog.text
    assert short.embed(long_table()).shape == (30, 32)
    found = short.interpolate(long_table(), "every:2")
    assert np.isfinite(found["value"].to_numpy()).all()


def test_layers_and_random_twin(run):
    store = run.open()
    layers = embed_layers(run, store)
    assert [layer.shape for layer in layers] == [(30, 16), (30, 16)]
    twin = random_twin(run, 0)
    assert not np.allclose(embed_layers(twin, store)[0], layers[0])
    np.testing.assert_array_equal(embed_layers(random_twin(run, 0), store)[0],
                                  embed_layers(twin, store)[0])  # fmt: skip


def test_probe_shows_layers_controls_and_intervals(run):
    found = run.probe(label_table(), folds=3)
    rows = {row["features"]: row for row in found.tables["probe"]}
    names = ["layer 1", "layer 2", "all levels", "levels+max", "embedding", "channel statistics"]
    assert list(rows)[:-1] == names
    for row in rows.values():
        assert row["AUROC"].lower <= row["AUROC"].value <= row["AUROC"].upper
    for name in names[:-1]:  # statistics have no twin
        assert rows[name]["random twin"].lower <= rows[name]["random twin"].upper
    compared = [row["comparison"] for row in found.tables["differences"]]
    assert compared[:2] == ["embedding - random twin", "embedding - channel statistics"]
    assert len(compared) == 4


def test_probe_needs_enough_cases_of_each_class(run):
    few = pa.table({"id": ["s0", "s1", "s2", "s3"], "kind": ["a", "b", "a", "a"]})
    with pytest.raises(DataError, match="class 'b' has 1 labelled series; 2 folds need"):
        run.probe(few, folds=2)
    with pytest.raises(DataError, match="4 labelled series in 4 groups; 5 folds need"):
        run.probe(few)


def test_finetuning_carries_the_encoder_whole_and_says_what_it_leaves(run, caplog):
    with caplog.at_level("INFO", logger="caesura"):
        tuned = caesura.finetune(run, label_table(), freeze=True, steps=3)
    assert "carried: encoder, whole; not carried: decoder" in caplog.text
    for name, tensor in run.parts["encoder"].state_dict().items():
        assert torch.equal(tensor, tuned.parts["encoder"].state_dict()[name]), name
    moved = caesura.finetune(run, label_table(), steps=3, settings=NEW_HEAD)
    start = run.parts["encoder"].projection.weight
    assert not torch.equal(start, moved.parts["encoder"].projection.weight)
    scratch = caesura.finetune(run, label_table(), steps=1, from_scratch=True)
    assert (scratch.parts["encoder"].projection.weight - start).abs().max() > 0.01


def raised_table():
    """Make `long_table` with the series of the class "fast" on another level."""
    table = long_table()
    fast = np.array([int(name[1:]) % 2 for name in table["id"].to_pylist()])
    return table.set_column(
        table.column_names.index("value"), "value", pa.array(table["value"].to_numpy() + 1.5 * fast)
    )


def test_classification_learns_predicts_and_saves(run, tmp_path):
    data = raised_table()
    tuned = caesura.finetune(run, label_table(), tmp_path / "tuned", data=data, steps=100,
                             settings=["training.lr=5e-3", "training.patience=0"])  # fmt: skip
    table = tuned.predict(data)
    assert table.column_names == ["id", "prediction", "p_fast", "p_slow"]
    total = table["p_fast"].to_numpy() + table["p_slow"].to_numpy()
    np.testing.assert_allclose(total, 1.0)
    truth = np.array(label_table()["kind"].to_pylist())
    assert (np.array(table["prediction"].to_pylist()) == truth).mean() > 0.8
    again = caesura.load(tmp_path / "tuned").predict(data)
    np.testing.assert_allclose(again["p_fast"].to_numpy(), table["p_fast"].to_numpy())
    with pytest.raises(CheckpointError, match="no decoder .*made by `caesura pretrain`"):
        predict_scaled(tuned, tuned.open(), None)


def test_regression_standardises_its_targets(run):
    table = long_table().to_pandas()
    power = table["value"].pow(2).groupby(table["id"]).mean()
    values = np.array([500.0 + 100.0 * power[f"s{n}"] for n in range(30)])
    labels = pa.table({"id": [f"s{n}" for n in range(30)], "y": values})
    tuned = caesura.finetune(run, labels, task="regression", steps=200,
                             settings=["training.lr=5e-3", "training.patience=0"])  # fmt: skip
    found = tuned.predict()["prediction"].to_numpy()
    assert abs(found.mean() - values.mean()) < 20
    assert np.corrcoef(found, values)[0, 1] > 0.5


def test_multi_label_and_class_weights(run):
    ids = [f"s{n}" for n in range(30)]
    table = pa.table({"id": ids, "a": [n % 2 for n in range(30)], "b": [1, 0, 0] * 10})
    tuned = caesura.finetune(run, table, target=("a", "b"), steps=3)
    assert tuned.predict().column_names == ["id", "p_a", "p_b"]
    balanced = caesura.finetune(
        run, pa.table({"id": ids, "k": ["x"] * 6 + ["y"] * 24}), steps=2,
        settings=["stages.0.objective.class_weights=balanced"],
    )  # fmt: skip
    assert balanced.recipe.stages[0].objective.class_weights == "balanced"


def test_static_features_reach_the_head():
    table = long_table()
    age = [float(int(name[1:]) % 2) for name in table["id"].to_pylist()]
    table = table.append_column("age", pa.array(age))
    run = tiny_run(table=table, steps=2, columns={"channel": "channel", "static": ["age"]})
    tuned = caesura.finetune(run, label_table(), data=table, steps=40,
                             settings=["training.lr=1e-2", "training.patience=0"])  # fmt: skip
    assert tuned.recipe.stages[0].objective.conditions == 1
    right = np.array(tuned.predict(table)["prediction"].to_pylist()) == np.array(
        label_table()["kind"].to_pylist()
    )
    assert right.mean() > 0.9


def test_an_answer_does_not_depend_on_what_else_is_asked(run):
    table = long_table()
    query = pa.table({"id": ["s1"] * 3, "time": [1.0, 2.0, 3.0], "channel": ["u", "v", "u"]})
    together = run.interpolate(table, query)
    alone = run.interpolate(table, query.slice(1, 1))
    np.testing.assert_allclose(together["value"].to_numpy()[1], alone["value"].to_numpy()[0],
                               rtol=1e-4, atol=1e-5)  # fmt: skip
    assert together.column_names == ["id", "time", "channel", "value", "lower", "upper", "trust"]


def test_intervals_hold_the_value_and_widen_with_the_level(run):
    table = long_table()
    narrow = run.interpolate(table, "every:1", level=0.5)
    wide = run.interpolate(table, "every:1", level=0.95)
    for found in (narrow, wide):
        value = found["value"].to_numpy()
        assert (found["lower"].to_numpy() <= value).all()
        assert (value <= found["upper"].to_numpy()).all()
    assert (wide["upper"].to_numpy() >= narrow["upper"].to_numpy()).all()
    with pytest.raises(DataError, match=r"level 1.5 is not in \[0.5, 1\)"):
        run.interpolate(table, "every:1", level=1.5)


def test_far_queries_say_low_trust(run):
    query = pa.table({"id": ["s1", "s1"], "time": [3.0, 900.0], "channel": ["u", "u"]})
    assert run.interpolate(long_table(), query)["trust"].to_pylist() == ["high", "low"]


def test_a_table_of_observations_can_be_the_query(run):
    found = run.interpolate(long_table(), long_table())
    assert found.num_rows == long_table().num_rows


def test_distances_are_those_of_the_definition(run):
    store = run.open()
    seen, rows = hide_observations(store, 0.4, np.random.default_rng(0))
    queries, _ = hidden_queries(run, store, rows)
    fast = distances(run, seen, queries)
    channel = seen.channel
    for case in range(0, len(queries), 17):
        series = queries.series[case]
        own = (seen.series == series) & (channel == queries.variable[case])
        gaps = np.abs(seen.times[own] - queries.times[case])
        wanted = gaps.min() if len(gaps) else np.inf
        assert fast[case] == pytest.approx(wanted)


def test_hiding_keeps_one_observation_and_the_exact_count(run):
    store = run.open()
    seen, rows = hide_observations(store, 0.99, np.random.default_rng(0))
    assert (seen.lengths >= 1).all()
    assert len(rows) + len(seen.times) == len(store.times)


def test_wide_tables_interpolate_each_value():
    rng = np.random.default_rng(0)
    ids = np.repeat(np.arange(20), 12)
    values = rng.standard_normal((240, 2))
    values[::5, 1] = np.nan
    table = pa.table({"id": ids, "time": np.tile(np.arange(12.0), 20), "a": values[:, 0],
                      "b": values[:, 1]})  # fmt: skip
    run = tiny_run(table=table, steps=4, columns={"value": ["a", "b"]})
    assert run.recipe.encoder.values_per_token == 2
    assert run.recipe.encoder.missing_flags
    found = run.interpolate(table, "every:3")
    assert set(found["channel"].to_pylist()) == {"a", "b"}
    assert run.embed(table).shape[0] == 20


def test_online_probe_reports_and_never_selects(tmp_path):
    plain = tiny_run(tmp_path / "a", steps=8)
    watched = tiny_run(tmp_path / "b", steps=8, labels=label_table())
    assert '"online_AUROC"' in (tmp_path / "b" / "metrics.jsonl").read_text()
    np.testing.assert_array_equal(plain.embed(long_table()), watched.embed(long_table()))


def test_arrays_train_and_the_transformer_fits_a_pipeline():
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = np.sin(
        (1 + y)[:, None, None] * np.arange(30)[None, None] / 3 + rng.uniform(0, 6, (40, 1, 1))
    )
    X = X + 0.1 * rng.standard_normal(X.shape)
    X[rng.random(X.shape) < 0.2] = np.nan
    features = caesura.PretrainedFeatures(steps=20, settings=TINY)
    assert clone(features).get_params()["steps"] == 20
    model = make_pipeline(features, LogisticRegression()).fit(X, y)
    assert model.predict(X).shape == (40,)
    ragged = [x[:, : 10 + i % 20] for i, x in enumerate(X)]
    assert features.fit(ragged).transform(ragged).shape == (40, 32)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("calibration.json", '{"conformal": {}}', "is not a calibration"),
        ("calibration.json", "{", "cannot be read"),
        ("schema.json", '{"columns": 3}', "is not a schema"),
        ("recipe.toml", "a = [", "is not valid TOML"),
        ("recipe.toml", "seed = 0", "recipe.encoder: Field required"),
        ("model.safetensors", "", "not a whole safetensors file"),
        ("metrics.json", None, "continue it with --resume"),
    ],
)
def test_a_damaged_run_folder_says_which_file(run_folder, tmp_path, name, text, message):
    folder = tmp_path / "copy"
    shutil.copytree(run_folder, folder)
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises((CheckpointError, RecipeError), match=message):
        caesura.load(folder)


def test_a_probe_that_cannot_work_fails_before_the_training(tmp_path):
    labels = pa.table({"id": ["s0", "s1", "s2"], "kind": ["a", "b", "a"]})
    with pytest.raises(DataError, match="no class with enough series"):
        tiny_run(tmp_path / "run", steps=2, labels=labels)
    assert not (tmp_path / "run").exists()


def test_whole_number_classes_are_predicted_as_numbers(run):
    labels = pa.table(
        {"id": [f"s{n}" for n in range(30)], "y": [3 + 4 * (n % 2) for n in range(30)]}
    )
    found = caesura.finetune(run, labels, steps=2).predict()
    assert found["prediction"].type == pa.int64()
    assert found.column_names[2:] == ["p_3", "p_7"]


def test_columns_that_only_training_needs_may_lack_at_use():
    table = long_table()
    ward = pa.array([f"w{int(name[1:]) % 10}" for name in table["id"].to_pylist()])
    grouped = table.append_column("ward", ward)
    columns = {"channel": "channel", "error": "error", "group": "ward"}
    run = tiny_run(table=grouped, steps=2, columns=columns)
    bare = table.drop_columns(["error"])
    np.testing.assert_allclose(run.embed(bare), run.embed(grouped), atol=1e-6)


def test_a_control_stays_the_control_when_resumed_before_its_first_checkpoint(run, tmp_path):
    out = tmp_path / "scratch"
    settings = ["training.patience=0"]
    options = {"steps": 4, "from_scratch": True, "settings": settings}
    wanted = caesura.finetune(run, label_table(), **options)
    caesura.finetune(run, label_table(), out, **options)
    for path in out.iterdir():  # what a kill before the first evaluation leaves
        if path.name not in ("recipe.toml", "schema.json"):
            path.unlink()
    resumed = caesura.finetune(run, label_table(), out, resume=True)
    for name, tensor in wanted.parts["encoder"].state_dict().items():
        assert torch.equal(tensor, resumed.parts["encoder"].state_dict()[name]), name
