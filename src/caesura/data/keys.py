"""Numbers that stand for ids and groups, the same in every process."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def keys_of(values: pa.Array) -> NDArray[np.uint64]:
    """Return 64 bits a value: whole numbers as they are, all else by a hash of its text."""
    if pa.types.is_integer(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False)).astype(np.int64).view(np.uint64)
    digests = b"".join(
        hashlib.blake2b(str(value).encode(), digest_size=8).digest() for value in values.to_pylist()
    )
    return np.frombuffer(digests, dtype=np.uint64)
