"""Runs in and out of shared places: a folder to give away, the Hugging Face hub.

A run that came from elsewhere is data: weights are safetensors, descriptions are TOML and
JSON, nothing is unpickled and no code in the folder runs. Only the files of a run are fetched,
by name, and the network is asked for an address that begins with hf:// alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from caesura.errors import CaesuraError, CheckpointError, RecipeError
from caesura.files import contents, locked
from caesura.folder import CALIBRATION, CARD, METRICS, RECIPE, SCHEMA, WEIGHTS
from caesura.run import Run, load

HUB = "hf://"
FILES = (RECIPE, SCHEMA, METRICS, WEIGHTS, CALIBRATION, CARD)
"""The files of a whole run; no other one is fetched or sent."""


def save_pretrained(run: Run, folder: str | Path) -> Path:
    """Write a run to a new folder that can be given away: without the paths of its data."""
    folder = Path(folder)
    if folder.is_file() or contents(folder):
        raise RecipeError(f"{folder} is not empty; name a new folder, nothing is overwritten")
    data = run.recipe.data.model_copy(update={"path": ""})
    stages = tuple(
        stage.model_copy(update={"start_from": Path(stage.start_from).name})
        for stage in run.recipe.stages
    )
    recipe = run.recipe.model_copy(update={"data": data, "stages": stages})
    copy = Run(recipe, run.schema, run.parts, run.metrics, run.calibration, run.coverage)
    with locked(folder, option="folder"):
        copy.save(folder)
    return folder


def from_pretrained(
    source: str | Path, *, data: Any = None, revision: str | None = None, api: Any = None
) -> Run:
    """Load a run from a folder, or from the hub where `source` is "hf://user/name".

    Loading is strict: weights that do not fit the recipe in name or shape are a
    CheckpointError. data: series that the run must be able to read, else a DataError says
    which channel, unit or column differs. api: a `huggingface_hub.HfApi`, or its stand-in.
    """
    text = str(source)
    if text.startswith(HUB):
        run = _fetched(text.removeprefix(HUB), revision, api)
    else:
        if not Path(source).exists() and text.count("/") == 1:
            raise CheckpointError(
                f"no run folder at {text}; for the hub, which needs the network, "
                f"say from_pretrained('{HUB}{text}')"
            )
        run = load(source)
    if data is not None:
        run.schema.channel_numbers(run.open(data))
    return run


def push_to_hub(
    run: Run, repository: str, *, private: bool = True, message: str = "", api: Any = None
) -> str:
    """Send a run to the hub as `user/name`, private unless told otherwise; return its address.

    api: a `huggingface_hub.HfApi` with the user's token, or its stand-in.
    """
    hub = api or _hub()
    name = repository.removeprefix(HUB)
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_pretrained(run, Path(scratch) / "run")
        hub.create_repo(repo_id=name, private=private, exist_ok=True)
        hub.upload_folder(
            repo_id=name,
            folder_path=str(folder),
            commit_message=message or f"caesura run: {run.recipe.name}",
            allow_patterns=list(FILES),
        )
    return f"{HUB}{name}"


def _fetched(name: str, revision: str | None, api: Any) -> Run:
    hub = api or _hub()
    try:
        folder = hub.snapshot_download(repo_id=name, revision=revision, allow_patterns=list(FILES))
    except OSError as error:  # the hub's own errors and those of the network are OSErrors
        raise CheckpointError(f"{HUB}{name} cannot be fetched: {error}") from error
    return load(folder)


def _hub() -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise CaesuraError("the hub needs another package: pip install 'caesura[hub]'") from None
    return HfApi()
