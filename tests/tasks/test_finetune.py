"""Fine-tuning starts as a linear probe, ends no worse, and says where a probe is better."""

import numpy as np
import pyarrow as pa
import pytest
import torch

import caesura
from builders import label_table, long_table, make_tokens, tiny_run
from caesura.data.schema import Target
from caesura.data.view import view_store
from caesura.errors import DataError
from caesura.metrics.classify import auroc, macro_f1
from caesura.recipes.presets import NEW_HEAD
from caesura.signal.statistics import STATISTICS, input_statistics
from caesura.tasks.controls import channel_statistics
from caesura.tasks.finetune_scores import better_linear, comparison
from caesura.tasks.predict import decided, predict
from caesura.training.batches import inference_batches

OBJECTIVE = "stages.0.objective"
FAST = ("training.lr=1e-4", "training.patience=0")


def unequal_table(series=160, seed=0):
    """Make `long_table` with a level by class: "common" 82 %, "rare" 12 %, "rarest" 6 %."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, series, p=(0.82, 0.12, 0.06))
    kinds[:9] = np.arange(9) % 3
    table = long_table(series, longest=14)
    number = np.array([int(name[1:]) for name in table["id"].to_pylist()])
    level = np.array([0.0, 1.2, -1.2])[kinds[number]]
    values = table["value"].to_numpy() + level + 0.3 * rng.standard_normal(len(level))
    table = table.set_column(table.column_names.index("value"), "value", pa.array(values))
    names = np.array(["common", "rare", "rarest"])[kinds]
    return table, pa.table({"id": [f"s{n}" for n in range(series)], "kind": names})


@pytest.fixture(scope="module")
def unequal():
    table, labels = unequal_table()
    return tiny_run(table=table, steps=20), table, labels


def scores_of(tuned, labels_of_test):
    table, labels = labels_of_test
    store = tuned.open(table)
    truth = np.searchsorted(("common", "rare", "rarest"), labels["kind"].to_numpy())
    weights = np.array(tuned.schema.target.weights or 1.0)
    return macro_f1(truth, predict(tuned, store) * weights)


def test_defaults_find_rare_classes_that_a_new_head_misses(unequal):
    run, table, labels = unequal
    unseen = unequal_table(seed=1)
    settings = ("training.lr=5e-4", "training.patience=0")
    before = caesura.finetune(run, labels, data=table, epochs=5, settings=(*NEW_HEAD, *settings))
    after = caesura.finetune(run, labels, data=table, epochs=5)
    assert scores_of(before, unseen) < 0.5
    assert scores_of(after, unseen) > 0.75
    found = after.predict(unseen[0])["prediction"].to_pylist()
    assert {"rare", "rarest"} <= set(found)


def rare_channels_table(series=240, seed=0):
    """Make a label that one heavy-tailed value tells, beside 30 channels that few series have."""
    rng = np.random.default_rng(seed)
    kinds, rows = rng.integers(0, 2, series), []
    for number, kind in enumerate(kinds):
        events = [("a", value) for value in rng.standard_normal(6)]
        if rng.random() < 0.9:
            events.append(("b", 3 * kind + rng.standard_t(1.5)))
        rare = np.flatnonzero(rng.random(30) < 0.03)
        events += [(f"r{one}", rng.standard_t(1.5)) for one in np.repeat(rare, 3)]
        rows += [(f"s{number}", float(time), *event) for time, event in enumerate(events)]
    names = ("id", "time", "channel", "value")
    table = pa.table(dict(zip(names, zip(*rows, strict=True), strict=True)))
    kind = np.where(kinds, "high", "low")
    return table, pa.table({"id": [f"s{number}" for number in range(series)], "kind": kind})


def test_statistics_that_tell_a_label_are_read_beside_rare_channels():
    table, labels = rare_channels_table()
    tuned = caesura.finetune(tiny_run(table=table, steps=1), labels, data=table, head="linear")
    assert tuned.recipe.stages[0].objective.statistics == 32 * len(STATISTICS)
    unseen, truth = rare_channels_table(seed=1000)
    store = tuned.open(unseen)
    known = dict(zip(truth["id"].to_pylist(), truth["kind"].to_pylist(), strict=True))
    low = np.array([known[one] == "low" for one in store.ids.to_pylist()])
    assert auroc(low, predict(tuned, store)[:, 1]) > 0.84  # .806 with each input scaled twice


def test_no_step_is_kept_that_is_worse_than_the_linear_start(unequal):
    run, table, labels = unequal
    tuned = caesura.finetune(run, labels, data=table, steps=4, settings=("training.lr=0.3",))
    assert tuned.metrics["best_step"] == 0
    linear = caesura.finetune(run, labels, data=table, head="linear")
    assert linear.metrics["steps"] == 0
    store = run.open(table)
    np.testing.assert_allclose(predict(tuned, store), predict(linear, store), atol=1e-6)
    for name, tensor in run.parts["encoder"].state_dict().items():
        assert torch.equal(tensor, linear.parts["encoder"].state_dict()[name]), name
    rows = {row["method"]: row for row in comparison(linear.metrics)}
    assert rows.pop("this fine-tuning")["macro F1"] in {row["macro F1"] for row in rows.values()}


def test_a_linear_head_answers_as_the_linear_model_after_a_round_trip(unequal, tmp_path):
    run, table, labels = unequal
    linear = caesura.finetune(
        run,
        labels,
        tmp_path / "linear",
        data=table,
        head="linear",
        settings=(f"{OBJECTIVE}.statistics=1",),
    )
    again = caesura.load(tmp_path / "linear").predict(table)
    np.testing.assert_array_equal(again["p_rare"].to_numpy(), linear.predict(table)["p_rare"])
    assert linear.recipe.stages[0].objective.statistics == 2 * len(STATISTICS)
    figures = caesura.load(tmp_path / "linear").metrics
    best = figures["linear on statistics + embedding, macro F1"]
    assert figures["validation macro F1"] == pytest.approx(best)


@pytest.mark.parametrize("weights", ["off", "auto", "balanced"])
def test_probabilities_are_at_the_shares_of_the_labels(unequal, weights):
    run, table, labels = unequal
    tuned = caesura.finetune(
        run, labels, data=table, steps=20, settings=(*FAST, f"{OBJECTIVE}.class_weights={weights}")
    )
    found = predict(tuned, run.open(table))
    kinds = np.array(labels["kind"].to_pylist())
    share = [(kinds == name).mean() for name in tuned.schema.target.classes]
    np.testing.assert_allclose(found.mean(0), share, atol=0.04)
    assert bool(tuned.schema.target.weights) == (weights != "off")


def test_classes_are_weighed_where_one_of_them_is_predicted():
    target = Target(task="classification", names=("k",), classes=("a", "b"), weights=(0.5, 1.0))
    found = decided(target, np.array([[0.7, 0.3], [0.6, 0.4]]))
    assert found.tolist() == [0, 1]
    plain = target.model_copy(update={"weights": ()})
    assert decided(plain, np.array([[0.7, 0.3], [0.6, 0.4]])).tolist() == [0, 0]


def test_equal_classes_are_not_weighed():
    tuned = caesura.finetune(tiny_run(steps=1), label_table(), data=long_table(), head="linear")
    assert tuned.schema.target.weights == ()


def test_a_better_linear_model_is_said_with_its_command(unequal, caplog):
    run, table, _ = unequal
    store = run.open(table)
    many = np.where(store.lengths > np.median(store.lengths), "many", "few")
    labels = pa.table({"id": store.ids, "count": many})  # that a mean over places does not count
    with caplog.at_level("WARNING", logger="caesura"):
        tuned = caesura.finetune(
            run, labels, data=table, steps=1, settings=(f"{OBJECTIVE}.statistics=0", *FAST)
        )
    assert "better than this fine-tuning on the same 32 held-out series (AUROC" in caplog.text
    figures = dict(tuned.metrics) | {"linear on levels+max, AUROC": 1.1}
    assert better_linear(tuned, figures).endswith(
        "for it: caesura finetune RUN --labels FILE --out DIR --head linear "
        "--set stages.0.objective.pooling=levels+max --set stages.0.objective.statistics=0"
    )
    even = {name: value for name, value in figures.items() if "linear" not in name}
    assert better_linear(tuned, even) is None


def test_regressions_start_as_a_ridge(unequal):
    run, table, _ = unequal
    store = run.open(table)
    level = channel_statistics(store, run.schema)[:, 1]
    labels = pa.table({"id": store.ids, "level": 50 + 10 * level})
    tuned = caesura.finetune(run, labels, data=table, head="linear")
    assert tuned.metrics["validation R2"] > 0.9
    assert tuned.metrics["linear on statistics, R2"] > 0.9
    found = tuned.predict(table)["prediction"].to_numpy()
    assert np.corrcoef(found, level)[0, 1] > 0.95


def test_several_labels_start_as_logistic_models(unequal):
    run, table, _ = unequal
    level = channel_statistics(run.open(table), run.schema)[:, 1]
    labels = pa.table(
        {
            "id": run.open(table).ids,
            "high": (level > 0.3).astype(int),
            "low": (level < -0.3).astype(int),
        }
    )
    tuned = caesura.finetune(run, labels, data=table, target=("high", "low"), head="linear")
    assert tuned.metrics["validation AUROC"] > 0.9


def test_statistics_of_a_batch_are_those_of_the_table(unequal):
    run, table, _ = unequal
    store = run.open(table)
    wanted = channel_statistics(store, run.schema)
    (windows, batch), *_ = inference_batches(view_store(store, run.schema), 1024)
    found = input_statistics(batch.inputs, 2).numpy()
    np.testing.assert_allclose(found, wanted[windows.series], atol=1e-5)


def test_statistics_know_no_padding_and_no_order():
    tokens, padded = make_tokens((7, 4, 1)), make_tokens((7, 4, 1), extra=5)
    found = input_statistics(tokens, 3)
    torch.testing.assert_close(found, input_statistics(padded, 3), equal_nan=True)
    turned = tokens.select(torch.arange(7).flip(0).expand(3, 7), tokens.valid.flip(1))
    torch.testing.assert_close(found, input_statistics(turned, 3), equal_nan=True)


def test_classes_too_rare_for_inner_folds_still_train(unequal, caplog):
    run, table, _ = unequal
    kinds = ["a"] * 80 + ["b"] * 78 + ["c"] * 2
    labels = pa.table({"id": [f"s{n}" for n in range(160)], "kind": kinds})
    tuned = caesura.finetune(run, labels, data=table, head="linear")
    assert tuned.predict(table).column_names[2:] == ["p_a", "p_b", "p_c"]
    few = pa.table({"id": ["s0", "s1", "s2", "s3"], "kind": ["a", "b", "a", "b"]})
    with caplog.at_level("WARNING", logger="caesura"):
        caesura.finetune(run, few, data=table, steps=1)
    assert "no linear model to start from, the head is drawn anew: fewer than two" in caplog.text
    with pytest.raises(DataError, match="fewer than two classes have 3 series that train"):
        caesura.finetune(run, few, data=table, head="linear")
