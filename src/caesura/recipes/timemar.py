"""TimeMAR, arXiv 2601.11184: sizes and the recipe of both stages.

The paper's own settings are not known to us; these are trials' (docs/log.md).
"""

from __future__ import annotations

from typing import Any, Literal

from caesura.errors import RecipeError
from caesura.nn.decompose import trend_kernels

Size = Literal["small", "large"]

SIZES: dict[str, dict[str, dict[str, Any]]] = {
    "small": {
        "paths": {"width": 96, "latent": 32, "heads": 4},
        "prior": {"width": 128, "heads": 4, "depth": 4},
    },
    "large": {
        "paths": {"width": 192, "latent": 64, "heads": 4},
        "prior": {"width": 512, "heads": 8, "depth": 8},
    },
}
"""Small has under 6 M parameters in all, as TimeMAR-S."""


TIMES: dict[str, Any] = {
    "objective": {"type": "sampling_times"},
    "share": 0.4,
    "lr_factor": 10.0,
}
"""The stage between the two where samples are missing. Its network is small and recurrent, and
learned ten times slower at the rate of the others (docs/log.md)."""


def recipe(size: Size = "small") -> dict[str, Any]:
    """Return the recipe `timemar` or `timemar-large`, without what the data decide.

    Windows overlap nearly whole: each start is another example. `batch_tokens` counts samples.
    """
    if size not in SIZES:
        raise RecipeError(f"unknown size {size!r}; known: {', '.join(SIZES)}")
    paths, prior = (SIZES[size][part] for part in ("paths", "prior"))
    return {
        "name": "timemar" if size == "small" else f"timemar-{size}",
        "data": {
            "own_rate": True,
            "overlap": 0.97,
            "constant": True,
            "by_time": True,
            "binned": True,
        },
        "encoder": {"type": "dual_path", **paths},
        "stages": [
            {
                "objective": {"type": "scale_tokens"},
                "decoder": {"type": "dual_path", **paths},
                "share": 0.4,
            },
            {"objective": {"type": "next_scale", **prior}, "share": 0.6},
        ],
        "training": {
            "steps": 5000,
            "lr": 1e-3,
            "weight_decay": 0.01,
            "betas": [0.9, 0.99],
            "batch_tokens": 3072,
        },
    }


def more_codes(channels: int, halvings: int) -> int:
    """Return how often the finest scale is coded once more: what a code can say is shared by all
    numbers of a place, its channels and its samples."""
    numbers: int = channels * 2**halvings
    return min(16, (numbers - 1) // 32)


def shape_of(window: int, binned: bool = False) -> dict[str, Any]:
    """Return what follows from the samples of a window: halvings, hop and trend kernels.

    A latent place stands for 4 samples up to 256, else for 8: a longer window has as many more
    codes. `binned`, irregular times laid on steps, few of which are measured: up to 64
    (docs/log.md).
    """
    return {
        "halvings": 2 if window <= (64 if binned else 256) else 3,
        "hop": max(4, window // 16),
        "kernels": trend_kernels(window),
    }
