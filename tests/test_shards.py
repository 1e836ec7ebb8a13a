"""A corpus embedded part by part: the same vectors, by any number of processes, after any kill."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builders import long_table, tiny_run
from caesura.errors import DataError, RecipeError
from caesura.shards import embed_parts, place_of_process


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    table = long_table(40)
    pq.write_table(table, folder / "data.parquet", row_group_size=57)
    run = tiny_run(folder / "run", steps=3, table=table)
    return folder, run


def vectors_of(path):
    table = pq.read_table(path).to_pandas().set_index("id").sort_index()
    return table.index.tolist(), table.to_numpy()


def parts_of(folder):
    return sorted(path.name for path in folder.glob("part-*.parquet"))


def test_parts_of_two_processes_are_the_vectors_of_one(place):
    folder, run = place
    data, out = folder / "data.parquet", folder / "two"
    found = [embed_parts(run, data, out, rows=150, place=(rank, 2)) for rank in (1, 0)]
    assert sum(found) == 40
    assert min(found) > 5
    assert len(parts_of(out)) > 3
    ids, vectors = vectors_of(out)
    store = run.open(data)
    order = np.argsort(store.ids.to_pylist())
    assert ids == sorted(store.ids.to_pylist())
    np.testing.assert_allclose(vectors, run.embed(data)[order], atol=1e-6)


def test_what_is_there_is_not_made_again(place, monkeypatch):
    folder, run = place
    data, out = folder / "data.parquet", folder / "again"
    embed_parts(run, data, out, rows=150)
    monkeypatch.chdir(folder)
    assert embed_parts(run, "data.parquet", out, rows=150) == 0  # the same corpus by another path
    names = parts_of(out)
    kept = (out / names[0]).stat().st_mtime_ns
    count = pq.read_table(out / names[1]).num_rows
    (out / names[1]).unlink()
    assert embed_parts(run, data, out, rows=150) == count
    assert parts_of(out) == names
    assert (out / names[0]).stat().st_mtime_ns == kept
    assert embed_parts(run, data, out, rows=150, place=(2, 3)) == 0


def test_a_killed_process_goes_on(place):
    folder, run = place
    out = folder / "killed"
    code = (
        "import sys, time, caesura.shards as s; from pathlib import Path; import caesura\n"
        "embed_store = s.embed\n"
        "s.embed = lambda *a, **k: (time.sleep(0.3), embed_store(*a, **k))[1]\n"
        "s.embed_parts(caesura.load(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), rows=60)"
    )
    words = [str(folder / name) for name in ("run", "data.parquet", "killed")]
    killed = subprocess.Popen([sys.executable, "-c", code, *words])
    for _ in range(1200):
        if out.is_dir() and len(parts_of(out)) >= 2:
            break
        time.sleep(0.05)
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    begun = len(parts_of(out))
    made = embed_parts(run, folder / "data.parquet", out, rows=60)
    assert 0 < made < 40
    assert len(parts_of(out)) > begun
    ids, vectors = vectors_of([out / name for name in parts_of(out)])
    store = run.open(folder / "data.parquet")
    order = np.argsort(store.ids.to_pylist())
    assert ids == sorted(store.ids.to_pylist())
    np.testing.assert_allclose(vectors, run.embed(folder / "data.parquet")[order], atol=1e-6)


def test_one_series_over_several_groups_is_in_one_part(place):
    folder, run = place
    table = pa.concat_tables([long_table(1, longest=60), long_table(40).slice(20)])
    table = table.sort_by([("id", "ascending"), ("time", "ascending")])
    pq.write_table(table, folder / "long.parquet", row_group_size=7)
    made = embed_parts(run, folder / "long.parquet", folder / "long", rows=7)
    assert made == len(set(table["id"].to_pylist()))
    assert len(vectors_of(folder / "long")[0]) == made


def test_parts_of_something_else_are_refused(place):
    folder, run = place
    data = folder / "data.parquet"
    embed_parts(run, data, folder / "own", rows=500)
    with pytest.raises(RecipeError, match="another pooling"):
        embed_parts(run, data, folder / "own", rows=500, pooling="mean")
    with pytest.raises(RecipeError, match="is a file"):
        embed_parts(run, data, data)
    with pytest.raises(RecipeError, match="was not written by caesura"):
        embed_parts(run, data, folder)
    with pytest.raises(DataError, match="no Parquet file"):
        embed_parts(run, folder / "data.csv", folder / "csv")


def test_torchrun_and_slurm_say_whose_turn_it_is(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    assert place_of_process() == (0, 1)
    monkeypatch.setenv("SLURM_PROCID", "3")
    monkeypatch.setenv("SLURM_NTASKS", "8")
    assert place_of_process() == (3, 8)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert place_of_process() == (1, 2)
    assert "RANK" in os.environ
