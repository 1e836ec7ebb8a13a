"""What makes any source unreadable: text that is not UTF-8, two columns of one name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from caesura.errors import DataError


@contextmanager
def readable(source: Any) -> Iterator[None]:
    """Turn text that is not UTF-8, wherever it is met, into a DataError."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source_name(source)} holds text that is not UTF-8 ({error}); save it as UTF-8"
        ) from None


def check_names(schema: pa.Schema, source: Any) -> None:
    """Raise a DataError where names of columns are not text that can be read, or not unique."""
    with readable(source):
        counts = Counter(schema.names)
    name, count = max(counts.items(), key=lambda one: one[1], default=("", 0))
    if count > 1:
        raise DataError(
            f"{source_name(source)} has {count} columns {name!r}; rename or drop all but one of "
            "them"
        )


def source_name(source: Any) -> str:
    """Return a path as it is, and what another source is."""
    return str(source) if isinstance(source, str | Path) else f"the {type(source).__name__}"
