"""Nothing lost, nothing trusted: full disks, two writers, damaged and hostile files."""

import errno
import json
import os
import pickle
import socket
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

import caesura
from builders import long_table, tiny_run
from caesura.data.door import open_data
from caesura.data.write import write_table
from caesura.errors import CaesuraError, CheckpointError, DataError, RecipeError, StorageError
from caesura.files import MARKER, locked, write_json, write_text
from caesura.training.checkpoint import load_tensors, save_tensors


@pytest.fixture
def copied(run_folder, tmp_path):
    """A copy of a whole run that a test may damage."""
    folder = tmp_path / "run"
    folder.mkdir()
    for file in run_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


WRITERS = {
    "text": lambda path: write_text(path, "new"),
    "json": lambda path: write_json(path, {"new": 1}),
    "tensors": lambda path: save_tensors(path, {"x": torch.zeros(100_000)}, {}),
    "table.parquet": lambda path: write_table(pa.table({"x": range(100_000)}), path),
    "table.csv": lambda path: write_table(pa.table({"x": range(100_000)}), path),
    "table.arrow": lambda path: write_table(pa.table({"x": range(100_000)}), path),
}

_LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
import test_safety
from caesura.errors import StorageError
for kind, write in test_safety.WRITERS.items():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 if kind in ("text", "json") else 4096, -1))
    try:
        write(Path(sys.argv[1]) / kind)
    except StorageError as error:
        print(kind, "told:", error)
"""


def test_a_full_disk_is_told_at_each_write_and_leaves_what_was_there(tmp_path):
    """The system itself refuses the bytes, as a full disk does, in whatever language writes."""
    for kind in WRITERS:
        (tmp_path / kind).write_text("old")
    places = [p for p in sys.path if "tests" in p]
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path), *places],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for kind in WRITERS:
        assert f"{kind} told: no space left while writing" in done.stdout, done.stderr[-2000:]
        assert (tmp_path / kind).read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(WRITERS)


def test_a_disk_that_fills_during_a_training_costs_one_checkpoint(tmp_path, monkeypatch):
    import caesura.files

    tiny_run(tmp_path / "whole", steps=12)
    real, calls = os.fsync, []

    def filling(handle):
        calls.append(handle)
        if len(calls) > 11:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(caesura.files.os, "fsync", filling)
        with pytest.raises(StorageError, match="continues with --resume"):
            tiny_run(tmp_path / "full", steps=12, settings=["training.evaluate_every=3"])
    assert [p.name for p in (tmp_path / "full").glob(".*")] == [MARKER]
    caesura.pretrain(long_table(), out=tmp_path / "full", resume=True)
    names = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "full")]
    assert names[0].keys() == names[1].keys()


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with locked(tmp_path / "run"):
        holder = (
            "import sys, pathlib\nfrom caesura.files import locked\n"
            f"with locked(pathlib.Path({str(tmp_path / 'run')!r})): pass"
        )
        done = subprocess.run([sys.executable, "-c", holder], capture_output=True, text=True,
                              check=False)  # fmt: skip
        assert "another process is writing into" in done.stderr
        with pytest.raises(StorageError, match="another process"):
            tiny_run(tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()
    tiny_run(tmp_path / "run", steps=1)
    with locked(tmp_path / "run"):  # free again
        pass


def test_bad_data_leaves_no_folder(tmp_path):
    with pytest.raises(DataError):
        caesura.pretrain(long_table().select(["id", "time"]), out=tmp_path / "run", steps=1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("place", [0.3, 0.6, 0.99])
def test_a_flipped_bit_in_the_weights_is_told(copied, place):
    path = copied / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"was changed since|not a whole safetensors"):
        caesura.load(copied)


@pytest.mark.parametrize("head", [b"PK", b"\x80\x02", b"\x80\x04"])
def test_weights_whose_header_is_as_long_as_a_pickle_begins_are_read(head, tmp_path):
    """The first bytes of safetensors are a length: one of some thousand looks like a pickle's."""
    path, tensors = tmp_path / "model.safetensors", {"x": torch.arange(3.0)}
    save_tensors(path, tensors, {"text": ""})
    length = int.from_bytes(path.read_bytes()[:8], "little")
    wanted = int.from_bytes(head, "little")
    save_tensors(path, tensors, {"text": "." * (wanted - length)})
    assert path.read_bytes()[:2] == head
    assert torch.equal(load_tensors(path)[0]["x"], tensors["x"])


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_pickle_in_place_of_weights_is_never_opened(copied, kind, tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'exploded'}",)

    if kind == "torch":
        torch.save({"x": Bomb()}, copied / "model.safetensors")
    else:
        (copied / "model.safetensors").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="is a pickle.*caesura opens none"):
        caesura.load(copied)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", ["../../outside", "encoder/../../x", "/etc/passwd", "optimizer"])
