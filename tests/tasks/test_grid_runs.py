"""Runs on regular series: made from any table, used, streamed, distilled, adapted."""

import copy
import dataclasses
import itertools

import numpy as np
import pyarrow as pa
import pytest
import torch

import caesura
from builders import label_table, long_table, tiny_run
from caesura.data.labels import Labels
from caesura.data.schema import Target
from caesura.data.synthetic.pulses import PLANTED, PulseSettings, pulses
from caesura.errors import CheckpointError, DataError, RecipeError
from caesura.nn.lora import add_low_rank, merge_low_rank
from caesura.objectives.distil import Distil, DistilConfig
from caesura.objectives.supervised import Supervised, SupervisedConfig
from caesura.recipes import himae
from caesura.recipes.presets import NEW_HEAD
from caesura.tasks.distil import probe_gap
from caesura.tasks.embed import embed_windows
from caesura.tasks.probe import probe_label
from caesura.tasks.probe_sources import probe_sources
from caesura.tasks.recalibrate import recalibrate
from caesura.training.inference import evaluating
from caesura.types import Grid

SMALL = ("encoder.widths=[4,8,16]", "training.batch_tokens=4000", "training.patience=0")
RATE = ("data.rate=100",)


def signals(count=24, seconds=4.0, seed=0):
    return pulses(count, seed, PulseSettings(seconds=seconds, interval=0.6), subjects=6)


def grid_run(data, out=None, steps=4, settings=(), **options):
    return caesura.pretrain(data, "himae", out, steps=steps, settings=(*SMALL, *RATE, *settings),
                            **options)  # fmt: skip


def wide_table(found):
    count, length = found.signals.shape
    return pa.table({
        "window": np.repeat([f"w{i:02d}" for i in range(count)], length),
        "person": np.repeat([f"p{s}" for s in found.subjects], length),
        "time": np.tile(np.arange(length) / 100, count),
        "ppg": found.signals.ravel(),
    })  # fmt: skip


