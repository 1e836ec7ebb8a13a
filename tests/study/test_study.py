"""The dividend study: cells that resume, a report that the choice has no say in, bad inputs."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caesura.errors import CaesuraError, DataError, RecipeError
from caesura.study.dividend.answers import advice, answer
from caesura.study.dividend.begin import (
    MIN_STEPS,
    MIN_TUNING_STEPS,
    Question,
    begin,
    data_config,
)
from caesura.study.dividend.labelled import LabelledPart
from caesura.study.dividend.plan import Cell, DividendPlan
from caesura.study.dividend.report import write_study
from caesura.study.dividend.work import Study

TINY = {
    "objectives": ("masked_tokens", "lejepa"), "views": ("none",), "encoders": ("16x1",),
    "seeds": 2, "folds": 2, "steps": 4, "tuning_steps": 3, "rates": (1e-3,),
    "tuning_rates": (1e-3,), "batch_tokens": 64,
}  # fmt: skip


def files(folder, count=40, length=48):
    rng = np.random.default_rng(0)
    t = np.arange(length)
    kinds = np.arange(count) % 2
    rows = [np.sin(t / (2 + 0.3 * k)) + 2.0 * rng.standard_normal(length) for k in kinds]
    ids = [f"s{i}" for i in range(count)]
    data, labels = folder / "data.parquet", folder / "labels.parquet"
    table = {"id": np.repeat(ids, length), "time": np.tile(t, count), "value": np.concatenate(rows)}
    pq.write_table(pa.table(table), data)
    pq.write_table(pa.table({"id": ids, "kind": kinds}), labels)
    return str(data), str(labels)


def question(folder, rate=1.0, **changes):
    data, labels = files(folder)
    own = {"labels": labels, **changes}
    return Question(data, data_config(data, {}, rate), **own)


def made(folder, out="study", rate=1.0, **settings):
    study = begin(question(folder, rate), folder / out, TINY | settings)
    study.open(resume=False)
    return study


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    study = made(tmp_path_factory.mktemp("study"))
    study.run()
    return study


def test_a_study_ends_with_both_dividends_and_a_page(finished):
    found = answer(finished)
    assert len(found.arms) == 2
    for arm in found.arms:
        gap = arm.tuned.value - arm.scratch.value
        assert arm.tuned_dividend.value == pytest.approx(gap)
        assert arm.frozen_dividend.value == pytest.approx(arm.frozen.value - arm.twin.value)
        assert arm.tuned_dividend.lower <= arm.tuned_dividend.value <= arm.tuned_dividend.upper
    assert set(found.baselines) == {"channel statistics", "raw samples"}
    skills = {finished.result(c)["frozen skill"] for c in finished.plan.cells() if c.kind == "arm"}
    assert sum(found.shares.values()) == pytest.approx(float(len(skills) > 1))
    page = write_study(finished, found).read_text()
    assert found.sentence().split("(")[0] in page
    assert "from scratch" in page
    assert 'src="http' not in page
    assert 'href="http' not in page
    rows = [
        json.loads(line) for line in (finished.folder / "results.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 2
    assert advice(found, finished)


def test_all_arms_read_the_same_tokens(finished):
    """Views and teachers count: steps x tokens of a series agree to a step."""
    arms = [finished.result(c) for c in finished.plan.cells() if c.kind == "arm"]
    read = {a["objective"]: a["steps"] * a["tokens a row"] for a in arms}
    assert read["masked_tokens"] == pytest.approx(read["lejepa"], rel=0.3)
    steps = {a["objective"]: a["steps"] for a in arms}
    assert steps["masked_tokens"] > steps["lejepa"]  # half of the tokens a step


def test_the_part_that_chooses_and_the_report_share_no_series(finished):
    choice = set(finished.choice.store.ids.to_pylist())
    report = set(finished.report.store.ids.to_pylist())
    assert not choice & report
    assert len(choice | report) == 40
    found = answer(finished)
    cells = [Cell("arm", a.encoder, a.objective, a.view) for a in found.arms]
    skills = [finished.result(finished.best("tuning rate", c))["skill"] for c in cells]
    assert found.chosen == found.arms[int(np.argmax(skills))]


def test_a_killed_study_goes_on_and_finds_the_same(finished, tmp_path):
    part = {"objectives": ("lejepa",), "views": ("none",), "seeds": 1}
    study = made(tmp_path, **part)
    cells = list(study.plan.cells())
    for cell in cells[:3]:
        study._run_locked(cell)
    again = begin(question(tmp_path), tmp_path / "study", TINY | part)
    again.open(resume=True)
    assert len(again.pending()) == len(cells) - 3
    again.run()
    for cell in (c for c in cells if c.kind != "scratch" and c.kind != "scratch rate"):
        one, two = (dict(s.result(cell)) for s in (finished, again))
        kept = [{k: v for k, v in r.items() if "seconds" not in k} for r in (one, two)]
        assert json.dumps(kept[0]) == json.dumps(kept[1])  # NaN is written alike


def test_a_folder_holds_one_study(finished, tmp_path):
    folder = finished.folder
    with pytest.raises(RecipeError, match="pass --resume to go on"):
        finished.open(resume=False)
    other = begin(question(folder.parent), tmp_path / "x", TINY | {"seeds": 3})
    other.folder = folder
    with pytest.raises(RecipeError, match="another study .it differs in seeds"):
        other.open(resume=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    foreign = begin(question(folder.parent), tmp_path / "full", TINY)
    with pytest.raises(RecipeError, match="not empty .* was not written by caesura"):
        foreign.open(resume=False)


def test_a_cell_is_named_by_all_that_rules_it(tmp_path):
    plan = made(tmp_path).plan
    names = {cell.name(plan) for cell in plan.cells()}
    assert len(names) == len(list(plan.cells()))
    cell = Cell("arm", "16x1", "lejepa", "none", 1)
    for change in ({"steps": 9}, {"series": "x"}, {"folds": 3}, {"rates": (2e-3,)}):
        assert cell.name(plan.model_copy(update=change)) != cell.name(plan)
    assert cell.name(plan.model_copy(update={"seeds": 9})) == cell.name(plan)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": ("byol",)}, "unknown objective 'byol'; known: mae"),
        ({"views": ("blur",)}, "unknown augmentation 'blur'; known: none, jitter"),
        ({"encoders": ("big",)}, "'big' is not WIDTHxDEPTH"),
        ({"folds": 15}, "fold"),
    ],
)
def test_bad_settings_are_errors_before_anything_is_trained(tmp_path, settings, message):
    with pytest.raises(CaesuraError, match=message):
        made(tmp_path, **settings)
    assert not (tmp_path / "study").exists()


def test_wavelets_on_irregular_series_are_refused_with_the_reason(tmp_path):
    with pytest.raises(RecipeError, match="needs regular sampling"):
        made(tmp_path, rate=0.0, views=("dwt",))


def test_labels_that_match_nothing_and_features_of_others_are_errors(tmp_path):
    own = question(tmp_path)
    wrong = tmp_path / "wrong.parquet"
    pq.write_table(pa.table({"id": ["x", "y"], "kind": [0, 1]}), wrong)
    with pytest.raises(DataError):
        begin(Question(own.data, own.config, str(wrong)), tmp_path / "s", TINY)
    pq.write_table(pa.table({"id": ["x", "y"], "f": [0.0, 1.0]}), wrong)
    with pytest.raises(DataError, match="features of none of the labelled series"):
        begin(Question(own.data, own.config, own.labels, features=str(wrong)), tmp_path / "s", TINY)


def test_irregular_series_and_given_features_run_too(tmp_path):
    own = question(tmp_path, rate=0.0)
    given = tmp_path / "given.parquet"
    ids = [f"s{i}" for i in range(40)]
    pq.write_table(pa.table({"id": ids, "f": np.arange(40) % 2 + 0.0}), given)
    asked = Question(own.data, own.config, own.labels, features=str(given))
    small = {"objectives": ("next_patch", "jepa"), "views": ("drop",), "seeds": 1, "steps": 2}
    study = begin(asked, tmp_path / "study", TINY | small)
    study.open(resume=False)
    pq.write_table(pa.table({"id": ids, "f": np.zeros(40)}), given)
    with pytest.raises(RecipeError, match="differs in series"):
        begin(asked, tmp_path / "study", TINY | small).open(resume=True)
    study.run()
    found = answer(study)
    assert found.baselines["features given"].value > 0.9
    assert len({cell.objective for cell in study.plan.cells() if cell.kind == "scratch"}) == 2


def costs(monkeypatch, step=0.05):
    """Let a step take this many seconds, and probes none."""
    monkeypatch.setattr(Study, "seconds_a_step", lambda *a: step)
    monkeypatch.setattr("caesura.study.dividend.begin._tuning_seconds", lambda *a: step * a[2])
    monkeypatch.setattr(LabelledPart, "probed", lambda *a: None)


def test_a_short_time_has_fewer_arms_and_not_shorter_trainings(tmp_path, monkeypatch, caplog):
    costs(monkeypatch)
    views = {"views": ("none", "jitter"), "encoders": ("64x3",)}
    study = begin(question(tmp_path), tmp_path / "a", TINY | views, minutes=1.7)
    plan = study.plan
    assert plan.steps >= MIN_STEPS
    assert (plan.views, plan.objectives) == (("none",), ("masked_tokens", "lejepa"))
    assert "fewer (views: none)" in caplog.text
    study.open(resume=False)
    again = begin(question(tmp_path), tmp_path / "a", TINY | views, minutes=1.7)
    again.open(resume=True)
    assert again.plan == plan
    with pytest.raises(RecipeError, match="another study"):
        begin(question(tmp_path), tmp_path / "a", TINY, minutes=1.7).open(resume=True)


def test_a_time_for_no_arm_says_what_would_do(tmp_path, monkeypatch, caplog):
    costs(monkeypatch, step=1.0)
    plan = begin(question(tmp_path), tmp_path / "a", TINY, minutes=0.5).plan
    assert (plan.steps, plan.tuning_steps) == (MIN_STEPS, MIN_TUNING_STEPS)
    assert (plan.objectives, plan.seeds) == (("masked_tokens",), 1)
    assert re.search(r"too short for one arm .* give --minutes [3-9]", caplog.text)


def channels(folder, count=12, length=32, irregular=False):
    """A long table of two channels."""
    rng = np.random.default_rng(0)
    times = np.arange(length, dtype=float)
    if irregular:
        times = np.sort(rng.uniform(0, length, length))
    path = folder / "long.parquet"
    table = {
        "id": np.repeat(np.arange(count), 2 * length),
        "channel": np.tile(np.repeat(["a", "b"], length), count),
        "time": np.tile(times, 2 * count),
        "value": rng.normal(size=2 * count * length),
    }
    pq.write_table(pa.table(table), path)
    labels = folder / "kinds.parquet"
    pq.write_table(pa.table({"id": np.arange(count), "kind": np.arange(count) % 2}), labels)
    config = data_config(str(path), {"channel": "channel"})
    return Question(str(path), config, labels=str(labels))


def test_a_long_table_of_regular_series_is_read_in_patches(tmp_path, caplog):
    with caplog.at_level("INFO", logger="caesura"):
        study = begin(channels(tmp_path), tmp_path / "a", TINY)
    assert (study.plan.data.rate, study.plan.patch) == (1.0, 4)
    assert "a token is a patch of all 2 channels" in caplog.text
    one = study.training(next(study.plan.cells_of("rate")), 1.0)
    assert one.tokens <= 8
    study.open(resume=False)
    begin(channels(tmp_path), tmp_path / "a", TINY).open(resume=True)


def test_irregular_series_and_those_of_one_channel_keep_a_token_a_value(tmp_path):
    study = begin(channels(tmp_path, irregular=True), tmp_path / "a", TINY)
    assert (study.plan.data.rate, study.plan.patch) == (0.0, 0)
    assert begin(question(tmp_path, rate=0.0), tmp_path / "b", TINY).plan.patch == 0


def test_a_folder_of_before_keeps_its_layout(tmp_path):
    study = begin(channels(tmp_path, irregular=True), tmp_path / "a", TINY)
    study.open(resume=False)
    plan = json.loads((tmp_path / "a" / "plan.json").read_text())
    assert "asked" not in plan  # as older folders have it
    regular = begin(channels(tmp_path), tmp_path / "a", TINY)
    assert (regular.plan.data.rate, regular.plan.patch) == (0.0, 0)


def test_a_plan_fits_into_its_time(tmp_path, monkeypatch):
    measured = begin(question(tmp_path), tmp_path / "a", TINY, minutes=0.5).plan
    assert MIN_TUNING_STEPS <= measured.tuning_steps <= 200
    assert measured.steps >= MIN_STEPS
    # what was measured depends on who else computes; from here on it is a twentieth of a second
    costs(monkeypatch)
    short, middle, long = (
        begin(question(tmp_path), tmp_path / name, TINY, minutes=minutes).plan
        for name, minutes in (("b", 1.6), ("c", 4.7), ("d", 47))
    )
    assert not any(plan.asked for plan in (short, middle, long))
    assert MIN_TUNING_STEPS < short.tuning_steps < middle.tuning_steps < long.tuning_steps == 200
    assert 2 * short.steps < middle.steps < long.steps / 2


def test_a_plan_names_who_is_trained_from_scratch():
    plan = DividendPlan.model_validate(
        {"data": {}, "objectives": ("lejepa", "next_patch", "jepa"), "encoders": ("8x1",)}
    )
    assert plan.starts() == [("8x1", "lejepa"), ("8x1", "next_patch")]
    assert plan.start_of(Cell("arm", "8x1", "jepa", "none", 3)).objective == "lejepa"


def regular(folder, count=4, length=600, odd=()):
    rng = np.random.default_rng(3)
    t = np.arange(length)
    rows = np.stack(
        [np.sin(2 * np.pi * t / 12 + k) + 0.2 * rng.standard_normal(length) for k in range(count)]
    )
    marks = np.zeros(rows.shape, int)
    for k, at in odd:
        rows[k, at : at + 12] *= -2
        marks[k, at : at + 12] = 1
    ids = np.repeat([f"s{i}" for i in range(count)], length)
    path = folder / "regular.parquet"
    table = {"id": ids, "time": np.tile(t, count), "value": rows.ravel(), "odd": marks.ravel()}
    pq.write_table(pa.table(table), path)
    return str(path)


def asked(path, window=0.0, **task):
    return Question(path, data_config(path, {"value": ["value"]}, 1.0, window), **task)


SHORT = TINY | {"objectives": ("lejepa",), "seeds": 1, "steps": 3}


def test_a_forecast_is_studied_in_order_of_time(tmp_path):
    path = regular(tmp_path)
    study = begin(asked(path, horizon=6, season=12), tmp_path / "study", SHORT)
    study.open(resume=False)
    assert study.store.times.max() == 0.6 * 600 - 1  # pre-training reads no more
    first, last = study.choice.examples, study.report.examples
    chosen = first.begin[first.role == 2]
    assert 480 > chosen.max() + 6 - 1 >= chosen.min() >= 360
    assert last.begin[last.role == 2].min() >= 480
    study.run()
    found = answer(study)
    assert found.baselines["seasonal naive"].value == 0
    assert found.baselines["DLinear"].value > 0.1
    assert found.arms[0].frozen.value > 0.1
    assert "windows in" in found.certainty()
    assert "order of time" in write_study(study, found).read_text()


def test_series_too_short_for_a_forecast_are_left_out_and_said(tmp_path, caplog):
    path = regular(tmp_path, 3)
    table = pq.read_table(path)
    short = table["id"].to_numpy(zero_copy_only=False) == "s1"
    kept = ~short | (table["time"].to_numpy() < 1)
    pq.write_table(table.filter(pa.array(kept)), path)
    study = begin(asked(path, horizon=6, season=12), tmp_path / "study", SHORT)
    assert study.store.ids.to_pylist() == ["s0", "s2"]
    assert "1 of 3 series are shorter than a window" in caplog.text


def test_no_scored_future_reaches_a_forecasting_part(tmp_path):
    path = regular(tmp_path, 2)
    table = pq.read_table(path).to_pydict()
    late = np.array(table["time"]) >= 480
    table["value"] = np.where(late, 99.0, table["value"])
    pq.write_table(pa.table(table), tmp_path / "other.parquet")
    said = []
    for one in (path, str(tmp_path / "other.parquet")):
        study = begin(asked(one, horizon=6, season=12), tmp_path / "study", SHORT)
        run = study.untrained(next(study.plan.cells_of("rate")))
        said.append(
            study.choice.tuned(run, 1e-3, 2, 0).tolist() + study.choice.probed(run, 0).tolist()
        )
        assert study.store.values.max() < 99
    assert said[0] == said[1]


def test_anomalies_are_studied_series_by_series(tmp_path):
    path = regular(tmp_path, odd=((0, 500), (1, 400), (2, 450), (3, 20)))
    study = begin(asked(path, 24.0, truth="odd"), tmp_path / "study", SHORT)
    study.open(resume=False)
    assert study.store.times.max() < 240
    assert len(study.store) == 3  # the fourth is odd where it should be normal
    assert len(study.choice.marks) + len(study.report.marks) == 3
    study.run()
    found = answer(study)
    assert found.baselines["uniform noise"].value == pytest.approx(0, abs=0.02)
    assert found.arms[0].frozen.value > 0.1
    assert "nearest normal" in write_study(study, found).read_text()
    with pytest.raises(RecipeError, match="differs in normal"):
        begin(asked(path, 24.0, truth="odd", normal=0.3), tmp_path / "study", SHORT).open(
            resume=True
        )


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({}, "a study has one task, got 0"),
        ({"horizon": 4, "truth": "odd"}, "one task, got 2"),
        ({"horizon": 4, "features": "x.parquet"}, "--features are of labelled series"),
        ({"horizon": 400}, "a horizon of 400 steps is too long.*at most 254"),
        ({"horizon": -2}, "a horizon of -2 steps"),
        ({"truth": "odd", "normal": 1.5}, "--normal 1.5 is no share"),
        ({"truth": "nothing"}, "column 'nothing' not in table"),
        ({"truth": "odd"}, "marks no time stamp"),
    ],
)
def test_tasks_that_cannot_be_studied_say_why(tmp_path, task, message):
    path = regular(tmp_path)
    with pytest.raises(CaesuraError, match=message):
        begin(asked(path, **task), tmp_path / "study", SHORT)
    with pytest.raises(DataError, match="pass --rate"):
        begin(Question(path, data_config(path, {"value": ["value"]}), horizon=4), tmp_path, SHORT)


def test_one_series_with_anomalies_is_too_few(tmp_path):
    path = regular(tmp_path, odd=((0, 500),))
    with pytest.raises(DataError, match="1 series with anomalies.*needs two at least"):
        begin(asked(path, truth="odd"), tmp_path / "study", SHORT)