def test_names_of_parts_that_are_none_are_refused(copied, name, tmp_path):
    tensors = load_file(copied / "model.safetensors")
    tensors[f"{name}/weight"] = torch.zeros(2)
    save_file(tensors, copied / "model.safetensors", {"caesura": json.dumps({"parts": [name]})})
    with pytest.raises(CheckpointError):
        caesura.load(copied)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("width = 16", "width = 60000"), "does not fit the recipe"),
        (("depth = 2", "depth = 1000"), "does not fit the recipe"),
        (("depth = 2", "depth = 1000000000"), "less than or equal to 1000"),
        (("width = 16", "width = 99999999999"), "less than or equal to 65536"),
        (('type = "point_transformer"', 'type = "os:system"'), "unknown encoder 'os:system'"),
        (("seed = 0", "seed = 0\nx = " + "[" * 5000 + "]" * 5000), "not valid TOML"),
        (("seed = 0", "seed = 0\n# " + "x" * 2**20), "not valid TOML.*more than"),
    ],
)
def test_a_recipe_that_is_a_bomb_is_refused_before_memory_is_taken(copied, change, told):
    path = copied / "recipe.toml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change, 1))
    with pytest.raises(CaesuraError, match=told):
        caesura.load(copied)


@pytest.mark.parametrize("file", ["schema.json", "metrics.json", "calibration.json"])
@pytest.mark.parametrize("content", ["", "{", "[" * 100_000, "[]", "null", "\x00\xff"])
def test_a_damaged_description_is_told(copied, file, content):
    (copied / file).write_text(content, encoding="latin-1")
    with pytest.raises(CheckpointError, match=file):
        caesura.load(copied)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_table_is_told(tmp_path, damage):
    path = tmp_path / "t.parquet"
    write_table(long_table(series=300), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 8
    path.write_bytes(content if damage == "flipped" else content[: len(content) // 2])
    from caesura.data.config import Columns, DataConfig

    config = DataConfig(columns=Columns(channel="channel"), tokens="observation")
    with pytest.raises(DataError, match="cannot be read"):
        open_data(str(path), config)


def test_hidden_files_are_not_data(tmp_path):
    pq.write_table(long_table(), tmp_path / "a.parquet")
    (tmp_path / ".b.parquet").write_bytes(b"half of a file")
    assert open_data(str(tmp_path), caesura.data.config.DataConfig())[0].ids.to_pylist()


class StandIn:
    """What the hub does, in a folder."""

    def __init__(self, place):
        self.place, self.asked = place, []

    def create_repo(self, repo_id, private, exist_ok):
        self.asked.append((repo_id, private, exist_ok))
        (self.place / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(self, repo_id, folder_path, commit_message, allow_patterns):
        from pathlib import Path

        for file in Path(folder_path).iterdir():
            if file.name in allow_patterns:
                (self.place / repo_id / file.name).write_bytes(file.read_bytes())

    def snapshot_download(self, repo_id, revision, allow_patterns):
        if not (self.place / repo_id).is_dir():
            raise OSError(f"404: {repo_id}")
        return str(self.place / repo_id)


def test_a_run_goes_to_the_hub_and_comes_back(run_folder, tmp_path):
    run, hub = caesura.load(run_folder), StandIn(tmp_path)
    address = caesura.push_to_hub(run, "someone/stars", api=hub)
    assert address == "hf://someone/stars"
    assert hub.asked == [("someone/stars", True, True)]
    back = caesura.from_pretrained(address, data=run.recipe.data.path, api=hub)
    assert back.recipe.data.path == ""
    assert str(run_folder.parent) not in (tmp_path / "someone/stars/recipe.toml").read_text()
    assert str(run_folder.parent) not in (tmp_path / "someone/stars/README.md").read_text()
    data = run.recipe.data.path
    assert (back.embed(data) == run.embed(data)).all()
    with pytest.raises(CheckpointError, match="cannot be fetched: 404"):
        caesura.from_pretrained("hf://someone/else", api=hub)


def test_a_run_that_cannot_read_the_data_is_told_at_loading(run_folder):
    table = long_table(channels=("u", "x"))
    with pytest.raises(DataError, match="unknown channels 'x'"):
        caesura.from_pretrained(run_folder, data=table)


def test_the_network_is_not_asked_unless_told(run_folder, tmp_path, monkeypatch):
    def refused(*arguments):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    with pytest.raises(CheckpointError, match=r"say from_pretrained\('hf://someone/stars'\)"):
        caesura.from_pretrained("someone/stars")
    run = caesura.from_pretrained(run_folder)
    caesura.save_pretrained(run, tmp_path / "gift")
    caesura.from_pretrained(tmp_path / "gift")
    with pytest.raises(RecipeError, match="is not empty"):
        caesura.save_pretrained(run, tmp_path / "gift")
