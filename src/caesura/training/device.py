"""Where models run: one choice for training and for using what was trained.

A choice is "auto", "cpu", "cuda" or "cuda:N". Recipes hold none: what was trained on one machine is
used on another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

from caesura.errors import RecipeError

VARIABLE = "CAESURA_DEVICE"
"""The environment variable that holds the choice for a process and its children; the command line's
`--device` sets it."""
_CHOICE: ContextVar[str] = ContextVar("device", default="auto")


def chosen_device(choice: str = "auto") -> torch.device:
    """Return the device that a choice means on this machine.

    "auto" is the choice of the block (`using_device`), else that of the environment
    (`CAESURA_DEVICE`), else a CUDA device where there is one. Of several processes of torchrun each
    takes its own CUDA device. Raises a RecipeError that says what there is where a choice is
    unknown or its device is not there.
    """
    for given in (choice, _CHOICE.get(), os.environ.get(VARIABLE, "")):
        if given not in ("", "auto"):
            return _named(given)
    return _named("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def using_device(choice: str) -> Iterator[torch.device]:
    """Let a choice hold in the block, as far as it is not "auto"; yields its device."""
    token = _CHOICE.set(_CHOICE.get() if choice == "auto" else choice)
    try:
        yield chosen_device(choice)
    finally:
        _CHOICE.reset(token)


def runs_on_cuda() -> bool:
    """Say whether the chosen device is a CUDA device."""
    return chosen_device().type == "cuda"


def _named(choice: str) -> torch.device:
    matched = re.fullmatch(r"cpu|cuda(?::(\d+))?", choice)
    if matched is None:
        raise RecipeError(f"unknown device {choice!r}; choose auto, cpu, cuda or cuda:N")
    if choice == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(matched[1] or int(os.environ.get("LOCAL_RANK", "0")) % max(count, 1))
    if number >= count:
        devices = ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])
        advice = "" if count else "; `caesura doctor` says why there is no CUDA device"
        raise RecipeError(f"device {choice!r} is not there; this machine has {devices}{advice}")
    return torch.device("cuda", number)
