"""What the operating system has left."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress


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
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # a C library without it
            ctypes.CDLL("libc.so.6").malloc_trim(0)
