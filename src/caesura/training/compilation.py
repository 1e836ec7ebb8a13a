"""Compiles the blocks of a model where a run is long enough to repay it.

Each block by itself, with lengths left open: one compilation serves all of them. It cost 22
to 37 seconds on two measured CPUs and brought 7 to 12 % there (25 % on a faster one), so a
run repays it from about ten minutes.
"""

from __future__ import annotations

import logging
import shutil

from torch import nn

from caesura.nn.transformer import Block
from caesura.training.device import runs_on_cuda

log = logging.getLogger("caesura")
REPAYS_AFTER = 600.0
"""Seconds that a run must still have before it."""


def can_compile() -> bool:
    """Say whether the tools are there: a C++ compiler, or a GPU's own."""
    return runs_on_cuda() or any(map(shutil.which, ("g++", "clang++", "c++")))


def compile_blocks(module: nn.Module) -> int:
    """Compile the blocks within a module in place, and return how many there are.

    A limit on recompilations raises instead of falling back in silence; see `fall_back`.
    """
    import torch._dynamo

    torch._dynamo.config.fail_on_recompile_limit_hit = True
    blocks = _blocks(module)
    for block in blocks:
        block.compile(dynamic=True)
    return len(blocks)


def fall_back(module: nn.Module, error: Exception) -> None:
    """Return to the uncompiled blocks, and say so."""
    for block in _blocks(module):
        block._compiled_call_impl = None
    first = str(error).strip().splitlines()[:1]
    log.warning(
        "compilation failed (%s%s); the training goes on without it. "
        "--set training.compile=off avoids the attempt",
        type(error).__name__,
        f": {first[0]}" if first else "",
    )


def _blocks(module: nn.Module) -> list[Block]:
    return [child for child in module.modules() if isinstance(child, Block)]
