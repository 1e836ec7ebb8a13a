"""Synthetic series in place of one's own: how many are enough, and what is said of it."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from caesura.cli.main import app
from caesura.errors import DataError, RecipeError
from caesura.metrics.bootstrap import Interval
from caesura.run import load
from caesura.study.dividend import flywheel as wheel
from caesura.study.dividend.flywheel import Flywheel, Fuel, flywheel, reading
from caesura.study.dividend.work import Study
from caesura.tasks.synthetic_scores import Measured
from caesura.workflow import pretrain

SMALL = (
    "encoder.width=16", "encoder.latent=8", "encoder.heads=2", "stages.1.objective.width=16",
    "stages.1.objective.heads=2", "stages.1.objective.depth=1", "training.threads=1",
    "stages.0.objective.quantiser.codes=16",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with series of two periods, their labels, and a generator of them."""
    folder = tmp_path_factory.mktemp("wheel")
    rng, count, time = np.random.default_rng(0), 60, 16
    kind = np.arange(count) % 2
    at = np.arange(time) / np.where(kind, 4, 8)[:, None] + rng.random((count, 1))
    values = 20 + np.sin(2 * np.pi * at) + 0.1 * rng.standard_normal((count, time))
    ids, steps = np.repeat(np.arange(count), time), np.tile(np.arange(float(time)), count)
    table = pa.table({"day": ids, "hour": steps, "load": values.ravel()})
    pq.write_table(table, folder / "days.parquet")
    pq.write_table(pa.table({"day": np.arange(count), "kind": kind}), folder / "kinds.parquet")
    columns = {"id": "day", "time": "hour", "value": ["load"]}
    pretrain(
        str(folder / "days.parquet"), "timemar", folder / "maker", columns=columns, steps=20,
        settings=["data.window=16", *SMALL],
    )  # fmt: skip
    return folder


def asked(place, *more):
    maker, kinds, out = (str(place / name) for name in ("maker", "kinds.parquet", "out"))
    words = ["study", "flywheel", maker, "--labels", kinds, "--out", out]
    words += ["--steps", "4", "--most", "2", "--seeds", "1"]
    return CliRunner().invoke(app, [*words, *more], catch_exceptions=False)


@pytest.mark.slow
def test_the_verb_tries_all_writes_all_and_goes_on_without_training_again(place, monkeypatch):
    first = asked(place)
    assert first.exit_code == 0, first.output
    lines = [json.loads(line) for line in (place / "out" / "results.jsonl").read_text().split("\n")
             if line]  # fmt: skip
    *tried, end = lines
    names = [line["pre-trained on"] for line in tried]
    assert names[:4] == ["no training", "no origin", "own series", "synthetic x 1"]
    assert names[-1] == f"own and {end['enough']}"
    assert end["copying ratio"] > 0
    assert not list((place / "out" / "work").iterdir())
    made = pq.read_table(place / "out" / "synthetic.parquet")
    assert made.column_names == ["day", "hour", "load"]
    assert len(set(made["day"].to_pylist())) == end["windows"]
    monkeypatch.setattr(Study, "pretrained", None)  # no cell is trained again
    again = asked(place, "--resume")
    assert again.exit_code == 0, again.output
    assert again.output.splitlines()[-1] == first.output.splitlines()[-1]


@pytest.mark.slow
def test_a_folder_of_another_study_is_refused(place):
    asked(place, "--resume")
    with pytest.raises(RecipeError, match="another study"):
        asked(place, "--resume", "--folds", "4")
    maker = load(place / "maker")
    with torch.no_grad():
        next(maker.parts["prior"].parameters()).add_(1.0)
    (place / "maker").rename(place / "first")
    maker.save(place / "maker")
    with pytest.raises(RecipeError, match="another study"):
        asked(place, "--resume")


@dataclass
class Cases:
    """A part whose skill is the share of right answers."""

    truth: np.ndarray

    @property
    def groups(self):
        return np.arange(len(self.truth))

    def skill(self, said, cases=None):
        cases = slice(None) if cases is None else cases
        return float((np.asarray(said)[cases] == self.truth[cases]).mean())


@pytest.mark.parametrize(("known", "enough"), [((60, 60, 60), 1), ((60, 90, 90), 2),
                                               ((60, 90, 120), 4), ((60, 50, 120), 1)])  # fmt: skip
def test_more_are_tried_until_they_gain_nothing(monkeypatch, known, enough):
    """known: cases of 120 that 1, 2 and 4 times the own windows answer rightly."""
    truth = np.zeros(120, int)

    def said(right):
        return [np.where(np.arange(120) < right, 0, 1)]

    class Mill:
        def __init__(self, *given):
            pass

        def own(self):
            return np.zeros((10, 1, 8)), np.zeros((0, 1, 8))

        def made(self, count, first):
            return np.zeros((count, 1, 8))

        def answers(self, name, store):
            times = name.removeprefix("synthetic x ")
            right = known[int(np.log2(int(times)))] if times.isdigit() else 40
            return said(right), said(right)

        without_origin = store = staticmethod(lambda windows: windows)

    monkeypatch.setattr(wheel, "_Mill", Mill)
    monkeypatch.setattr(wheel, "synthetic_table", lambda maker, windows: len(windows))
    study = SimpleNamespace(store=None, choice=Cases(truth), report=Cases(truth))
    found, made = flywheel(study, None, most=4)
    assert found.chosen == f"synthetic x {enough}"
    assert made == found.windows == 10 * enough
    assert found.of("synthetic x 1").dividend.value == pytest.approx((known[0] - 40) / 120)
    assert found.audit is None


def test_series_shorter_than_a_window_are_refused(monkeypatch):
    class Mill:
        def __init__(self, *given):
            pass

        def own(self):
            return np.zeros((0, 1, 8)), np.zeros((0, 1, 8))

    monkeypatch.setattr(wheel, "_Mill", Mill)
    maker = SimpleNamespace(schema=SimpleNamespace(sampling=SimpleNamespace(window=8)),
                            parts={"prior": 0})  # fmt: skip
    with pytest.raises(DataError, match="window of 8 steps"):
        flywheel(None, maker)
    with pytest.raises(RecipeError, match="--most 0"):
        flywheel(None, maker, most=0)


@pytest.mark.parametrize("change", [{"binned": True}, {"every": 2}])
def test_generators_of_other_series_are_refused(change):
    sampling = SimpleNamespace(**({"binned": False, "every": 1} | change))
    maker = SimpleNamespace(schema=SimpleNamespace(sampling=sampling), parts={"prior": 0})
    with pytest.raises(RecipeError, match="regular series"):
        reading(maker, "x.parquet")


def around(value, width=0.01):
    return Interval(value, value - width, value + width)


@pytest.mark.parametrize(("ours", "own", "said"), [
    (0.2, 0.2, "no worse than own series"), (0.1, 0.3, "short of own series"),
    (0.3, 0.1, "better than own series"), (0.0, 0.0, "nothing to stand in for"),
])  # fmt: skip
def test_the_sentence_says_what_was_found(ours, own, said):
    tried = [
        Fuel("own series", 9, around(0.5), around(own)),
        Fuel("synthetic x 1", 9, around(0.5), around(ours), around(ours - own)),
    ]
    assert said in Flywheel(tried, "synthetic x 1", None, 9).sentence()


@pytest.mark.parametrize(("ratio", "said"), [(0.5, "may be copies"), (0.97, "no copies")])
def test_copies_are_said(ratio, said):
    audit = Measured("copying ratio", np.array([ratio]), np.array([0.99]), 1.0)
    assert said in Flywheel([], "", audit, 9).warning()
