"""The run folder while it is being made: who may write into it, and what is there first."""

from __future__ import annotations

import logging
from pathlib import Path

from caesura.data.schema import Schema
from caesura.errors import CheckpointError, RecipeError
from caesura.files import check_claimable, contents, write_text
from caesura.recipes.schema import Recipe, to_toml
from caesura.training.checkpoint import read_json
from caesura.training.state import CHECKPOINT, EARLIER, has_state

log = logging.getLogger("caesura")

WEIGHTS, RECIPE, SCHEMA, METRICS = "model.safetensors", "recipe.toml", "schema.json", "metrics.json"
CALIBRATION, CARD = "calibration.json", "README.md"


SIGNS = (RECIPE, SCHEMA)
"""Files that tell the folders of runs that were begun before folders had a marker."""


def check_free(folder: Path) -> None:
    """Raise where a new run would write over something; nothing is ever overwritten."""
    check_claimable(folder, SIGNS)
    if not _is_new(folder):
        begun = (folder / RECIPE).is_file() and not (folder / METRICS).is_file()
        advice = "continue it with --resume" if begun else "choose another --out, or remove it"
        raise RecipeError(f"{folder} is not empty; {advice}")


def _is_new(folder: Path) -> bool:
    """Say whether no run was begun in a folder: absent, or with no more than its first file."""
    return not folder.is_file() and contents(folder) <= {SCHEMA}


def begin(folder: Path, recipe: Recipe, schema: Schema) -> None:
    """Create the folder with the schema and the resolved recipe, which a resume reads.

    The recipe comes last: where it is, the run was begun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SCHEMA, schema.model_dump_json(indent=2) + "\n")
    write_text(folder / RECIPE, to_toml(recipe))


def take_back(folder: Path) -> None:
    """Undo `begin` where nothing else was written yet, so that the folder is free again."""
    if contents(folder) <= {SCHEMA, RECIPE}:
        (folder / RECIPE).unlink(missing_ok=True)
        (folder / SCHEMA).unlink(missing_ok=True)


def finish(folder: Path) -> None:
    """Remove the training state, which a whole run needs no more."""
    for checkpoint in (folder / CHECKPOINT, *folder.glob(f"{EARLIER}*/{CHECKPOINT}")):
        checkpoint.unlink(missing_ok=True)


def is_whole(folder: Path) -> bool:
    """Say whether a run was finished; its metrics are written last."""
    return (folder / METRICS).is_file()


def is_begun(folder: Path) -> bool:
    """Say whether there is a run to go on with; False where a folder is free, so that the same
    command begins and goes on. One that holds something else is a CheckpointError."""
    if (folder / RECIPE).is_file():
        return True
    if not _is_new(folder):
        raise CheckpointError(
            f"nothing to resume in {folder}, which is not empty; choose another --out"
        )
    log.info("nothing to resume in %s: beginning", folder)
    return False


def has_checkpoint(folder: Path) -> bool:
    """Say whether training got as far as a first checkpoint."""
    return has_state(folder) or any(map(has_state, folder.glob(f"{EARLIER}*")))


def read_schema(folder: Path) -> Schema:
    """Read the schema of a run; a damaged one is a CheckpointError."""
    try:
        return Schema.model_validate(read_json(folder / SCHEMA))
    except ValueError as error:
        raise CheckpointError(f"{folder / SCHEMA} is not a schema: {error}") from None
