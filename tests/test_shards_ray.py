"""The parts of a corpus by actors of Ray are those of one process; `make extras` runs it."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from builders import long_table, tiny_run
from caesura.cli.main import app
from caesura.errors import RecipeError
from caesura.shards import embed_parts
from caesura.shards_ray import embed_parts_on_ray


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    table = long_table(40)
    pq.write_table(table, folder / "data.parquet", row_group_size=57)
    return folder, tiny_run(folder / "run", steps=3, table=table)


def test_two_actors_write_what_one_process_does(place):
    pytest.importorskip("ray", reason="`make extras` has an environment with it")
    folder, run = place
    data = folder / "data.parquet"
    assert embed_parts(run, data, folder / "one", rows=150) == 40
    names = sorted(path.name for path in (folder / "one").glob("part-*"))
    seen = []
    done = embed_parts_on_ray(
        run, data, folder / "two", rows=150, workers=2, on_part=lambda *at: seen.append(at)
    )
    assert done == 40
    assert seen == [(n, len(names)) for n in range(1, len(names) + 1)]
    for name in names:
        one, two = (pq.read_table(folder / way / name).to_pandas() for way in ("one", "two"))
        assert one["id"].tolist() == two["id"].tolist()
        np.testing.assert_allclose(one.iloc[:, 1:], two.iloc[:, 1:], atol=1e-6)
    (folder / "two" / names[1]).unlink()
    count = pq.read_table(folder / "one" / names[1]).num_rows
    assert embed_parts_on_ray(run, data, folder / "two", rows=150) == count


def test_without_ray_or_a_folder_it_says_so(place, monkeypatch):
    folder, run = place
    command = ["embed", str(folder / "run"), "--data", str(folder / "data.parquet")]
    found = CliRunner().invoke(app, [*command, "-o", str(folder / "z.parquet"), "--engine", "ray"])
    assert found.exit_code != 0
    assert isinstance(found.exception, RecipeError)
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(RecipeError, match=r"pip install caesura\[ray\]"):
        embed_parts_on_ray(run, folder / "data.parquet", folder / "none")
