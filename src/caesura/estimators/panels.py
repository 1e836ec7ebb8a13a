"""What estimators take as series."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_panel(X: Any) -> Any:
    """Return arrays and lists of arrays as they are; anything else becomes an array."""
    return X if isinstance(X, np.ndarray | list) else np.asarray(X)
