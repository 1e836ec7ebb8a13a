"""Files that are whole or absent, folders that one process writes, and the cache folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from caesura.errors import StorageError

LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_IN_WORDS = ("No space left", "File too large", "os error 28", "os error 27")


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a neighbouring temporary file, then move it over `path` in one step.

    A reader sees the old file or the new one, never a half; a failed write leaves the old.
    The temporary file keeps the suffix, by which some writers choose their form. A full or
    read-only disk is a StorageError.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(path.suffix, f".{path.stem}.", path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            write(temporary)
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
            _sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, as UTF-8."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, value: object) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_limited(path: Path, most: int = 32 * 2**20) -> str:
    """Read a description as text; one that is no description by its size is a ValueError."""
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{size} bytes, more than the {most} that a description may have")
    return path.read_text(encoding="utf-8")


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what a disk refuses within the block into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        known = shutil.disk_usage(path.parent).free / 2**20 if path.parent.is_dir() else 0.0
        if error.errno in _FULL:
            raise StorageError(
                f"no space left while writing {path} ({known:.0f} MiB free there); what stood "
                "there before is untouched. Free some space and run the same again (a training "
                "continues with --resume)"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StorageError(f"{path} cannot be written ({error.strerror})") from error
        raise
    except Exception as error:  # writers in other languages wrap the number into a text
        if any(sign in str(error) for sign in _FULL_IN_WORDS):
            raise StorageError(
                f"no space left while writing {path}; what stood there before is untouched. "
                "Free some space and run the same again"
            ) from error
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time write into a folder; a second one gets a StorageError.

    The lock is the kernel's: it goes with its process, however that ends.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / LOCK
        handle = _hold(path)
    for left in folder.glob(".*"):  # temporary files of a writer that was killed
        if left != path and left.is_file():
            left.unlink(missing_ok=True)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: who opens it now finds it replaced
        os.close(handle)
        with suppress(OSError):  # what failed before its first file leaves no folder
            folder.rmdir()


def _hold(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise StorageError(
                f"another process is writing into {path.parent}; wait for it, or choose another "
                "folder"
            ) from None
        if path.exists() and path.stat().st_ino == os.fstat(handle).st_ino:
            return handle
        os.close(handle)  # its last holder removed it between our two calls


def cache_folder() -> Path:
    """Return where derived files may live: $CAESURA_CACHE, else ~/.cache/caesura."""
    own = os.environ.get("CAESURA_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "caesura"


def is_free(folder: Path) -> bool:
    """Say whether a folder is absent or holds nothing but a lock."""
    return not folder.exists() or all(entry.name == LOCK for entry in folder.iterdir())


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
