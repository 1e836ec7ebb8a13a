"""What the operating system has left, and how its memory is taken and given back."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Numbers of glibc's `mallopt`."""


def available_bytes() -> int:
    """Return the memory that the system would give to a process, its caches included."""
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            found = next(line for line in lines if line.startswith("MemAvailable"))
        return int(found.split()[1]) * 1024
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def return_memory() -> None:
    """Give freed memory back to the system; its allocator keeps it in pieces otherwise.

    Over a training of unequal batches that came to several hundred MiB.
    """
    _ask_allocator("malloc_trim", 0)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within the block, keep large freed memory for what is taken next, and return it after.

    glibc gives large pieces back at once; taking them anew, page by page, was half of the step of
    a recurrent network over 256 samples, which takes the same 200 MiB each time.
    """
    _ask_allocator("mallopt", _MMAP_MAX, 0)
    _ask_allocator("mallopt", _TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        # it stops to adapt its thresholds once they are set: these are what they would grow to
        _ask_allocator("mallopt", _MMAP_MAX, 65_536)
        _ask_allocator("mallopt", _MMAP_THRESHOLD, 2**25)
        _ask_allocator("mallopt", _TRIM_THRESHOLD, 2**26)
        return_memory()


def _ask_allocator(function: str, *numbers: int) -> None:
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library without it
            getattr(ctypes.CDLL("libc.so.6"), function)(*numbers)
