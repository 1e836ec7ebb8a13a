"""One spelling of names: of ids, channels and classes, by whatever way and type they come in."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,18}")
_UUID_BYTES = 16


def is_whole(text: str) -> bool:
    """Say whether text is a whole number of 64 bits as one is written: 007, 1E5 and +1 are none."""
    return _WHOLE.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


def plain(column: Any) -> pa.Array:
    """Return a column's cells as one array of a type that can be compared and taken.

    Categories become their texts, views text, extension types what they store; whole floats and
    decimals become whole numbers, as far as 64 bits hold them, and NaN is null.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        return plain(column.dictionary_decode())
    if pa.types.is_run_end_encoded(column.type):
        return plain(pc.run_end_decode(column))
    for view, kind in ((pa.string_view(), pa.string()), (pa.binary_view(), pa.binary())):
        column = column.cast(kind) if column.type.equals(view) else column
    if pa.types.is_floating(column.type):
        return _whole_floats(column)
    if pa.types.is_decimal(column.type):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    return column


def _whole_floats(column: pa.Array) -> pa.Array:
    """Return floats as whole numbers where all are; NaN as null."""
    wide = column.cast(pa.float64()) if column.type.equals(pa.float16()) else column
    wide = pc.if_else(pc.is_nan(wide), pa.scalar(None, wide.type), wide)
    try:
        return wide.cast(pa.int64())
    except pa.ArrowInvalid:
        return wide


def spelled(column: Any) -> pa.Array:
    """Return text for each cell: whole floats as whole numbers, booleans as True and False."""
    cells = plain(column)
    types, kind = pa.types, cells.type
    if types.is_floating(kind):
        return _without_point(cells.cast(pa.string()))
    if types.is_boolean(kind):
        return pc.if_else(cells, "True", "False")
    if types.is_decimal(kind):
        texts = [None if one is None else f"{one.normalize():f}" for one in cells.to_pylist()]
        return pa.array(texts, pa.string())
    if types.is_fixed_size_binary(kind) or types.is_binary(kind) or types.is_large_binary(kind):
        return pa.array([_of_bytes(one) for one in cells.to_pylist()], pa.string())
    return cells.cast(pa.string())


def _without_point(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts, r"\.0+$", "")


def _of_bytes(value: bytes | None) -> str | None:
    if value is None:
        return None
    if len(value) == _UUID_BYTES:
        return str(UUID(bytes=value))
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


def places(wanted: Any, ids: pa.Array) -> pa.Array:
    """Return the place of each wanted id among others, null where it is not there.

    Ids of one type are compared as they are, those of two by their spelling: 7 is 7.0 and "7",
    "007" is none of them.
    """
    wanted, ids = plain(wanted), plain(ids)
    if wanted.type.equals(ids.type):
        return pc.index_in(wanted, ids)
    if pa.types.is_integer(wanted.type) and pa.types.is_integer(ids.type):
        try:
            return pc.index_in(wanted.cast(pa.int64()), ids.cast(pa.int64()))
        except pa.ArrowInvalid:
            pass  # beyond 63 bits: by the spelling
    return pc.index_in(spelled(wanted), spelled(ids))


def distinct(column: Any) -> tuple[pa.Array, NDArray[np.int64]]:
    """Return the distinct cells of a column without nulls, by first appearance, and each row's."""
    encoded = plain(column).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return encoded.dictionary, codes