COLUMNS = {"id": "window", "group": "person", "value": ["ppg"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    import pyarrow.parquet as pq

    folder = tmp_path_factory.mktemp("grid")
    pq.write_table(wide_table(signals()), folder / "data.parquet")
    return grid_run(str(folder / "data.parquet"), folder / "run", columns=COLUMNS)


def labels_of(found, name="interval"):
    ids = [f"w{i:02d}" for i in range(len(found.signals))]
    return pa.table({"window": ids, "kind": found.labels[name]})


def test_wide_and_long_tables_and_arrays_make_the_same_run(run):
    found = signals()
    wide = wide_table(found)
    again = grid_run(wide, columns=COLUMNS)
    np.testing.assert_array_equal(run.embed(), again.embed(wide))
    long = wide.append_column("channel", pa.array(["ppg"] * wide.num_rows))
    other = grid_run(long, columns=COLUMNS | {"channel": "channel"})
    np.testing.assert_allclose(other.embed(long), again.embed(wide), atol=1e-5)
    array = grid_run(found.signals[:, None].astype(np.float64))
    assert array.embed(found.signals[:, None]).shape == (24, 28)


def test_a_run_of_a_grid_makes_a_round_trip_and_resumes(run, tmp_path):
    again = caesura.load(run.folder)
    np.testing.assert_array_equal(run.embed(), again.embed())
    assert again.schema.sampling.window == 400
    assert again.recipe.data.rate == 100.0
    with pytest.raises(CheckpointError, match="reads a regular grid and cannot be asked"):
        run.interpolate(None, "every:0.5")


def test_long_recordings_are_cut_and_their_vectors_averaged(run):
    found = signals(6)
    long = pa.table({"window": ["a"] * 2400, "time": np.arange(2400) / 100,
                     "ppg": found.signals.ravel()})  # fmt: skip
    mean = run.embed(wide_table(found)).mean(0)
    np.testing.assert_allclose(run.embed(long)[0], mean, atol=1e-4)


def test_windows_of_recordings_are_embedded_one_by_one(run):
    found = signals(6)
    long = pa.table({"window": ["a"] * 1100 + ["b"] * 850, "ppg": found.signals.ravel()[:1950],
                     "time": np.concatenate([np.arange(1100), np.arange(850)]) / 100})  # fmt: skip
    series, start, vectors = embed_windows(run, run.open(long))
    assert series.tolist() == [0, 0, 1, 1]
    assert start.tolist() == [0, 4, 0, 4]
    alone = run.embed(wide_table(found))
    np.testing.assert_allclose(vectors[:2], alone[:2], atol=1e-4)
    with pytest.raises(DataError, match="this model has no rate"):
        embed_windows(tiny_run(steps=1), tiny_run(steps=1).open(long_table()))


def test_irregular_and_rateless_data_are_errors_before_a_folder_is_made(tmp_path):
    found = signals(6)
    with pytest.raises(DataError, match="a grid needs a rate: pass --rate HZ; .* 100 Hz"):
        caesura.pretrain(wide_table(found), "himae", tmp_path / "run", columns=COLUMNS, steps=1)
    assert not (tmp_path / "run").exists()
    with pytest.raises(RecipeError, match="reads a grid whole cannot do; choose 'masked_grid'"):
        grid_run(wide_table(found), columns=COLUMNS, settings=(
            'stages=[{"objective": {"type": "masked_tokens"}}]',))  # fmt: skip


def test_a_window_that_nothing_can_train_on_leaves_the_folder_free(tmp_path):
    """Found once batches are made, when the folder was begun."""
    table = pa.table({"time": np.arange(900) / 100, "value": np.sin(np.arange(900) / 7)})
    flat = table.set_column(1, "value", pa.array(np.zeros(900)))
    with pytest.raises(DataError, match="windows can be learned from"):
        grid_run(flat, tmp_path / "out", settings=["data.window=0.5"])
    again = grid_run(table, tmp_path / "out", settings=["data.window=0.5"])
    assert again.folder == tmp_path / "out"


def test_a_window_that_is_too_long_for_a_recording_is_made_shorter(caplog):
    table = pa.table({"time": np.arange(900) / 100, "value": np.sin(np.arange(900) / 7)})
    made = grid_run(table, settings=["data.window=8.5"])
    assert made.schema.sampling.window == 300
    assert "a window of 850 steps is too long for these series" in caplog.text


def test_where_no_validating_series_holds_a_window_time_splits():
    """All but one are short, so that a role by series would have none."""
    rng = np.random.default_rng(0)
    series = [rng.standard_normal((1, length)) for length in (900, 40, 40, 40, 40, 40)]
    made = caesura.pretrain(
        series, "himae", steps=1, settings=["data.rate=1", "data.window=100", "training.threads=1"]
    )
    assert made.metrics["validation_loss"] > 0


def test_the_probe_names_hops_fields_twins_and_a_level(run):
    found = signals()
    result = run.probe(labels_of(found), folds=3)
    rows = result.tables["probe"]
    levels = ["level 1", "level 2", "level 3"]
    others = ["all levels", "levels+max", "channel statistics"]
    assert [row["features"] for row in rows[:6]] == levels + others
    assert [row["sees s"] for row in rows[:3]] == [0.13, 0.37, 0.85]
    assert rows[0]["random twin"].lower <= rows[0]["random twin"].value
    assert result.names["chosen level"] in {"level 1", "level 2", "level 3"}
    assert rows[-1]["features"].startswith("chosen level (level ")
    assert any("next best" in row["comparison"] for row in result.tables["differences"])


@pytest.mark.slow
def test_the_probe_finds_each_planted_label_at_its_own_scale():
    """Beat shape fine, beat interval in the middle, order of intervals coarse: and by nothing
    else, since plain statistics know none of them (data/synthetic/pulses.py)."""
    found = pulses(300, 0, PulseSettings(noise=0.08))
    data = found.signals[:, None].astype(np.float64)
    run = caesura.pretrain(data, "himae", steps=100,
                           settings=(*RATE, "training.batch_tokens=12000"))  # fmt: skip
    store = dataclasses.replace(run.open(data), groups=found.subjects)
    sources = probe_sources(run, store)
    levels = {k: dataclasses.replace(v, twin=None) for k, v in sources.levels.items()}
    sources = dataclasses.replace(sources, levels=levels)
    wanted = {"notch": {"level 1", "level 2", "level 3"}, "interval": {"level 4"},
              "rhythm": {"level 5"}}  # fmt: skip
    assert tuple(wanted) == PLANTED
    for name, expected in wanted.items():
        target = Target(task="classification", names=(name,), classes=("0", "1"))
        known = Labels(np.arange(300), found.labels[name], target)
        result = probe_label(sources, known, store.group_codes, num_folds=2)
        assert result.names["chosen level"] in expected, name
        assert result.metrics["chosen level"] > 0.8, name
        assert result.metrics["channel statistics"] < 0.65, name


def test_finetuning_predicts_and_frozen_means_frozen(run, tmp_path):
    found = signals()
    tuned = caesura.finetune(run, labels_of(found), tmp_path / "tuned", steps=3)
    table = caesura.load(tmp_path / "tuned").predict(wide_table(found))
    assert table.column_names == ["window", "prediction", "p_0", "p_1"]
    assert tuned.parts["head"].linear.in_features == 28
    frozen = caesura.finetune(run, labels_of(found), freeze=True, steps=3)
    for name, tensor in run.parts["encoder"].state_dict().items():
        assert torch.equal(tensor, frozen.parts["encoder"].state_dict()[name]), name


def test_settings_that_nothing_would_read_are_refused(run):
    with pytest.raises(RecipeError, match=r"data\.band is for recipes of regular series"):
        tiny_run(steps=1, settings=("data.band=[1,2]",))
    with pytest.raises(RecipeError, match="lora_rank changes the encoder; set one"):
        caesura.finetune(run, labels_of(signals()), freeze=True, steps=1,
                         settings=("stages.0.objective.lora_rank=2",))  # fmt: skip


def test_batch_statistics_keep_batches_whole_unless_frozen(run):
    encoder = run.parts["encoder"]
    balance = torch.ones(2)
    assert Supervised(encoder, SupervisedConfig(), balance).needs_random_batches
    assert Distil(encoder, DistilConfig()).needs_random_batches
    frozen = SupervisedConfig(freeze=True)
    assert not Supervised(copy.deepcopy(encoder), frozen, balance).needs_random_batches
    assert not himae.objective(himae.encoder(norm="group")).needs_random_batches


def test_recalibration_makes_batch_statistics_those_of_whole_windows(run):
    found = signals()
    tuned = grid_run(wide_table(found), columns=COLUMNS, settings=("training.recalibrate=6",))
    plain = grid_run(wide_table(found), columns=COLUMNS)
    mean = "blocks.0.first_norm.running_mean"
    weight = "blocks.0.first.weight"
    ours, theirs = (r.parts["encoder"].state_dict() for r in (tuned, plain))
    assert torch.equal(ours[weight], theirs[weight])
    assert not torch.allclose(ours[mean], theirs[mean])

    class Same:
        def training(self, step, rank, world_size):
            from caesura.types import Batch

            x = torch.from_numpy(found.signals)[:, None]
            return [Batch(Grid(x, torch.ones_like(x, dtype=torch.bool)), torch.arange(len(x)))]

    encoder = plain.parts["encoder"]
    before = encoder.training
    assert recalibrate(encoder, Same(), 3) == 9
    assert encoder.training == before
    caught = []
    hook = encoder.blocks[0].first.register_forward_hook(lambda m, a, out: caught.append(out))
    with torch.no_grad():
        encoder(Same().training(0, 0, 1)[0].inputs)
    hook.remove()
    torch.testing.assert_close(encoder.state_dict()[mean], caught[0].mean((0, 2, 3)),
                               atol=1e-5, rtol=1e-4)  # fmt: skip


@pytest.mark.parametrize("absent", ["zero", "learned", "flag"])
@pytest.mark.parametrize("statistics", ["running", "fixed"])
def test_a_stream_in_chunks_is_the_whole_signal(absent, statistics):
    found = signals()
    settings = (f"encoder.statistics={statistics}", f"encoder.absent={absent}")
    run = grid_run(wide_table(found), columns=COLUMNS, settings=settings)
    signal = torch.from_numpy(found.signals[:2].ravel())[None]
    signal[0, 100:130] = torch.nan
    seen = ~signal.isnan()
    given = torch.from_numpy(run.schema.sampling.units.model(signal.numpy())).float()
    with evaluating(run.parts["encoder"]):
        whole = run.parts["encoder"](Grid(given.nan_to_num()[None], seen[None])).levels
    stream, got = run.stream(), [[], [], []]
    assert stream.delay_s == (0.06, 0.18, 0.42)
    cuts = [0, 1, 3, 60, 61, 300, 507, 800]
    for first, last in itertools.pairwise(cuts):
        for level, new in zip(got, stream.push(signal[:, first:last]), strict=True):
            level.append(new)
    for level, new in zip(got, stream.finish(), strict=True):
        level.append(new)
    for ours, theirs in zip(got, whole, strict=True):
        torch.testing.assert_close(torch.cat(ours), theirs.features[0], atol=1e-5, rtol=1e-4)


def test_a_stream_takes_what_arrays_are_made_of():
    found = signals()
    run = grid_run(wide_table(found), columns=COLUMNS, settings=("encoder.statistics=fixed",))
    chunk = np.asarray(found.signals[:1], dtype=np.float64)
    hidden = chunk.copy()
    hidden[0, 10:20] = np.nan
    masked = np.ma.masked_array(np.where(np.isnan(hidden), -9999.0, hidden), np.isnan(hidden))
    right = run.stream().push(torch.from_numpy(chunk).float())
    gap = run.stream().push(torch.from_numpy(hidden).float())
    whole = np.round(chunk)
    for given, wanted in (
        (chunk, right),
        (chunk.astype(np.float32), right),
        (chunk.tolist(), right),
        (torch.from_numpy(chunk), right),
        (whole.astype(int), run.stream().push(whole)),
        (masked, gap),
    ):
        for ours, theirs in zip(run.stream().push(given), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    for bad in (["a"], {"x": 1}, "text", [[1.0], [2.0, 3.0]], None):
        with pytest.raises(DataError, match="a chunk of"):
            run.stream().push(bad)


def test_a_stream_says_what_it_cannot_do(run):
    with pytest.raises(RecipeError, match=r"encoder\.statistics=running, or fixed"):
        run.stream()
    with pytest.raises(RecipeError, match="only runs with levels"):
        tiny_run(steps=1).stream()
    found = grid_run(wide_table(signals()), columns=COLUMNS, settings=("encoder.statistics=fixed",))
    with pytest.raises(DataError, match=r"a chunk of shape \(2, 5\); give \(1, samples\)"):
        found.stream().push(torch.zeros(2, 5))


def test_distilling_learns_from_its_teacher_and_saves(run, tmp_path):
    small = ("encoder.widths=[4,8]", "stages.0.decoder.widths=[4,8]", "training.patience=0")
    student = caesura.distil(run, "himae-small", tmp_path / "small", steps=60, settings=small)
    again = caesura.load(tmp_path / "small")
    assert set(again.parts) == {"encoder"}
    assert again.metrics["unexplained share of the teacher"] < 0.9
    np.testing.assert_array_equal(student.embed(run.recipe.data.path), again.embed())
    found = signals()
    store = run.open()
    labels = run.read_labels(labels_of(found), store)
    rows = probe_gap(run, again, store, labels, 3)
    names = [row["probe of"] for row in rows]
    assert names[:3] == ["teacher", "student", "never trained"]
    assert names[3:] == ["student - teacher", "student - never trained"]


def test_a_distilling_that_was_cut_short_resumes_to_the_same_student(run, tmp_path):
    small = ("encoder.widths=[4,8]", "stages.0.decoder.widths=[4,8]", "training.patience=0",
             "training.evaluate_every=4")  # fmt: skip
    whole = caesura.distil(run, out=tmp_path / "whole", steps=12, settings=small)

    def fail(progress):
        if progress.step == 9:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        caesura.distil(run, out=tmp_path / "cut", steps=12, settings=small, on_progress=fail)
    again = caesura.distil(run, out=tmp_path / "cut", resume=True)
    for name, tensor in whole.parts["encoder"].state_dict().items():
        assert torch.equal(tensor, again.parts["encoder"].state_dict()[name]), name
    assert again.metrics["steps"] == 12


def test_a_transformer_may_teach_a_pyramid():
    found = signals(12)
    table = wide_table(found)
    teacher = caesura.pretrain(
        table, "romae", steps=2, columns=COLUMNS,
        settings=("encoder.width=16", "encoder.heads=2", "encoder.depth=1",
                  "stages.0.decoder.width=16", "stages.0.decoder.heads=2"),
    )  # fmt: skip
    student = caesura.distil(teacher, "himae-small", data=table, steps=3,
                             settings=("data.rate=100", "encoder.widths=[4,8]"))  # fmt: skip
    assert student.embed(table).shape == (12, 12)


def test_low_rank_fine_tuning_changes_little_and_saves_a_plain_model(run_folder, tmp_path):
    base = caesura.load(run_folder)
    tuned = caesura.finetune(
        base,
        label_table(),
        tmp_path / "tuned",
        steps=4,
        settings=(*NEW_HEAD, "stages.0.objective.lora_rank=2"),
    )
    again = caesura.load(tmp_path / "tuned")
    old, new = base.parts["encoder"].state_dict(), again.parts["encoder"].state_dict()
    assert old.keys() == new.keys()
    moved = {k for k in old if not torch.equal(old[k], new[k])}
    assert moved
    assert all(k.endswith("weight") for k in moved)
    for name in moved:
        change = torch.linalg.matrix_rank((new[name] - old[name]).double(), rtol=1e-4)
        assert int(change) <= 2, name
    assert np.isfinite(tuned.embed()).all()


def test_low_rank_changes_start_at_nothing_and_merge_to_what_they_are(run):
    layer = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3))
    x = torch.randn(4, 6)
    before = layer(x)
    assert add_low_rank(layer, 2, 4.0) == 2
    torch.testing.assert_close(layer(x), before)
    trained = [p for p in layer.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == 2 * (6 + 5) + 2 * (5 + 3)
    for parameter in trained:
        parameter.data.normal_()
    changed = layer(x)
    merge_low_rank(layer)
    torch.testing.assert_close(layer(x), changed, atol=1e-5, rtol=1e-4)
    assert set(layer.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    with pytest.raises(RecipeError, match="lora_rank is for encoders with linear layers"):
        caesura.finetune(run, labels_of(signals()), steps=1,
                         settings=("stages.0.objective.lora_rank=2",))  # fmt: skip
