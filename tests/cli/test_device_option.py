"""`--device` stands in every verb that runs a model, and says what there is."""

import pytest
import typer.main

from caesura.cli.main import app
from caesura.errors import RecipeError
from caesura.training.device import VARIABLE

WITHOUT_MODELS = {"doctor", "runs", "recipe", "data", "evaluate", "export"}


def verbs(group, names=()):
    """Yield the names and options of each verb."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, (*names, name))
        else:
            yield (*names, name), {option for one in command.params for option in one.opts}


def test_each_verb_that_runs_a_model_takes_a_device():
    found = dict(verbs(typer.main.get_command(app)))
    without = {names[0] for names, options in found.items() if "--device" not in options}
    assert without == WITHOUT_MODELS


def test_an_absent_device_is_an_error_before_anything_is_done(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    command = ["predict", str(tmp_path), "-o", "x.csv", "--device", "cuda:3"]
    with pytest.raises(RecipeError, match="device 'cuda:3' is not there; this machine has cpu"):
        app(command, standalone_mode=False)
