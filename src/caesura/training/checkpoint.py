"""Tensors and descriptions in and out of a run folder.

Tensors go to safetensors, everything else to the JSON text in its header. Nothing is ever
pickled, so opening a file of unknown origin runs no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from caesura.errors import CheckpointError
from caesura.files import read_limited, write_atomically


def read_json(path: Path) -> Any:
    """Read a JSON file; a missing or damaged one is a CheckpointError."""
    try:
        return json.loads(read_limited(path))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; is {path.parent} a complete run?") from None
    except (ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); write the run again") from None


def save_tensors(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, object]) -> None:
    """Write tensors and a JSON-able description into one safetensors file, atomically.

    The header holds a checksum of all names and bytes: safetensors checks sizes alone.
    """
    # clone: safetensors refuses tensors that share storage
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    header = {"caesura": json.dumps(meta), "checksum": _checksum(whole)}
    write_atomically(path, lambda temporary: save_file(whole, temporary, metadata=header))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote; anything else is a CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; is {path.parent} a complete run?")
    _refuse_pickle(path)
    try:
        with safetensors.safe_open(path, framework="pt") as archive:
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118  # not a dict
            header = archive.metadata() or {}
        meta = json.loads(header.get("caesura", "{}"))
    except (safetensors.SafetensorError, ValueError, OSError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); train or copy the run again"
        ) from None
    wanted = header.get("checksum")  # absent where another program wrote the file
    if not isinstance(meta, dict) or (wanted and wanted != _checksum(tensors)):
        raise CheckpointError(
            f"{path} was changed since it was written; train or copy the run again"
        )
    return tensors, meta


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of each tensor, from the header alone."""
    _refuse_pickle(path)
    try:
        with safetensors.safe_open(path, framework="pt") as archive:
            names = archive.keys()
            return {name: tuple(archive.get_slice(name).get_shape()) for name in names}
    except (safetensors.SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a whole safetensors file ({error}); train or copy the run again"
        ) from None


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _refuse_pickle(path: Path) -> None:
    """Say what it is where the file could run code if it were opened as its writer meant it."""
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; is {path.parent} a complete run?")
    with path.open("rb") as file:
        head = file.read(9)
    # safetensors begin with the length of their header, any bytes, and its brace
    pickled = head[:2] == b"PK" or (head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05")
    if pickled and head[8:] != b"{":
        raise CheckpointError(
            f"{path} is a pickle, which can run code when it is opened; caesura opens none. "
            "Ask for the weights as safetensors"
        )


def with_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the same tensors under `prefix/name`."""
    return {f"{prefix}/{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under `prefix/`, by their own names."""
    head = f"{prefix}/"
    return {name[len(head) :]: t for name, t in tensors.items() if name.startswith(head)}
