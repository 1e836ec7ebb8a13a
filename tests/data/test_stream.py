"""A corpus in row groups: every series once, whole; any step by its number; roles by group."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import caesura
from builders import TINY
from caesura.data import cache
from caesura.data.config import Columns, DataConfig
from caesura.data.door import open_data
from caesura.data.schema import fit_schema
from caesura.data.stream import TRAIN, VALIDATION, Corpus, should_stream
from caesura.errors import DataError
from caesura.training.config import TrainingConfig
from caesura.training.stream import StreamBatches

COLUMNS = Columns(channel="channel")
CONFIG = DataConfig(columns=COLUMNS, tokens="observation", stream="on")


def corpus_table(series=120, seed=0, ids="text"):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, series)
    number = np.repeat(np.arange(series), lengths)
    rows = len(number)
    return pa.table(
        {
            "id": number if ids == "whole" else [f"s{n}" for n in number],
            "time": rng.permutation(rows).astype(float),  # in order by series, not by time
            "channel": np.array(["u", "v", "w"])[rng.integers(0, 3, rows)],
            "value": rng.normal(size=rows) + number % 7,
            "field": number // 10,
        }
    )


@pytest.fixture(params=["text", "whole"])
def folder(request, tmp_path):
    """Three files whose row groups cut through series; one row group is within a series."""
    table = corpus_table(ids=request.param)
    for part, (first, last) in enumerate([(0, 1000), (1000, 2200), (2200, table.num_rows)]):
        pq.write_table(table.slice(first, last - first), tmp_path / f"{part}.parquet",
                       row_group_size=[97, 17, 260][part])  # fmt: skip
    return tmp_path


def test_every_series_is_whole_and_there_once(folder):
    corpus = Corpus(folder, CONFIG, seed=0)
    store, numbers = corpus.load(range(len(corpus.groups)))
    whole, _ = open_data(str(folder), replace_stream(CONFIG))
    assert numbers.tolist() == list(range(120))
    assert store.ids.to_pylist() == whole.ids.to_pylist()
    for name in ("values", "clock", "offsets", "origins", "channel"):
        np.testing.assert_array_equal(getattr(store, name), getattr(whole, name), name)
    np.testing.assert_array_equal(corpus.index.lengths, whole.lengths)


def replace_stream(config):
    return config.model_copy(update={"stream": "off"})


def batches_of(folder, **settings):
    corpus = Corpus(folder, CONFIG, seed=0)
    schema = fit_schema(corpus.sample, corpus.split.train, CONFIG)
    config = TrainingConfig(steps=1, batch_tokens=300, max_tokens=64)
    return corpus, StreamBatches(corpus, schema, config, 0, buffer_rows=700, **settings)


@pytest.mark.parametrize("order", ["buckets", "random", "whole"])
def test_an_epoch_visits_each_training_series_once(folder, order):
    corpus, source = batches_of(folder, order=order)
    steps = source.steps_per_epoch(1)
    for epoch in (0, 1):
        seen = Counter()
        for step in range(epoch * steps, (epoch + 1) * steps):
            for batch in source.training(step, 0, 1):
                seen.update(batch.index.tolist())
        wanted = set(np.flatnonzero(corpus.index.roles == TRAIN).tolist())
        assert max(seen.values()) == 1 or epoch
        assert len(wanted - set(seen)) <= (0 if epoch == 0 else 0.2 * len(wanted))
        assert set(seen) <= wanted


def test_any_step_is_found_by_its_number_alone(folder):
    _, source = batches_of(folder)
    forward = [source.training(step, 0, 1)[0] for step in range(30)]
    for step in (29, 3, 17):
        _, fresh = batches_of(folder)
        again = fresh.training(step, 0, 1)[0]
        assert torch.equal(again.index, forward[step].index)
        assert torch.equal(again.inputs.values, forward[step].inputs.values)
        assert torch.equal(again.inputs.positions, forward[step].inputs.positions)


def test_ranks_share_the_series_out(folder):
    corpus, source = batches_of(folder)
    seen = [Counter(), Counter()]
    for step in range(source.steps_per_epoch(2)):
        for rank in (0, 1):
            seen[rank].update(source.training(step, rank, 2)[0].index.tolist())
    assert not set(seen[0]) & set(seen[1])
    assert set(seen[0]) | set(seen[1]) == set(np.flatnonzero(corpus.index.roles == TRAIN).tolist())


def test_roles_follow_the_seed_and_groups_stay_together(folder):
    columns = COLUMNS.model_copy(update={"group": "field"})
    config = CONFIG.model_copy(update={"columns": columns, "validation": 0.3})
    roles = Corpus(folder, config, seed=1).index.roles
    assert all(len(set(roles[first : first + 10])) == 1 for first in range(0, 120, 10))
    assert {TRAIN, VALIDATION} <= set(roles.tolist())
    one, two = (Corpus(folder, CONFIG, seed=s).index.roles for s in (0, 0))
    assert (one == two).all()
    assert (one != Corpus(folder, CONFIG, seed=5).index.roles).any()


def test_scattered_series_are_an_error_that_names_the_way_out(tmp_path):
    table = corpus_table()
    pq.write_table(pa.concat_tables([table.slice(50), table.slice(0, 50)]), tmp_path / "t.parquet",
                   row_group_size=80)  # fmt: skip
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(table.num_rows)))
    pq.write_table(shuffled, tmp_path / "t.parquet", row_group_size=80)
    with pytest.raises(DataError, match="do not follow one another.*caesura data sort"):
        Corpus(tmp_path / "t.parquet", CONFIG, seed=0)


def test_the_index_is_kept_and_made_anew_when_damaged(folder, monkeypatch, tmp_path_factory):
    kept = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CAESURA_CACHE", str(kept))
    monkeypatch.setattr(cache, "_WORTH_CACHING", 1)
    first = Corpus(folder, CONFIG, seed=0)
    with monkeypatch.context() as patch:
        patch.setattr(Corpus, "_scan", lambda self: pytest.fail("scanned again"))
        again = Corpus(folder, CONFIG, seed=0)
    for name in ("lengths", "roles", "first", "heads"):
        np.testing.assert_array_equal(getattr(first.index, name), getattr(again.index, name))
    for damage in (lambda data: data[: len(data) // 2], lambda data: b""):
        (path,) = (kept / "data").glob("*.index.npz")
        path.write_bytes(damage(path.read_bytes()))
        np.testing.assert_array_equal(Corpus(folder, CONFIG, seed=0).index.roles, first.index.roles)


def test_a_streamed_pretraining_runs_resumes_and_calibrates(folder, tmp_path):
    settings = [*TINY, "data.stream=on", "data.validation=0.2", "training.compile=off"]
    options = {"columns": {"channel": "channel"}, "settings": settings}
    run = caesura.pretrain(str(folder), out=folder / "whole", steps=12, **options)
    assert run.metrics["train_series"] > 60
    assert run.coverage
    from test_loop import stop_after

    with pytest.raises(caesura.errors.StoppedError):
        caesura.pretrain(str(folder), out=folder / "cut", steps=12,
                         on_progress=stop_after(7), **options)  # fmt: skip
    resumed = caesura.pretrain(str(folder), out=folder / "cut", resume=True)
    for one, two in zip(run.parts["encoder"].parameters(), resumed.parts["encoder"].parameters(),
                        strict=True):  # fmt: skip
        assert torch.equal(one, two)


def test_what_fits_is_not_streamed(folder, monkeypatch):
    auto = CONFIG.model_copy(update={"stream": "auto"})
    assert not should_stream(str(folder), auto)
    monkeypatch.setattr("caesura.data.stream.available_bytes", lambda: 1000)
    assert should_stream(str(folder), auto)
    assert not should_stream(corpus_table(), auto)
    with pytest.raises(DataError, match="needs a Parquet"):
        should_stream(corpus_table(), CONFIG)
