"""Tensors and descriptions in and out of a run folder.

Tensors go to safetensors, everything else to the JSON text in its header. Nothing is ever
pickled, so opening a file of unknown origin runs no code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from caesura.errors import CheckpointError
from caesura.files import write_atomically


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is a CheckpointError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; is {path.parent} a complete run?") from None
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); write the run again") from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, object]) -> None:
    """Write tensors and a JSON-able description into one safetensors file, atomically."""
    # clone: safetensors refuses tensors that share storage
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"caesura": json.dumps(meta)}
    write_atomically(path, lambda temporary: save_file(whole, temporary, metadata=header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote; anything else is a CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; is {path.parent} a complete run?")
    try:
        with safetensors.safe_open(path, framework="pt") as archive:
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118  # not a dict
            meta = json.loads((archive.metadata() or {}).get("caesura", "{}"))
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); train or copy the run again"
        ) from None
    return tensors, meta


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors under `prefix/name`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under `prefix/`, by their own names."""
    head = f"{prefix}/"
    return {name[len(head) :]: t for name, t in tensors.items() if name.startswith(head)}
