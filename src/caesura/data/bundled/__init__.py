"""Data that travel with the package; ATTRIBUTION.md names source and licence."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def bundled(name: str) -> Path:
    """Return the path of a bundled file."""
    return Path(str(files(__name__) / name))
