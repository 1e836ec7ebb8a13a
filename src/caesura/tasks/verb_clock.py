"""The time of a verb: what was asked for, what is spent, and what a training in it may take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from caesura.training.loop import TimeLimit

_LEAST_S = 0.05
"""Seconds that a part has where nothing is left: it does what it must, and ends."""


class VerbClock:
    """Counts from the first call to the last, and what trainings took before a resume.

    seconds: what was asked for; 0: no bound. Reading the data comes before it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.begun = seconds, time.monotonic()
        self._within = self._trained = 0.0

    @property
    def spent(self) -> float:
        """Return seconds so far, those of trainings that a resume went on with included."""
        return time.monotonic() - self.begun - self._within + self._trained

    @property
    def left(self) -> float:
        """Return seconds that are left; 0 without a bound, and never 0 with one."""
        return max(self.seconds - self.spent, _LEAST_S) if self.seconds else 0.0

    def limit(self, share: float, following: float = 0.0) -> TimeLimit | None:
        """Return the limit of a training that has a share of what is left."""
        return TimeLimit(share * self.left, following) if self.seconds else None

    @contextmanager
    def training(self) -> Iterator[None]:
        """Time a training, which counts its own seconds (`add`)."""
        begun = time.monotonic()
        yield
        self._within += time.monotonic() - begun

    def add(self, seconds: float) -> None:
        """Count a training by its own seconds."""
        self._trained += seconds
