"""Nothing that a user has is touched: folders that are not ours are refused as they are."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import caesura
from builders import label_table, long_table, tiny_run
from caesura.cli.main import app
from caesura.data.corpus import synthesise
from caesura.data.write import write_table
from caesura.errors import CaesuraError, RecipeError
from caesura.export.certificate import Certificate
from caesura.files import MARKER, claim, locked, remove_scratch
from caesura.hub import save_pretrained
from caesura.run import load
from caesura.shards import embed_parts
from caesura.study.dividend.begin import Question, begin, data_config
from caesura.workflow import distil, finetune

FILES = {
    ".env": "SECRET=1",
    ".lock": "mine",
    ".model.abc.safetensors": "mine",
    "work/notes.txt": "mine",
    "recommend/notes.txt": "mine",
}


def fill(folder, names=tuple(FILES)):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(FILES[name])


def snapshot(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def study(run, out, tmp):
    data, labels = tmp / "data.parquet", tmp / "labels.parquet"
    write_table(long_table(), data)
    write_table(label_table(), labels)
    columns = {"channel": "channel"}
    question = Question(str(data), data_config(str(data), columns, 0.0), labels=str(labels))
    settings = {"objectives": ("lejepa",), "views": ("none",), "seeds": 1, "steps": 1}
    begin(question, out, settings).open(resume=False)


def embedded_parts(run, out, tmp):
    write_table(long_table(), tmp / "data.parquet")
    embed_parts(run, tmp / "data.parquet", out)


def by_command(*arguments):
    def call(run, out, tmp):
        done = CliRunner().invoke(app, [*arguments, str(out)])
        if done.exception is not None and isinstance(done.exception, CaesuraError):
            raise done.exception
        assert done.exit_code != 0, done.output

    return call


WRITERS = {
    "pretrain": lambda run, out, tmp: tiny_run(out, steps=1),
    "resume": lambda run, out, tmp: tiny_run(out, steps=1, resume=True),
    "finetune": lambda run, out, tmp: finetune(run, label_table(), out, data=long_table(), steps=1),
    "distil": lambda run, out, tmp: distil(run, "romae", out, data=long_table(), steps=1),
    "save_pretrained": lambda run, out, tmp: save_pretrained(run, out),
    "save": lambda run, out, tmp: run.save(out),
    "estimator": lambda run, out, tmp: (
        caesura.PretrainedFeatures(run=run)
        .fit(np.random.default_rng(0).normal(size=(6, 2, 12)))
        .save(out)
    ),
    "synthesise": lambda run, out, tmp: synthesise("kernel-synth", 2, 8, out),
    "study": study,
    "embed in parts": embedded_parts,
    "demo": by_command("demo", "--quick", "--out"),
    "bundled": by_command("data", "bundled", "--output"),
}


@pytest.fixture(scope="module")
def run(run_folder):
    return load(run_folder)


@pytest.mark.parametrize("names", [(".env", ".lock"), tuple(FILES)], ids=["hidden", "all"])
@pytest.mark.parametrize("verb", WRITERS)
def test_a_folder_of_the_users_is_refused_and_stays_as_it_was(verb, names, run, tmp_path):
    out = tmp_path / "out"
    fill(out, names)
    before = snapshot(out)
    with pytest.raises(CaesuraError) as refused:
        WRITERS[verb](run, out, tmp_path)
    assert "not empty" in str(refused.value)
    assert snapshot(out) == before


def test_a_run_is_not_saved_over_another(run, tmp_path):
    copy = load(run.folder)
    copy.save(tmp_path / "new")
    copy.save(tmp_path / "new")
    with pytest.raises(RecipeError, match="holds a run"):
        load(run.folder).save(tmp_path / "new")


def test_a_certificate_is_not_written_over_something_else(tmp_path):
    path = tmp_path / "watch.json"
    Certificate.check_free(path)
    for text in ("{}", "[1]", "no json", '{"parity": 1}'):
        path.write_text(text)
        with pytest.raises(RecipeError, match="written over"):
            Certificate.check_free(path)
        assert path.read_text() == text


def test_files_of_the_users_in_a_run_stay(tmp_path):
    out = tmp_path / "run"
    first = tiny_run(out, steps=2)
    fill(out)
    before = snapshot(out)
    with pytest.raises(RecipeError, match="choose another --out"):
        tiny_run(out, steps=2)
    tiny_run(out, steps=2, resume=True)
    assert snapshot(out) == before
    assert load(out).metrics["steps"] == first.metrics["steps"]


def test_a_folder_that_a_user_made_stays_where_a_run_fails(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(CaesuraError):
        tiny_run(tmp_path / "out", steps=1, columns={"channel": "nothing"})
    assert (tmp_path / "out").is_dir()
    assert not snapshot(tmp_path / "out")


def test_runs_of_before_the_marker_are_known(run, tmp_path):
    out = tmp_path / "run"
    tiny_run(out, steps=2)
    (out / MARKER).unlink()
    assert tiny_run(out, steps=2, resume=True).metrics["steps"] == 2


def test_a_file_of_the_same_name_is_no_marker(tmp_path):
    (tmp_path / MARKER).write_text("settings of another tool")
    with pytest.raises(RecipeError, match="not empty"):
        claim(tmp_path)
    remove_scratch(tmp_path)
    assert (tmp_path / MARKER).read_text() == "settings of another tool"


def test_what_a_killed_writer_left_is_cleared(tmp_path):
    out = Path(tmp_path / "out")
    claim(out)
    (out / ".caesura-tmp-model.x1.safetensors").write_text("half")
    (out / "model.safetensors").write_text("whole")
    with locked(out):
        assert [path.name for path in sorted(out.iterdir())] == [MARKER, "model.safetensors"]
