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

from caesura.errors import RecipeError, StorageError

MARKER = ".caesura"
"""File that a folder of ours is known by; its writer holds a lock on it."""
_MARKER_TEXT = "This folder is written by caesura; files that it did not write are never touched.\n"
_TEMPORARY = ".caesura-tmp-"
"""Begin of the names of files that are not whole yet."""
_SHOWN_NAMES = 3
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
        handle, name = tempfile.mkstemp(path.suffix, f"{_TEMPORARY}{path.stem}.", path.parent)
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


def is_ours(folder: Path, signs: tuple[str, ...] = ()) -> bool:
    """Say whether a folder was written by us: by its marker, or by the files named in `signs`, all
    of which folders of before the marker have."""
    path = folder / MARKER
    if path.is_file():
        with path.open("rb") as file:
            # a marker that is being written is empty
            return _MARKER_TEXT.encode().startswith(file.read(len(_MARKER_TEXT)))
    return bool(signs) and all((folder / name).is_file() for name in signs)


def contents(folder: Path) -> set[str]:
    """Return the names of what is in a folder, hidden files too, but for our marker and files that
    are not whole; empty where there is no folder."""
    if not folder.is_dir():
        return set()
    names = {entry.name for entry in folder.iterdir()}
    ours = {MARKER} if is_ours(folder) else set()
    return {name for name in names - ours if not name.startswith(_TEMPORARY)}


def check_claimable(folder: Path, signs: tuple[str, ...] = (), option: str = "--out") -> None:
    """Raise a RecipeError where a folder is a file, or holds what is not ours.

    signs: as in `is_ours`. option: what the user named the folder by.
    """
    if folder.exists() and not folder.is_dir():
        raise RecipeError(f"{folder} is a file; {option} names a folder")
    names = sorted(contents(folder))
    if names and not is_ours(folder, signs):
        more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
        raise RecipeError(
            f"{folder} is not empty ({', '.join(names[:_SHOWN_NAMES])}{more}) and was not written "
            f"by caesura: nothing in it was touched; choose another {option}"
        )


def claim(folder: Path, signs: tuple[str, ...] = (), option: str = "--out") -> None:
    """Make a folder ours, where it is free or is so already; see `check_claimable`."""
    check_claimable(folder, signs, option)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).exists():
            write_text(folder / MARKER, _MARKER_TEXT)


@contextmanager
def locked(
    folder: Path,
    signs: tuple[str, ...] = (),
    option: str = "--out",
    *,
    scratch: bool = False,
) -> Iterator[None]:
    """Let one process at a time write into a folder, which is made where there is none.

    A second process gets a StorageError; a folder that is neither empty nor ours a RecipeError
    (`check_claimable`), before anything in it is touched. The lock is the kernel's: it goes with
    its process, however that ends. A folder that is made here and stays empty is removed again.
    scratch: the folder lies in one of ours, and is so whatever it holds.
    """
    if not scratch:
        check_claimable(folder, signs, option)
    made = not folder.exists()
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = _hold(folder / MARKER)
        if os.fstat(handle).st_size < len(_MARKER_TEXT):
            os.pwrite(handle, _MARKER_TEXT.encode(), 0)
    for unfinished in folder.glob(f"{_TEMPORARY}*"):  # of a writer that was killed
        unfinished.unlink(missing_ok=True)
    try:
        yield
    finally:
        if not contents(folder):
            (folder / MARKER).unlink(missing_ok=True)  # while it is held, as `_hold` expects
            with suppress(OSError):
                if made:
                    folder.rmdir()
        os.close(handle)


def remove_scratch(folder: Path) -> None:
    """Remove a folder for what is needed meanwhile, where it is ours; another stays as it is."""
    if is_ours(folder):
        shutil.rmtree(folder, ignore_errors=True)


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


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
