"""The one inference engine: runs trained modules over batches, on the device that they are on.

A batch goes to the modules and what is read of it comes back to the CPU, as numpy arrays. Modules
evaluate without gradients, in float32 on every device, and go back to the mode that they were in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from caesura.data.window import Windows
from caesura.training.precision import fast_float32, refuse_dynamic_teams, threads
from caesura.types import Batch, Movable

ROWS = 256
"""Rows of a batch of windows: from 64 on a CPU is not faster, and results are equal to the bit."""

Modules = nn.Module | Iterable[nn.Module]
Report = Callable[[int, int], None]
"""Receives how many are done, of how many."""
T = TypeVar("T")
Scalar = TypeVar("Scalar", bound=np.generic)


def quiet(done: int, total: int) -> None:
    """Report progress to nobody."""


def device_of(*modules: nn.Module) -> torch.device:
    """Return the device of modules that are together; the CPU where they hold no tensor."""
    tensors = (chain(module.parameters(), module.buffers()) for module in modules)
    first = next(chain.from_iterable(tensors), None)
    return torch.device("cpu") if first is None else first.device


def move(value: T, device: torch.device) -> T:
    """Return tensors, batches and tuples or lists of them on a device; all else as it is."""
    moved: Any = value
    if isinstance(value, Tensor | Movable):
        moved = value.to(device)
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        moved = type(value)(*(move(item, device) for item in value))
    elif isinstance(value, tuple | list):
        moved = type(value)(move(item, device) for item in value)
    return moved  # type: ignore[no-any-return]  # of the type that came in


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[torch.device]:
    """Evaluate modules in the block, without gradients; yields the device that they are on.

    For what is no loop over batches, which `run_batches` is for.
    """
    refuse_dynamic_teams()
    device = device_of(*modules)
    modes = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.inference_mode(), fast_float32(device=device), threads(0):
            yield device
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


@overload
def run_batches(
    modules: Modules, batches: Iterable[T], read: Callable[[T], Tensor]
) -> Iterator[tuple[T, NDArray[np.float32]]]: ...


@overload
def run_batches(
    modules: Modules, batches: Iterable[T], read: Callable[[T], Sequence[Tensor]]
) -> Iterator[tuple[T, list[NDArray[np.float32]]]]: ...


@overload
def run_batches(
    modules: Modules, batches: Iterable[T], read: Callable[[T], NDArray[Scalar]]
) -> Iterator[tuple[T, NDArray[Scalar]]]: ...


def run_batches(
    modules: Modules, batches: Iterable[T], read: Callable[[T], Any]
) -> Iterator[tuple[T, Any]]:
    """Yield each batch, as it came, with what is read of it, on the CPU.

    Args:
        modules: what `read` calls: it evaluates while `read` runs, and then only.
        batches: anything that holds tensors (`move`); the rest of it is left as it is.
        read: receives a batch on the device of the modules. Tensors that it returns come back as
            float32 arrays, a sequence of them as a list; an array is passed on.
    """
    together = [modules] if isinstance(modules, nn.Module) else list(modules)
    for batch in batches:
        with evaluating(*together) as device:
            result = to_host(read(move(batch, device)))
        yield batch, result


def run_once(
    modules: Modules, batch: T, read: Callable[[T], Sequence[Tensor]]
) -> list[NDArray[np.float32]]:
    """Return what is read of a single batch, as `run_batches` does."""
    return next(result for _, result in run_batches(modules, [batch], read))


def stacked(
    modules: Modules,
    batches: Iterable[T],
    read: Callable[[T], Tensor],
    *,
    total: int = 0,
    on_progress: Report = quiet,
) -> NDArray[np.float32]:
    """Return what is read of all batches, one after the other; `on_progress` counts rows."""
    parts, done = [], 0
    for _, part in run_batches(modules, batches, read):
        parts.append(part)
        done += len(part)
        on_progress(done, total)
    return np.concatenate(parts)


def averaged(
    modules: Modules,
    batches: Iterable[tuple[Windows, Batch]],
    read: Callable[[Batch], Sequence[Tensor]],
    count: int,
    on_progress: Report = quiet,
) -> list[NDArray[np.float64]]:
    """Return each thing that is read, averaged over the windows of each of `count` series.

    `read` returns tensors (windows, width). A window counts by its length.
    """
    sums: list[NDArray[np.float64]] = []
    weights = np.zeros(count)
    done = 0
    for (windows, _), vectors in run_batches(modules, batches, lambda pair: read(pair[1])):
        if not sums:
            sums = [np.zeros((count, vector.shape[1])) for vector in vectors]
        for total, vector in zip(sums, vectors, strict=True):
            np.add.at(total, windows.series, vector * windows.lengths[:, None])
        np.add.at(weights, windows.series, windows.lengths)
        done += len(windows)
        on_progress(min(done, count), count)
    return [total / weights[:, None] for total in sums]


def row_slices(count: int, rows: int = ROWS) -> Iterator[slice]:
    """Yield slices of at most `rows` rows that cover `count`."""
    for first in range(0, count, rows):
        yield slice(first, min(first + rows, count))


def to_host(value: Any) -> Any:
    """Return tensors as float32 arrays (whole numbers as they are), sequences of them as lists."""
    if isinstance(value, Tensor):
        return (value.float() if value.is_floating_point() else value).cpu().numpy()
    if isinstance(value, tuple | list):
        return [to_host(item) for item in value]
    return value
